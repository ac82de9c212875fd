import { describe, expect, test } from 'vitest';
import { Deadlines } from '#base/deadlines';
import type { MarkerOrder } from '#coordinator/transaction-commands';
import type { MetadataImage } from '#metadata/image';
import { ErrorCode } from '#model/errors';
import { type NodeId, nodeId } from '#model/ids';
import type { WriteTxnMarkersRequestInput } from '#protocol/generated/write-txn-markers-request';
import { type MarkerOwner, TransactionMarkers } from '#runtime/transaction-markers';
import { FakeClock } from './fake-clock.ts';

const ONE = nodeId(1);
const TWO = nodeId(2);
const RETRY_MS = 100;

interface Sent {
  readonly to: NodeId;
  readonly request: WriteTxnMarkersRequestInput;
  /** Answers with errors by partition, else NONE; 'lost': not at all. */
  readonly answer: (errors?: Readonly<Record<string, ErrorCode>> | 'lost') => Promise<void>;
}

class Stage {
  readonly clock = new FakeClock();
  /** Undefined: deleted. */
  readonly leaders = new Map<string, NodeId | null>([
    ['orders-0', ONE],
    ['orders-1', ONE],
    ['payments-0', TWO],
  ]);
  /** Not answered yet. */
  readonly sent: Sent[] = [];
  readonly written: string[] = [];
  readonly warnings: object[] = [];
  readonly owner: MarkerOwner = this.ownerOf(7);
  readonly markers: TransactionMarkers;

  constructor() {
    const quiet = () => {};
    this.markers = new TransactionMarkers({
      logger: { debug: quiet, info: quiet, warn: (fields) => this.warnings.push(fields), error: quiet },
      deadlines: new Deadlines(this.clock),
      image: {
        partition: (topic: string, partition: number) => {
          const leader = this.leaders.get(`${topic}-${partition}`);
          return leader === undefined ? undefined : { leader };
        },
      } as unknown as MetadataImage,
      requests: {
        send: (to, _api, _version, asked) => {
          const request = asked as WriteTxnMarkersRequestInput;
          return new Promise((resolve) => {
            const answer: Sent['answer'] = async (errors = {}) => {
              this.sent.splice(this.sent.indexOf(sent), 1);
              resolve((errors === 'lost' ? undefined : responseTo(request, errors)) as never);
              for (let turns = 0; turns < 5; turns += 1) await undefined;
            };
            const sent = { to, request, answer };
            this.sent.push(sent);
          });
        },
      },
      requestTimeoutMs: () => 30_000,
    });
  }

  ownerOf(coordinatorEpoch: number): MarkerOwner {
    return { coordinatorEpoch, written: ({ transactionalId }) => this.written.push(transactionalId) };
  }

  order(transactionalId: string, producerId: number, ...partitions: readonly string[]): MarkerOrder {
    const byTopic = Map.groupBy(partitions, (name) => name.split('-')[0] ?? '');
    return {
      transactionalId,
      producerId,
      producerEpoch: 3,
      isCommit: true,
      partitions: new Map(
        [...byTopic].map(([topic, of]) => [topic, new Set(of.map((name) => Number(name.split('-')[1])))]),
      ),
      transactionVersion: 2,
    };
  }

  only(): Sent {
    const [sent, ...more] = this.sent;
    if (sent === undefined || more.length > 0) throw new Error(`${this.sent.length} requests are under way`);
    return sent;
  }

  /** `to: producer partitions…` of each request that is under way. */
  underWay(): string[] {
    return this.sent.map(({ to, request }) => `${to}: ${request.markers.map(markerText).join(', ')}`);
  }
}

function markerText({ producerId, topics }: WriteTxnMarkersRequestInput['markers'][number]): string {
  const names = topics.flatMap(({ name, partitionIndexes }) => partitionIndexes.map((index) => `${name}-${index}`));
  return [producerId, ...names].join(' ');
}

function responseTo({ markers }: WriteTxnMarkersRequestInput, errors: Readonly<Record<string, ErrorCode>>) {
  return {
    markers: markers.map(({ producerId, topics }) => ({
      producerId,
      topics: topics.map(({ name, partitionIndexes }) => ({
        name,
        partitions: partitionIndexes.map((partitionIndex) => {
          return { partitionIndex, errorCode: errors[`${name}-${partitionIndex}`] ?? ErrorCode.None };
        }),
      })),
    })),
  };
}

describe('markers', () => {
  test('go to the leader of each partition, and are written when all have answered', async () => {
    const stage = new Stage();
    stage.markers.write(stage.order('t', 100, 'orders-0', 'orders-1', 'payments-0'), stage.owner);
    expect(stage.sent.map(({ to, request }) => ({ to, ...request.markers[0] }))).toEqual([
      {
        to: ONE,
        producerId: 100,
        producerEpoch: 3,
        transactionResult: true,
        topics: [{ name: 'orders', partitionIndexes: [0, 1] }],
        coordinatorEpoch: 7,
        transactionVersion: 2,
      },
      expect.objectContaining({ to: TWO, topics: [{ name: 'payments', partitionIndexes: [0] }] }),
    ]);
    await stage.sent[0]?.answer();
    expect([stage.written, stage.markers.pendingCount]).toEqual([[], 1]);
    await stage.sent[0]?.answer();
    expect([stage.written, stage.markers.pendingCount]).toEqual([['t'], 0]);
  });

  test('of a transaction without partitions are written at once', () => {
    const stage = new Stage();
    stage.markers.write(stage.order('t', 100), stage.owner);
    expect([stage.written, stage.sent]).toEqual([['t'], []]);
  });

  test('gather while a request to their broker is under way', async () => {
    const stage = new Stage();
    stage.markers.write(stage.order('a', 100, 'orders-0'), stage.owner);
    stage.markers.write(stage.order('b', 101, 'orders-0'), stage.owner);
    stage.markers.write(stage.order('c', 102, 'orders-1', 'payments-0'), stage.owner);
    expect(stage.underWay()).toEqual(['1: 100 orders-0', '2: 102 payments-0']);
    await stage.sent[0]?.answer();
    expect(stage.underWay()).toEqual(['2: 102 payments-0', '1: 101 orders-0, 102 orders-1']);
    await stage.sent[1]?.answer();
    await stage.only().answer();
    expect(stage.written).toEqual(['a', 'b', 'c']);
  });

  test('are at most 1000 to a request', async () => {
    const stage = new Stage();
    const many = Array.from({ length: 1_500 }, (_, index) => `wide-${index}`);
    for (const name of many) stage.leaders.set(name, ONE);
    stage.markers.write(stage.order('t', 100, ...many), stage.owner);
    const counts: (number | undefined)[] = [];
    for (let requests = 0; requests < 2; requests += 1) {
      const sent = stage.only();
      counts.push(sent.request.markers[0]?.topics[0]?.partitionIndexes.length);
      await sent.answer();
    }
    expect([counts, stage.written]).toEqual([[1_000, 500], ['t']]);
  });

  test.each([
    ErrorCode.NotLeaderOrFollower,
    ErrorCode.UnknownTopicOrPartition,
    ErrorCode.NotEnoughReplicas,
    ErrorCode.NotEnoughReplicasAfterAppend,
    ErrorCode.RequestTimedOut,
    ErrorCode.KafkaStorageError,
    ErrorCode.CoordinatorLoadInProgress,
    ErrorCode.TransactionCoordinatorFenced,
  ])('that a partition cannot take now (%i) are sent again, to whoever leads then', async (error) => {
    const stage = new Stage();
    stage.markers.write(stage.order('t', 100, 'orders-0', 'orders-1'), stage.owner);
    await stage.only().answer({ 'orders-1': error });
    expect(stage.sent).toEqual([]);
    stage.leaders.set('orders-1', TWO);
    stage.clock.advance(RETRY_MS);
    expect(stage.underWay()).toEqual(['2: 100 orders-1']);
    await stage.only().answer();
    expect(stage.written).toEqual(['t']);
  });

  test('that got no answer are sent again until there is one', async () => {
    const stage = new Stage();
    stage.markers.write(stage.order('t', 100, 'orders-0'), stage.owner);
    for (let attempt = 0; attempt < 20; attempt += 1) {
      await stage.only().answer('lost');
      stage.clock.advance(RETRY_MS);
    }
    expect(stage.written).toEqual([]);
    await stage.only().answer();
    expect(stage.written).toEqual(['t']);
  });

  test('for which nobody leads wait for a leader', async () => {
    const stage = new Stage();
    stage.leaders.set('orders-0', null);
    stage.markers.write(stage.order('t', 100, 'orders-0'), stage.owner);
    stage.clock.advance(5 * RETRY_MS);
    expect(stage.sent).toEqual([]);
    stage.leaders.set('orders-0', TWO);
    stage.markers.leadersChanged();
    expect(stage.underWay()).toEqual(['2: 100 orders-0']);
  });

  test('of deleted partitions are done with', async () => {
    const stage = new Stage();
    stage.leaders.delete('payments-0');
    stage.markers.write(stage.order('t', 100, 'orders-0', 'payments-0'), stage.owner);
    await stage.only().answer();
    stage.markers.write(stage.order('u', 101, 'orders-0'), stage.owner);
    await stage.only().answer({ 'orders-0': ErrorCode.UnknownTopicOrPartition });
    stage.leaders.delete('orders-0');
    stage.clock.advance(RETRY_MS);
    stage.markers.write(stage.order('v', 102, 'payments-0'), stage.owner);
    expect([stage.written, stage.sent]).toEqual([['t', 'u', 'v'], []]);
  });

  test('are done with where the partition has seen a later epoch of the producer', async () => {
    const stage = new Stage();
    stage.markers.write(stage.order('t', 100, 'orders-0', 'orders-1'), stage.owner);
    await stage.only().answer({ 'orders-1': ErrorCode.InvalidProducerEpoch });
    expect([stage.written, stage.warnings.length]).toEqual([['t'], 1]);
  });

  test('that are refused again and again are told of once', async () => {
    const stage = new Stage();
    stage.markers.write(stage.order('t', 100, 'orders-0'), stage.owner);
    for (let attempt = 0; attempt < 5; attempt += 1) {
      await stage.only().answer({ 'orders-0': ErrorCode.TransactionCoordinatorFenced });
      stage.clock.advance(RETRY_MS);
    }
    expect(stage.warnings).toEqual([
      { topic: 'orders', partition: 0, transactionalId: 't', error: 'TRANSACTION_COORDINATOR_FENCED' },
    ]);
  });

  test('do not wait for a leader that hangs once another one leads', async () => {
    const stage = new Stage();
    stage.markers.write(stage.order('a', 100, 'orders-0', 'orders-1'), stage.owner);
    stage.markers.write(stage.order('b', 101, 'orders-0'), stage.owner);
    stage.leaders.set('orders-0', TWO);
    stage.markers.leadersChanged();
    expect(stage.underWay()).toEqual(['1: 100 orders-0 orders-1', '2: 100 orders-0, 101 orders-0']);
    await stage.sent[1]?.answer();
    expect(stage.written).toEqual(['b']);
    // The old leader's answer counts for what it still leads.
    await stage.only().answer({ 'orders-0': ErrorCode.NotLeaderOrFollower });
    expect([stage.written, stage.sent]).toEqual([['b', 'a'], []]);
    stage.clock.advance(RETRY_MS);
    expect(stage.sent).toEqual([]);
  });

  test('whose owner has resigned are not sent again, and nobody is told', async () => {
    const stage = new Stage();
    const other = stage.ownerOf(8);
    stage.markers.write(stage.order('a', 100, 'orders-0'), stage.owner);
    stage.markers.write(stage.order('b', 101, 'orders-0'), stage.owner);
    stage.markers.write(stage.order('c', 102, 'orders-0'), other);
    stage.markers.cancel(stage.owner);
    await stage.only().answer({ 'orders-0': ErrorCode.NotLeaderOrFollower });
    expect(stage.underWay()).toEqual(['1: 102 orders-0']);
    stage.clock.advance(RETRY_MS);
    await stage.only().answer();
    expect([stage.written, stage.sent, stage.markers.pendingCount]).toEqual([['c'], [], 0]);
  });
});
