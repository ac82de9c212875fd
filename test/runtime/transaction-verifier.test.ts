import { describe, expect, test } from 'vitest';
import { Deadlines } from '#base/deadlines';
import { coordinatorPartition } from '#coordinator/coordinator-partition';
import type { MetadataImage } from '#metadata/image';
import { ErrorCode, errorName } from '#model/errors';
import { type NodeId, nodeId, ZERO_UUID } from '#model/ids';
import { TRANSACTIONS_TOPIC } from '#model/internal-topics';
import type { AddPartitionsToTxnRequest } from '#protocol/generated/add-partitions-to-txn-request';
import type { BrokerRequests } from '#runtime/broker-requests';
import type { Partition } from '#runtime/partition';
import { type TransactionalProducer, TransactionVerifier } from '#runtime/transaction-verifier';
import { FakeClock } from './fake-clock.ts';
import { ledPartition } from './replica-stage.ts';
import { batchOf, StubLog } from './stub-log.ts';

interface Sent {
  readonly to: NodeId;
  readonly transactions: AddPartitionsToTxnRequest['transactions'];
  readonly timeoutMs: number;
  readonly answer: (response: unknown) => void;
}

const PRODUCER: TransactionalProducer = {
  transactionalId: 'pay',
  producerId: 9,
  producerEpoch: 0,
  adds: false,
  knowsAbortable: true,
};

/** A broker whose coordinators the test plays. */
class Stage {
  readonly clock = new FakeClock();
  readonly sent: Sent[] = [];
  readonly leaders: (number | null)[] = [2, 3];
  topicExists = true;
  verifies = true;
  readonly partitions = [0, 1].map((index) => ledPartition(new StubLog('t', index).asLog));
  readonly verifier: TransactionVerifier;

  constructor() {
    const requests: BrokerRequests = {
      send: (to, _api, _version, request, timeoutMs) =>
        new Promise((resolve) => {
          const { transactions } = request as unknown as AddPartitionsToTxnRequest;
          this.sent.push({ to, transactions, timeoutMs, answer: resolve as Sent['answer'] });
        }),
    };
    const topic = () => ({
      name: TRANSACTIONS_TOPIC,
      id: ZERO_UUID,
      partitions: this.leaders.map((leader, partition) => ({ partition, leader })),
    });
    this.verifier = new TransactionVerifier({
      clock: this.clock,
      deadlines: new Deadlines(this.clock),
      image: {
        topic: () => (this.topicExists ? topic() : undefined),
      } as unknown as MetadataImage,
      requests,
      config: () => ({
        transactionPartitionVerificationEnable: this.verifies,
        addPartitionsToTxnRetryBackoffMs: 20,
        addPartitionsToTxnRetryBackoffMaxMs: 100,
      }),
    });
  }

  /** Errors in words, per partition; they are appended to where there is none. */
  async verify(
    producer: Partial<TransactionalProducer> = {},
    partitions = this.partitions,
    timeoutMs = 1_000,
  ): Promise<string[]> {
    const whole = { ...PRODUCER, ...producer };
    const { producerId, producerEpoch } = whole;
    const batch = () => batchOf(1, { producerId, producerEpoch, baseSequence: 0, transactional: true });
    const appends = partitions.map((partition) => ({ partition, batch: batch() }));
    const verdicts = await this.verifier.verify(
      appends.map(({ partition, batch: [, [header]] }) => ({
        partition,
        header: header as NonNullable<typeof header>,
      })),
      whole,
      timeoutMs,
    );
    return verdicts.map(({ error, verification }, place) => {
      const append = appends[place];
      if (error !== ErrorCode.None || append === undefined) return errorName(error);
      return errorName(append.partition.append(...append.batch, verification).error);
    });
  }

  /** Of the oldest request that waits: the same for all its partitions, unless told by number. */
  async answer(
    error: ErrorCode = ErrorCode.None,
    byPartition: Readonly<Record<number, ErrorCode>> = {},
  ): Promise<Sent> {
    const sent = await this.next();
    sent.answer({
      throttleTimeMs: 0,
      errorCode: ErrorCode.None,
      resultsByTransaction: sent.transactions.map(({ transactionalId, topics }) => ({
        transactionalId,
        topicResults: topics.map(({ name, partitions }) => ({
          name,
          resultsByPartition: partitions.map((partitionIndex) => ({
            partitionIndex,
            partitionErrorCode: byPartition[partitionIndex] ?? error,
          })),
        })),
      })),
    });
    return sent;
  }

  async next(): Promise<Sent> {
    await settled();
    const sent = this.sent.shift();
    if (sent === undefined) throw new Error('nothing was asked');
    return sent;
  }
}

async function settled(): Promise<void> {
  for (let turns = 0; turns < 20; turns += 1) await undefined;
}

describe('before the first append of a transaction', () => {
  test('the leader of its id’s partition is asked, for all partitions at once', async () => {
    const stage = new Stage();
    const verified = stage.verify();
    const { to, transactions } = await stage.answer();
    expect(to).toBe(nodeId(stage.leaders[coordinatorPartition('pay', 2)] as number));
    expect(transactions).toMatchObject([
      { transactionalId: 'pay', producerId: 9, producerEpoch: 0, verifyOnly: true, topics: [{ partitions: [0, 1] }] },
    ]);
    expect(await verified).toEqual(['NONE', 'NONE']);
  });

  test('nobody is asked about a partition where it has begun', async () => {
    const stage = new Stage();
    const first = stage.verify({}, stage.partitions.slice(0, 1));
    await stage.answer();
    await first;
    const second = stage.verify();
    expect((await stage.answer()).transactions[0]?.topics).toEqual([{ name: 't', partitions: [1] }]);
    expect(await second).toEqual(['NONE', 'NONE']);
    expect(await stage.verify()).toEqual(['NONE', 'NONE']);
    expect(stage.sent).toHaveLength(0);
  });

  test('each partition has its own answer', async () => {
    const stage = new Stage();
    const verified = stage.verify();
    await stage.answer(ErrorCode.None, { 1: ErrorCode.InvalidTxnState });
    expect(await verified).toEqual(['NONE', 'INVALID_TXN_STATE']);
  });

  test('the answer is in words that the client knows', async () => {
    const stage = new Stage();
    const told = async (error: ErrorCode, knowsAbortable: boolean) => {
      const verified = stage.verify({ knowsAbortable }, stage.partitions.slice(0, 1));
      await stage.answer(error);
      return (await verified)[0];
    };
    expect(await told(ErrorCode.ProducerFenced, true)).toBe('INVALID_PRODUCER_EPOCH');
    expect(await told(ErrorCode.TransactionAbortable, true)).toBe('TRANSACTION_ABORTABLE');
    expect(await told(ErrorCode.TransactionAbortable, false)).toBe('INVALID_TXN_STATE');
    expect(await told(ErrorCode.InvalidProducerIdMapping, true)).toBe('INVALID_PRODUCER_ID_MAPPING');
  });

  test('a coordinator that is not known, or does not answer, is an error that clients wait out', async () => {
    const stage = new Stage();
    const lost = stage.verify();
    (await stage.next()).answer(undefined);
    expect(await lost).toEqual(['NETWORK_EXCEPTION', 'NETWORK_EXCEPTION']);
    stage.leaders.fill(null);
    expect(await stage.verify()).toEqual(['COORDINATOR_NOT_AVAILABLE', 'COORDINATOR_NOT_AVAILABLE']);
    stage.topicExists = false;
    expect(await stage.verify()).toEqual(['COORDINATOR_NOT_AVAILABLE', 'COORDINATOR_NOT_AVAILABLE']);
  });

  test('an answer for all is taken for each; one about somebody else is none', async () => {
    const stage = new Stage();
    const refused = stage.verify();
    (await stage.next()).answer({ errorCode: ErrorCode.ClusterAuthorizationFailed, resultsByTransaction: [] });
    expect(await refused).toEqual(['INVALID_TXN_STATE', 'INVALID_TXN_STATE']);
    const other = stage.verify();
    (await stage.next()).answer({ errorCode: 0, resultsByTransaction: [{ transactionalId: 'x', topicResults: [] }] });
    expect(await other).toEqual(['NETWORK_EXCEPTION', 'NETWORK_EXCEPTION']);
  });

  test('a marker that comes while the coordinator is asked makes its answer worthless', async () => {
    const stage = new Stage();
    const [partition] = stage.partitions as [Partition];
    const verified = stage.verify({}, [partition]);
    await settled();
    const [bytes, [header]] = batchOf(1, { producerId: 9, producerEpoch: 0, transactional: true, control: true });
    partition.appendMarker(bytes, header as NonNullable<typeof header>, { aborted: true, coordinatorEpoch: 0 }, false);
    await stage.answer();
    expect(await verified).toEqual(['INVALID_TXN_STATE']);
  });

  test('a stale epoch is refused without a question', async () => {
    const stage = new Stage();
    const first = stage.verify({ producerEpoch: 3 });
    await stage.answer();
    await first;
    expect(await stage.verify({ producerEpoch: 2 })).toEqual(['INVALID_PRODUCER_EPOCH', 'INVALID_PRODUCER_EPOCH']);
    expect(stage.sent).toHaveLength(0);
  });

  test('nobody is asked where the broker is told not to verify, unless the partition is to be added', async () => {
    const stage = new Stage();
    stage.verifies = false;
    expect(await stage.verify()).toEqual(['NONE', 'NONE']);
    const adding = stage.verify({ adds: true, producerId: 10 });
    expect((await stage.answer()).transactions).toMatchObject([{ producerId: 10, verifyOnly: false }]);
    expect(await adding).toEqual(['NONE', 'NONE']);
  });
});

describe('transaction.version 2', () => {
  test('waits out the end of the transaction before, in whose markers its own verification would drown', async () => {
    const stage = new Stage();
    const [partition] = stage.partitions as [Partition];
    const verified = stage.verify({ adds: true, producerEpoch: 1 }, [partition]);
    await stage.answer(ErrorCode.ConcurrentTransactions);
    const [bytes, [header]] = batchOf(1, { producerId: 9, producerEpoch: 1, transactional: true, control: true });
    partition.appendMarker(bytes, header as NonNullable<typeof header>, { aborted: true, coordinatorEpoch: 0 }, false);
    await settled();
    expect(stage.sent).toHaveLength(0);
    stage.clock.advance(20);
    await stage.answer();
    expect(await verified).toEqual(['NONE']);
  });

  test('does so for add.partitions.to.txn.retry.backoff.max.ms, then its client must', async () => {
    const stage = new Stage();
    const verified = stage.verify({ adds: true });
    for (let tries = 0; tries < 6; tries += 1) {
      await stage.answer(ErrorCode.ConcurrentTransactions);
      await settled();
      stage.clock.advance(20);
    }
    expect(await verified).toEqual(['CONCURRENT_TRANSACTIONS', 'CONCURRENT_TRANSACTIONS']);
    expect(stage.sent).toHaveLength(0);
  });

  test('clients of version 1 are told at once', async () => {
    const stage = new Stage();
    const verified = stage.verify();
    await stage.answer(ErrorCode.ConcurrentTransactions);
    expect(await verified).toEqual(['CONCURRENT_TRANSACTIONS', 'CONCURRENT_TRANSACTIONS']);
  });
});

describe('many producers', () => {
  test('are asked about in one request while another is under way, each transactional id once', async () => {
    const stage = new Stage();
    stage.leaders.fill(2);
    const [first, second] = stage.partitions as [Partition, Partition];
    const answers = [
      stage.verify({ transactionalId: 'a', producerId: 1 }, [first]),
      stage.verify({ transactionalId: 'b', producerId: 2 }, [first]),
      stage.verify({ transactionalId: 'c', producerId: 3 }, [first]),
      stage.verify({ transactionalId: 'b', producerId: 2 }, [second]),
    ];
    const ids = async () => (await stage.answer()).transactions.map(({ transactionalId }) => transactionalId);
    expect(await ids()).toEqual(['a']);
    expect(await ids()).toEqual(['b', 'c']);
    expect(await ids()).toEqual(['b']);
    expect(await Promise.all(answers)).toEqual([['NONE'], ['NONE'], ['NONE'], ['NONE']]);
    const later = stage.verify({ transactionalId: 'd', producerId: 4 }, [first]);
    expect(await ids()).toEqual(['d']);
    expect(await later).toEqual(['NONE']);
  });

  test('of different coordinators do not wait for each other', async () => {
    const stage = new Stage();
    const idOf = (partition: number) => {
      for (let number = 0; ; number += 1)
        if (coordinatorPartition(`id${number}`, 2) === partition) return `id${number}`;
    };
    void stage.verify({ transactionalId: idOf(0), producerId: 1 });
    void stage.verify({ transactionalId: idOf(1), producerId: 2 });
    await settled();
    expect(stage.sent.map(({ to }) => to)).toEqual([2, 3]);
  });

  test('wait each for its own time only, whoever is asked about with it or before it', async () => {
    const stage = new Stage();
    stage.leaders.fill(2);
    const [partition] = stage.partitions as [Partition];
    const ask = (transactionalId: string, id: number, timeoutMs: number) =>
      stage.verify({ transactionalId, producerId: id }, [partition], timeoutMs);
    const patient = ask('a', 1, 30_000);
    const behind = ask('b', 2, 1_000);
    await settled();
    stage.clock.advance(1_000);
    expect(await behind).toEqual(['NETWORK_EXCEPTION']);
    const together = [ask('c', 3, 1_000), ask('d', 4, 20_000)];
    stage.clock.advance(500);
    await stage.answer();
    expect(await patient).toEqual(['NONE']);
    const request = await stage.next();
    expect(request.transactions.map(({ transactionalId }) => transactionalId)).toEqual(['c', 'd']);
    expect(request.timeoutMs).toBe(19_500);
    stage.clock.advance(500);
    expect(await together[0]).toEqual(['NETWORK_EXCEPTION']);
    const again = ask('c', 3, 1_000);
    request.answer(undefined);
    expect(await together[1]).toEqual(['NETWORK_EXCEPTION']);
    await stage.answer();
    expect(await again).toEqual(['NONE']);
    expect(stage.sent).toHaveLength(0);
  });

  test('an id that no message can hold is nobody’s', async () => {
    const stage = new Stage();
    const answer = await stage.verify({ transactionalId: '\uFFFD'.repeat(20_000) });
    expect(answer).toEqual(['INVALID_PRODUCER_ID_MAPPING', 'INVALID_PRODUCER_ID_MAPPING']);
  });
});

describe('when others coordinate', () => {
  /** Two producers of one coordinator, 2: the question of the first is under way, the other's waits. */
  async function asked() {
    const stage = new Stage();
    stage.leaders.fill(2);
    const [partition] = stage.partitions as [Partition];
    const first = stage.verify({ transactionalId: 'a', producerId: 1 }, [partition]);
    const second = stage.verify({ transactionalId: 'b', producerId: 2 }, [partition]);
    return { stage, first, second, toOld: await stage.next() };
  }

  test('they are asked, also what was asked before and is not answered; the answer comes too late then', async () => {
    const { stage, first, second, toOld } = await asked();
    stage.leaders.fill(3);
    stage.verifier.leadersChanged();
    const { to, transactions } = await stage.answer();
    expect([to, transactions.map(({ transactionalId }) => transactionalId)]).toEqual([3, ['a', 'b']]);
    expect([await first, await second]).toEqual([['NONE'], ['NONE']]);
    toOld.answer({ errorCode: ErrorCode.NotCoordinator, resultsByTransaction: [] });
    await settled();
    expect(stage.sent).toHaveLength(0);
  });

  test('one that coordinates again before it has answered is asked anew', async () => {
    const { stage, first, second, toOld } = await asked();
    stage.leaders.fill(3);
    stage.verifier.leadersChanged();
    const toNew = await stage.next();
    stage.leaders.fill(2);
    stage.verifier.leadersChanged();
    toNew.answer(undefined);
    toOld.answer({ errorCode: ErrorCode.NotCoordinator, resultsByTransaction: [] });
    const { to, transactions } = await stage.answer();
    expect([to, transactions.map(({ transactionalId }) => transactionalId)]).toEqual([2, ['a', 'b']]);
    expect([await first, await second]).toEqual([['NONE'], ['NONE']]);
  });

  test('nobody waits while there is none', async () => {
    const { stage, first, second } = await asked();
    stage.leaders.fill(null);
    stage.verifier.leadersChanged();
    expect([await first, await second]).toEqual([['COORDINATOR_NOT_AVAILABLE'], ['COORDINATOR_NOT_AVAILABLE']]);
  });

  test('nothing is asked again of those that stay', async () => {
    const { stage, first, second, toOld } = await asked();
    stage.verifier.leadersChanged();
    await settled();
    expect(stage.sent).toHaveLength(0);
    toOld.answer(undefined);
    expect(await first).toEqual(['NETWORK_EXCEPTION']);
    await stage.answer();
    expect(await second).toEqual(['NONE']);
  });

  test('the time of a question goes on', async () => {
    const { stage, first, second } = await asked();
    stage.clock.advance(600);
    stage.leaders.fill(3);
    stage.verifier.leadersChanged();
    expect((await stage.next()).timeoutMs).toBe(400);
    stage.clock.advance(400);
    expect([await first, await second]).toEqual([['NETWORK_EXCEPTION'], ['NETWORK_EXCEPTION']]);
  });
});
