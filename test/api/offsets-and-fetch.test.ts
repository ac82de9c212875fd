/** ListOffsets, OffsetForLeaderEpoch and Fetch of one partition, whose leader the test leads through its states. */
import { describe, expect, test } from 'vitest';
import type { Api } from '#api/api';
import { fetchApi } from '#api/fetch';
import { listOffsetsApi } from '#api/list-offsets';
import { offsetForLeaderEpochApi } from '#api/offset-for-leader-epoch';
import { Deadlines } from '#base/deadlines';
import { ErrorCode } from '#model/errors';
import { leaderEpoch, nodeId, offset, uuid } from '#model/ids';
import type { Exchange } from '#net/exchange';
import { MemoryBudget } from '#net/memory-budget';
import { type FetchRequestInput, writeFetchRequest } from '#protocol/generated/fetch-request';
import { readFetchResponse } from '#protocol/generated/fetch-response';
import { writeListOffsetsRequest } from '#protocol/generated/list-offsets-request';
import { readListOffsetsResponse } from '#protocol/generated/list-offsets-response';
import { writeOffsetForLeaderEpochRequest } from '#protocol/generated/offset-for-leader-epoch-request';
import { readOffsetForLeaderEpochResponse } from '#protocol/generated/offset-for-leader-epoch-response';
import { readResponseHeader } from '#protocol/headers';
import { Reader } from '#protocol/reader';
import { Writer } from '#protocol/writer';
import type { Broker } from '#runtime/broker';
import { FetchSessions } from '#runtime/fetch-sessions';
import { Partition } from '#runtime/partition';
import { Traffic } from '#runtime/traffic';
import { FakeClock } from '../runtime/fake-clock.ts';
import { homeOf, ME, viewOf } from '../runtime/replica-stage.ts';
import { StubLog } from '../runtime/stub-log.ts';
import { versionsOf } from './api-stage.ts';

const T = uuid('AAAAAAAAAAAAAAAAAAAAAQ');
const OTHER = nodeId(2);
const BROKER_EPOCH = 12;
/** The first one's id. */
const SESSION = 7;
const [LATEST, EARLIEST] = [-1, -2];

/** Led in epoch 5 by this node, which had 4 records of epoch 3, of which it knew 2 to be committed, and has 6 more. */
class Stage {
  readonly clock = new FakeClock();
  readonly log = new StubLog('t', 0, T);
  readonly partition: Partition;
  readonly #broker: Broker;

  constructor() {
    this.partition = new Partition(homeOf(), 't', T, 0, this.log.asLog);
    this.log.epochs.assign(leaderEpoch(3), offset(0));
    this.partition.follow(leaderEpoch(3));
    Object.assign(this.log, { raiseStartTo: () => {} });
    this.log.fill(4);
    this.partition.leaderIsAt(offset(2), offset(0));
    this.partition.lead(viewOf(5, { replicas: [ME, OTHER], isr: [ME, OTHER] }), 1);
    this.log.epochs.assign(leaderEpoch(5), offset(4));
    this.log.fill(6);
    const find = () => this.partition;
    this.#broker = {
      ports: { clock: this.clock },
      nodeId: ME,
      config: { fetchMaxBytes: 10_000 },
      image: {
        brokers: new Map([
          [ME, { id: ME, brokerEpoch: 11, rack: null, fenced: false, listeners: [{ name: 'X', host: 'a', port: 7 }] }],
          [OTHER, { id: OTHER, brokerEpoch: BROKER_EPOCH, rack: null, fenced: false, listeners: [] }],
        ]),
        topicById: () => ({ partitions: [{ leader: ME, leaderEpoch: 5 }] }),
      },
      deadlines: new Deadlines(this.clock),
      fetchSessions: new FetchSessions(10, { uint32: () => SESSION } as never),
      traffic: new Traffic(),
      leaderThrottle: { applies: () => false },
      partitions: { findByName: find, findById: find, replicaByName: find, replicaById: find },
    } as unknown as Broker;
  }

  /** The follower has everything up to there. */
  follow(end: number, brokerEpoch = BROKER_EPOCH): Promise<unknown> {
    return this.fetch(17, {
      replicaState: { replicaId: OTHER, replicaEpoch: brokerEpoch },
      topics: [{ topicId: T, partitions: [targetAt(end, { currentLeaderEpoch: 5, lastFetchedEpoch: 5 })] }],
    });
  }

  async fetch(version: number, request: Partial<FetchRequestInput>) {
    const body = { maxWaitMs: 0, minBytes: 0, maxBytes: 1000, topics: [], forgottenTopicsData: [], ...request };
    const answer = await this.#call(fetchApi, version, (writer) => writeFetchRequest(writer, body, version));
    return readFetchResponse(answer, version).responses.flatMap(({ partitions }) => partitions)[0];
  }

  async list(version: number, timestamp: number, currentLeaderEpoch = -1) {
    const topics = [{ name: 't', partitions: [{ partitionIndex: 0, currentLeaderEpoch, timestamp }] }];
    const answer = await this.#call(listOffsetsApi, version, (writer) =>
      writeListOffsetsRequest(writer, { replicaId: -1, topics }, version),
    );
    return readListOffsetsResponse(answer, version).topics[0]?.partitions[0];
  }

  async endOf(version: number, epoch: number, currentLeaderEpoch = -1) {
    const topics = [{ topic: 't', partitions: [{ partition: 0, currentLeaderEpoch, leaderEpoch: epoch }] }];
    const answer = await this.#call(offsetForLeaderEpochApi, version, (writer) =>
      writeOffsetForLeaderEpochRequest(writer, { topics }, version),
    );
    return readOffsetForLeaderEpochResponse(answer, version).topics[0]?.partitions[0];
  }

  async #call(api: Api, version: number, write: (writer: Writer) => void): Promise<Reader> {
    const writer = new Writer();
    write(writer);
    const frame = Buffer.concat(writer.chunks());
    const answered = new Promise<Uint8Array>((resolve) => {
      const exchange = {
        frame,
        listenerName: 'X',
        responseBudget: new MemoryBudget(10_000),
        respond: (chunks: readonly Uint8Array[]) => resolve(Buffer.concat(chunks)),
        whenGone: () => {},
        whenFollowed: () => {},
      } as unknown as Exchange;
      const header = {
        apiKey: api.key,
        apiVersion: version,
        correlationId: 1,
        clientId: 'c',
        headerVersion: 2,
      } as const;
      api.serve(new Reader(frame), { broker: this.#broker, header, exchange });
    });
    const reader = new Reader((await answered).subarray(4));
    readResponseHeader(reader, api.key, version);
    return reader;
  }
}

function targetAt(fetchOffset: number, given = {}) {
  return { partition: 0, fetchOffset, partitionMaxBytes: 1000, logStartOffset: 0, ...given };
}

describe('ListOffsets', () => {
  test.each(versionsOf(listOffsetsApi))(
    'version %i tells no offset before the high watermark covers the leader’s epoch (KIP-207)',
    async (version) => {
      const stage = new Stage();
      await stage.follow(3);
      expect([stage.partition.highWatermark, stage.partition.isReady]).toEqual([2, false]);
      const notYet = version >= 5 ? ErrorCode.OffsetNotAvailable : ErrorCode.LeaderNotAvailable;
      for (const asked of [LATEST, EARLIEST, 1000])
        expect(await stage.list(version, asked)).toMatchObject({ errorCode: notYet, offset: -1 });
      await stage.follow(8);
      const epoch = (known: number): number => (version >= 4 ? known : -1);
      expect(await stage.list(version, LATEST)).toMatchObject({ errorCode: 0, offset: 8, leaderEpoch: epoch(5) });
      expect(await stage.list(version, EARLIEST)).toMatchObject({ errorCode: 0, offset: 0, leaderEpoch: epoch(3) });
      if (version < 4) return;
      expect(await stage.list(version, LATEST, 4)).toMatchObject({
        errorCode: ErrorCode.FencedLeaderEpoch,
        offset: -1,
      });
      expect(await stage.list(version, LATEST, 6)).toMatchObject({ errorCode: ErrorCode.UnknownLeaderEpoch });
    },
  );

  test('refuses places in the log that its version does not know', async () => {
    const stage = new Stage();
    await stage.follow(10);
    for (const [version, asked] of [
      [6, -3],
      [7, -4],
      [8, -5],
      [10, -6],
      [11, -7],
    ] as const)
      expect(await stage.list(version, asked)).toMatchObject({ errorCode: ErrorCode.UnsupportedVersion, offset: -1 });
  });
});

describe('OffsetForLeaderEpoch', () => {
  test.each(versionsOf(offsetForLeaderEpochApi))('version %i tells where an epoch ends (KIP-320)', async (version) => {
    const stage = new Stage();
    const epoch = (known: number): number => (version >= 1 ? known : -1);
    expect(await stage.endOf(version, 3)).toMatchObject({ errorCode: 0, leaderEpoch: epoch(3), endOffset: 4 });
    expect(await stage.endOf(version, 4)).toMatchObject({ errorCode: 0, leaderEpoch: epoch(3), endOffset: 4 });
    expect(await stage.endOf(version, 5)).toMatchObject({ errorCode: 0, leaderEpoch: epoch(5), endOffset: 10 });
    expect(await stage.endOf(version, 6)).toMatchObject({ errorCode: 0, leaderEpoch: -1, endOffset: -1 });
    if (version < 2) return;
    expect(await stage.endOf(version, 3, 4)).toMatchObject({ errorCode: ErrorCode.FencedLeaderEpoch, endOffset: -1 });
  });
});

describe('the Fetch of a follower', () => {
  test('moves the high watermark by what is on its disk', async () => {
    const stage = new Stage();
    expect(await stage.follow(10)).toMatchObject({ errorCode: ErrorCode.None, highWatermark: 10 });
    expect(stage.partition.highWatermark).toBe(10);
  });

  test('of another process than the registered one moves nothing, and is given nothing (KIP-903)', async () => {
    const stage = new Stage();
    for (const brokerEpoch of [BROKER_EPOCH - 1, BROKER_EPOCH + 1])
      expect(await stage.follow(6, brokerEpoch)).toMatchObject({
        errorCode: ErrorCode.NotLeaderOrFollower,
        highWatermark: -1,
        currentLeader: { leaderId: ME, leaderEpoch: 5 },
      });
    expect(stage.partition.highWatermark).toBe(2);
  });

  test.each([11, 2 ** 60])(
    'that claims to have %d records on its disk counts with what it has fetched',
    async (durableOffset) => {
      const stage = new Stage();
      const target = targetAt(8, { currentLeaderEpoch: 5, lastFetchedEpoch: 5, durableOffset });
      await stage.fetch(17, {
        replicaState: { replicaId: OTHER, replicaEpoch: BROKER_EPOCH },
        topics: [{ topicId: T, partitions: [target] }],
      });
      expect(stage.partition.highWatermark).toBe(8);
    },
  );

  test('in another leader epoch moves nothing: its log may hold another history', async () => {
    const stage = new Stage();
    for (const currentLeaderEpoch of [-1, 4, 6]) {
      await stage.fetch(17, {
        replicaState: { replicaId: OTHER, replicaEpoch: BROKER_EPOCH },
        topics: [{ topicId: T, partitions: [targetAt(10, { currentLeaderEpoch, lastFetchedEpoch: 5 })] }],
      });
      expect(stage.partition.highWatermark).toBe(2);
    }
  });

  test.each([
    ['behind its end in the last epoch of both', 6, 3],
    ['in an epoch that the leader does not know, though it is not behind', 3, 4],
  ])('that parts from the leader’s log moves nothing, and is told where: %s', async (_, end, lastFetchedEpoch) => {
    const stage = new Stage();
    const answer = await stage.fetch(17, {
      replicaState: { replicaId: OTHER, replicaEpoch: BROKER_EPOCH },
      topics: [{ topicId: T, partitions: [targetAt(end, { currentLeaderEpoch: 5, lastFetchedEpoch })] }],
    });
    expect(answer?.divergingEpoch).toEqual({ epoch: 3, endOffset: 4 });
    expect(answer?.records?.map(({ length }) => length)).toEqual([0]);
    expect(stage.partition.highWatermark).toBe(2);
  });

  test.each([
    ['a follower is told again, until it says that its log starts there too', OTHER, 0, [5, 5, undefined]],
    ['a consumer is told once', -1, -1, [5, undefined, undefined]],
  ])('in a session, once records have been deleted: %s', async (_, replicaId, logStartOffset, told) => {
    const stage = new Stage();
    const replicaState = { replicaId, replicaEpoch: replicaId === OTHER ? BROKER_EPOCH : -1 };
    const fetch = async (sessionEpoch: number, startsAt?: number): Promise<number | undefined> => {
      const target = {
        ...targetAt(10, { currentLeaderEpoch: 5, lastFetchedEpoch: 5 }),
        logStartOffset: startsAt ?? -1,
      };
      const topics = startsAt === undefined ? [] : [{ topicId: T, partitions: [target] }];
      const sessionId = sessionEpoch === 0 ? 0 : SESSION;
      return (await stage.fetch(17, { replicaState, sessionId, sessionEpoch, topics }))?.logStartOffset;
    };
    await stage.follow(10);
    await fetch(0, logStartOffset);
    expect(await fetch(1)).toBeUndefined();
    stage.log.logStartOffset = offset(5);
    expect([await fetch(2), await fetch(3)]).toEqual(told.slice(0, 2));
    await fetch(4, replicaId === OTHER ? 5 : -1);
    expect(await fetch(5)).toBe(told[2]);
  });
});
