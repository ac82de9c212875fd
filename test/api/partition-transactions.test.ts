import { describe, expect, test } from 'vitest';
import { describeProducersApi } from '#api/describe-producers';
import { listOffsetsApi } from '#api/list-offsets';
import { offsetFetchApi } from '#api/offset-fetch';
import { produceApi } from '#api/produce';
import { txnOffsetCommitApi } from '#api/txn-offset-commit';
import { writeTxnMarkersApi } from '#api/write-txn-markers';
import { coordinatorPartition } from '#coordinator/coordinator-partition';
import { ErrorCode, errorName } from '#model/errors';
import { TRANSACTION_VERSION } from '#model/features';
import { OFFSETS_TOPIC } from '#model/internal-topics';
import { writeDescribeProducersRequest } from '#protocol/generated/describe-producers-request';
import { readDescribeProducersResponse } from '#protocol/generated/describe-producers-response';
import { writeListOffsetsRequest } from '#protocol/generated/list-offsets-request';
import { readListOffsetsResponse } from '#protocol/generated/list-offsets-response';
import { writeOffsetFetchRequest } from '#protocol/generated/offset-fetch-request';
import { readOffsetFetchResponse } from '#protocol/generated/offset-fetch-response';
import { writeProduceRequest } from '#protocol/generated/produce-request';
import { readProduceResponse } from '#protocol/generated/produce-response';
import { writeTxnOffsetCommitRequest } from '#protocol/generated/txn-offset-commit-request';
import { readTxnOffsetCommitResponse } from '#protocol/generated/txn-offset-commit-response';
import { writeWriteTxnMarkersRequest } from '#protocol/generated/write-txn-markers-request';
import { readWriteTxnMarkersResponse } from '#protocol/generated/write-txn-markers-response';
import { batchOf } from '../runtime/stub-log.ts';
import { ApiStage, versionsOf } from './api-stage.ts';

const PRODUCE = 0;
const produce = { write: writeProduceRequest, read: readProduceResponse };
const markers = { write: writeWriteTxnMarkersRequest, read: readWriteTxnMarkersResponse };
const txnCommit = { write: writeTxnOffsetCommitRequest, read: readTxnOffsetCommitResponse };
const describeThem = { write: writeDescribeProducersRequest, read: readDescribeProducersResponse };
const listOffsets = { write: writeListOffsetsRequest, read: readListOffsetsResponse };
const offsetFetch = { write: writeOffsetFetchRequest, read: readOffsetFetchResponse };

interface Idea {
  readonly producerId?: number;
  readonly producerEpoch?: number;
  readonly baseSequence?: number;
  readonly transactional?: boolean;
}

function stageWithTopic(): ApiStage {
  const stage = new ApiStage().withGroups();
  stage.topic('t', 2);
  return stage;
}

/** As an administrator may, while transactions are open. */
function lowerTransactionVersion({ cluster }: ApiStage): void {
  cluster.replay([{ kind: 'featureLevel', name: TRANSACTION_VERSION, level: 1, epoch: 0 }]);
}

/** One batch to each of the partitions; the errors, in words. */
async function send(
  stage: ApiStage,
  ideas: readonly Idea[],
  { version = 11, transactionalId = 'pay' as string | null } = {},
): Promise<string[]> {
  const partitionData = ideas.map((idea, index) => {
    const whole = { producerId: 9, producerEpoch: 0, baseSequence: 0, transactional: true, ...idea };
    return { index, records: [batchOf(1, whole)[0]] };
  });
  const topicData = [{ name: 't', partitionData }];
  const request = { transactionalId, acks: -1, timeoutMs: 1_000, topicData };
  const answer = await stage.call(produceApi, produce, version, request);
  return (answer.responses[0]?.partitionResponses ?? []).map(({ errorCode }) => errorName(errorCode as ErrorCode));
}

async function end(
  stage: ApiStage,
  topic: string,
  index: number,
  { producerEpoch = 0, commits = true, coordinatorEpoch = 0, transactionVersion = 0, version = 1, producerId = 9 } = {},
): Promise<string> {
  const topics = [{ name: topic, partitionIndexes: [index] }];
  const marker = { producerId, producerEpoch, transactionResult: commits, topics, coordinatorEpoch };
  const request = { markers: [version >= 2 ? { ...marker, transactionVersion } : marker] };
  const answer = await stage.call(writeTxnMarkersApi, markers, version, request);
  const code = answer.markers[0]?.topics[0]?.partitions[0]?.errorCode ?? ErrorCode.UnknownServerError;
  return errorName(code as ErrorCode);
}

describe('Produce of a transaction', () => {
  test.each([
    [10, { adds: false, knowsAbortable: false }],
    [11, { adds: false, knowsAbortable: true }],
    [12, { adds: true, knowsAbortable: true }],
  ])('version %i verifies as its client understands it', async (version, given) => {
    const stage = stageWithTopic();
    expect(await send(stage, [{}, {}], { version })).toEqual(['NONE', 'NONE']);
    expect(stage.verified).toMatchObject([{ transactionalId: 'pay', producerId: 9, producerEpoch: 0, ...given }]);
    expect(stage.log('t', 0).batches).toHaveLength(1);
  });

  test('version 12 adds its partitions at any level of transaction.version: the client has chosen already', async () => {
    const stage = stageWithTopic();
    lowerTransactionVersion(stage);
    await send(stage, [{}], { version: 12 });
    expect(stage.verified).toMatchObject([{ adds: true }]);
  });

  test('nothing of it is in a log, and the connection’s next request waits, before it is verified', async () => {
    const stage = stageWithTopic();
    let verified: (error: ErrorCode) => void = () => {};
    stage.verdicts.set(
      'pay',
      new Promise((resolve) => {
        verified = resolve;
      }),
    );
    const answer = send(stage, [{}, { transactional: false, producerId: 5 }]);
    for (let turns = 0; turns < 20; turns += 1) await undefined;
    expect([stage.log('t', 0).batches.length, stage.log('t', 1).batches.length, stage.reachedLog]).toEqual([0, 0, []]);
    verified(ErrorCode.None);
    expect(await answer).toEqual(['NONE', 'NONE']);
    expect([stage.log('t', 0).batches.length, stage.reachedLog]).toEqual([1, [PRODUCE]]);
  });

  test.each<[ErrorCode, string, string]>([
    [ErrorCode.NetworkException, 'NOT_ENOUGH_REPLICAS', 'NOT_ENOUGH_REPLICAS'],
    [ErrorCode.CoordinatorLoadInProgress, 'NOT_ENOUGH_REPLICAS', 'NOT_ENOUGH_REPLICAS'],
    [ErrorCode.CoordinatorNotAvailable, 'NOT_ENOUGH_REPLICAS', 'NOT_ENOUGH_REPLICAS'],
    [ErrorCode.NotCoordinator, 'NOT_ENOUGH_REPLICAS', 'NOT_ENOUGH_REPLICAS'],
    [ErrorCode.OperationNotAttempted, 'NOT_ENOUGH_REPLICAS', 'NOT_ENOUGH_REPLICAS'],
    [ErrorCode.ConcurrentTransactions, 'NOT_ENOUGH_REPLICAS', 'CONCURRENT_TRANSACTIONS'],
    [ErrorCode.InvalidTxnState, 'INVALID_TXN_STATE', 'INVALID_TXN_STATE'],
    [ErrorCode.TransactionAbortable, 'TRANSACTION_ABORTABLE', 'TRANSACTION_ABORTABLE'],
    [ErrorCode.InvalidProducerIdMapping, 'INVALID_PRODUCER_ID_MAPPING', 'INVALID_PRODUCER_ID_MAPPING'],
    [ErrorCode.InvalidProducerEpoch, 'INVALID_PRODUCER_EPOCH', 'INVALID_PRODUCER_EPOCH'],
  ])(
    'what the coordinator says (%i) is told as %s, from version 12 on as %s; the rest of the request goes on',
    async (error, old, current) => {
      const stage = stageWithTopic();
      stage.verdicts.set('pay', error);
      const plain = { transactional: false, producerId: -1, producerEpoch: -1, baseSequence: -1 };
      expect(await send(stage, [{}, plain], { version: 11 })).toEqual([old, 'NONE']);
      expect(await send(stage, [{}, plain], { version: 12 })).toEqual([current, 'NONE']);
      expect(stage.log('t', 0).batches).toHaveLength(0);
    },
  );

  test('is of one producer, which the request names', async () => {
    const stage = stageWithTopic();
    const two = [{ producerId: 9 }, { producerId: 10 }];
    expect(await send(stage, two)).toEqual(['INVALID_PRODUCER_ID_MAPPING', 'INVALID_PRODUCER_ID_MAPPING']);
    expect(await send(stage, [{}], { transactionalId: null })).toEqual(['TRANSACTIONAL_ID_AUTHORIZATION_FAILED']);
    expect(stage.verified).toEqual([]);
  });

  test('T3: an epoch that a marker has ended is fenced', async () => {
    const stage = stageWithTopic();
    await send(stage, [{}]);
    await end(stage, 't', 0, { producerEpoch: 1 });
    expect(await send(stage, [{ baseSequence: 1 }])).toEqual(['INVALID_PRODUCER_EPOCH']);
    expect(await send(stage, [{ producerEpoch: 1 }])).toEqual(['NONE']);
  });
});

describe('Produce of an idempotent producer', () => {
  test.each([
    ['LogAppendTime', 'the time that its record has'],
    ['CreateTime', 'no time'],
  ])('of %s: a batch that is sent again is answered as the first time, with %s', async (type) => {
    const stage = new ApiStage();
    stage.topic('t', 1, { 'message.timestamp.type': type });
    const ask = async () => {
      const records = [batchOf(1, { producerId: 9, producerEpoch: 0, baseSequence: 0 })[0]];
      const topicData = [{ name: 't', partitionData: [{ index: 0, records }] }];
      const request = { transactionalId: null, acks: -1, timeoutMs: 1_000, topicData };
      return (await stage.call(produceApi, produce, 11, request)).responses[0]?.partitionResponses[0];
    };
    const logAppendTimeMs = type === 'LogAppendTime' ? stage.clock.wall() : -1;
    const first = await ask();
    expect(first).toMatchObject({ errorCode: ErrorCode.None, baseOffset: 0, logAppendTimeMs });
    stage.clock.advance(4_000);
    expect(await ask()).toEqual(first);
    expect(stage.log('t', 0).batches).toHaveLength(1);
  });
});

describe('WriteTxnMarkers', () => {
  test.each(versionsOf(writeTxnMarkersApi))('version %i ends a transaction where it says', async (version) => {
    const stage = stageWithTopic();
    await send(stage, [{}, {}]);
    expect(stage.partition('t', 0).lastStableOffset).toBe(0);
    expect(await end(stage, 't', 0, { version })).toBe('NONE');
    expect([stage.partition('t', 0).lastStableOffset, stage.partition('t', 1).lastStableOffset]).toEqual([2, 0]);
  });

  test('T3: a lower epoch, or an older coordinator, is fenced', async () => {
    const stage = stageWithTopic();
    await send(stage, [{ producerEpoch: 3 }]);
    expect(await end(stage, 't', 0, { producerEpoch: 2 })).toBe('INVALID_PRODUCER_EPOCH');
    expect(await end(stage, 't', 0, { producerEpoch: 3, coordinatorEpoch: 5 })).toBe('NONE');
    expect(await end(stage, 't', 0, { producerEpoch: 3, coordinatorEpoch: 4 })).toBe('TRANSACTION_COORDINATOR_FENCED');
  });

  test('transaction.version 2: a marker of the epoch of the data is none of this transaction (KIP-890)', async () => {
    const stage = stageWithTopic();
    await send(stage, [{ producerEpoch: 3 }]);
    const second = { version: 2, transactionVersion: 2 };
    expect(await end(stage, 't', 0, { ...second, producerEpoch: 3 })).toBe('INVALID_PRODUCER_EPOCH');
    expect(await end(stage, 't', 0, { ...second, producerEpoch: 4 })).toBe('NONE');
    expect(await end(stage, 't', 0, { ...second, producerEpoch: 4 })).toBe('NONE');
  });

  test('each partition answers for itself, and every marker', async () => {
    const stage = stageWithTopic();
    stage.elsewhere('t/1');
    const topics = [
      { name: 't', partitionIndexes: [0, 1] },
      { name: 'nowhere', partitionIndexes: [0] },
    ];
    const marker = (producerId: number) => ({
      producerId,
      producerEpoch: 0,
      transactionResult: true,
      topics,
      coordinatorEpoch: 0,
    });
    const { markers: answers } = await stage.call(writeTxnMarkersApi, markers, 1, { markers: [marker(1), marker(-1)] });
    const codes = (place: number) => answers[place]?.topics.map(({ partitions }) => partitions.map((p) => p.errorCode));
    expect(codes(0)).toEqual([[0, ErrorCode.UnknownTopicOrPartition], [ErrorCode.UnknownTopicOrPartition]]);
    expect(codes(1)?.[0]?.[0]).toBe(ErrorCode.InvalidRequest);
  });

  test('an answer waits until the marker is committed, for request.timeout.ms at most', async () => {
    const stage = stageWithTopic();
    stage.log('t', 0).immediate = false;
    const answer = end(stage, 't', 0);
    let told: string | undefined;
    void answer.then((error) => {
      told = error;
    });
    for (let turns = 0; turns < 20; turns += 1) await undefined;
    expect(told).toBeUndefined();
    stage.clock.advance(30_000);
    expect(await answer).toBe('REQUEST_TIMED_OUT');
  });
});

describe('TxnOffsetCommit', () => {
  async function commit(stage: ApiStage, given: object = {}, version = 3, partitionIndexes = [0]): Promise<string[]> {
    const partitions = partitionIndexes.map((partitionIndex) => ({
      partitionIndex,
      committedOffset: 42,
      committedMetadata: 'm',
    }));
    const request = {
      transactionalId: 'pay',
      groupId: 'g',
      producerId: 9,
      producerEpoch: 0,
      topics: [{ name: 't', partitions }],
      ...given,
    };
    const answer = await stage.call(txnOffsetCommitApi, txnCommit, version, request);
    return (answer.topics[0]?.partitions ?? []).map(({ errorCode }) => errorName(errorCode as ErrorCode));
  }

  async function committed(stage: ApiStage, requireStable = false) {
    const topics = [{ name: 't', partitionIndexes: [0] }];
    const request = { groups: [{ groupId: 'g', topics }], requireStable };
    const { groups } = await stage.call(offsetFetchApi, offsetFetch, 8, request);
    const found = groups[0]?.topics[0]?.partitions[0];
    return found?.errorCode === 0 ? found.committedOffset : errorName((found?.errorCode ?? -1) as ErrorCode);
  }

  const partitionOf = (group: string) => coordinatorPartition(group, 4);

  test.each(versionsOf(txnOffsetCommitApi))(
    'version %i commits offsets that count with the marker',
    async (version) => {
      const stage = stageWithTopic();
      expect(await commit(stage, {}, version)).toEqual(['NONE']);
      expect(stage.verified).toMatchObject([
        { transactionalId: 'pay', adds: version >= 5, knowsAbortable: version >= 4 },
      ]);
      expect([await committed(stage), await committed(stage, true)]).toEqual([-1, 'UNSTABLE_OFFSET_COMMIT']);
      expect(await end(stage, OFFSETS_TOPIC, partitionOf('g'))).toBe('NONE');
      expect(await committed(stage, true)).toBe(42);
    },
  );

  test('version 5 adds its partition at any level of transaction.version', async () => {
    const stage = stageWithTopic();
    lowerTransactionVersion(stage);
    await commit(stage, {}, 5);
    expect(stage.verified).toMatchObject([{ adds: true }]);
  });

  test('an aborted one leaves what there was', async () => {
    const stage = stageWithTopic();
    await commit(stage);
    await end(stage, OFFSETS_TOPIC, partitionOf('g'), { commits: false });
    expect(await committed(stage, true)).toBe(-1);
  });

  test('is verified as a batch is, and the answer is in words that clients of groups know', async () => {
    const stage = stageWithTopic();
    for (const [error, told] of [
      [ErrorCode.NetworkException, 'COORDINATOR_LOAD_IN_PROGRESS'],
      [ErrorCode.InvalidTxnState, 'INVALID_TXN_STATE'],
      [ErrorCode.InvalidProducerEpoch, 'INVALID_PRODUCER_EPOCH'],
      [ErrorCode.CoordinatorNotAvailable, 'COORDINATOR_NOT_AVAILABLE'],
    ] as const) {
      stage.verdicts.set('pay', error);
      expect(await commit(stage)).toEqual([told]);
    }
    expect(stage.log(OFFSETS_TOPIC, partitionOf('g')).batches).toHaveLength(0);
  });

  test('T3: a lower epoch is fenced, whatever the coordinator of its transaction said', async () => {
    const stage = stageWithTopic();
    await end(stage, OFFSETS_TOPIC, partitionOf('g'), { producerEpoch: 4 });
    expect(await commit(stage, { producerEpoch: 3 })).toEqual(['INVALID_PRODUCER_EPOCH']);
  });

  test('partitions that are not known are refused, and a group without a name', async () => {
    const stage = stageWithTopic();
    expect(await commit(stage, {}, 3, [0, 7])).toEqual(['NONE', 'UNKNOWN_TOPIC_OR_PARTITION']);
    expect(await commit(stage, { groupId: '' })).toEqual(['INVALID_GROUP_ID']);
    expect(await commit(stage, { producerId: -1 })).toEqual(['INVALID_PRODUCER_ID_MAPPING']);
  });

  test('a member that is none is fenced before anything is written (KIP-447)', async () => {
    const stage = stageWithTopic();
    expect(await commit(stage, { memberId: 'x', generationId: 1 })).toEqual(['ILLEGAL_GENERATION']);
    expect(stage.log(OFFSETS_TOPIC, partitionOf('g')).batches).toHaveLength(0);
  });
});

describe('what hangs', () => {
  test('DescribeProducers tells who has a transaction open since where, and a marker ends it (KIP-664)', async () => {
    const stage = stageWithTopic();
    await send(stage, [{}]);
    await send(stage, [{ baseSequence: 1 }]);
    const ask = async (index = 0) => {
      const topics = [{ name: 't', partitionIndexes: [index] }];
      return (await stage.call(describeProducersApi, describeThem, 0, { topics })).topics[0]?.partitions[0];
    };
    const producer = { producerId: 9, producerEpoch: 0, lastSequence: 1, lastTimestamp: 1000, coordinatorEpoch: -1 };
    expect(await ask()).toMatchObject({ errorCode: 0, activeProducers: [{ ...producer, currentTxnStartOffset: 0 }] });
    await end(stage, 't', 0, { commits: false, coordinatorEpoch: 6 });
    expect((await ask())?.activeProducers).toMatchObject([{ coordinatorEpoch: 6, currentTxnStartOffset: -1 }]);
    expect(await ask(9)).toMatchObject({ errorCode: ErrorCode.UnknownTopicOrPartition, activeProducers: [] });
    stage.partition('t', 1).retire(ErrorCode.KafkaStorageError);
    expect(await ask(1)).toMatchObject({ errorCode: ErrorCode.NotLeaderOrFollower });
  });

  test('ListOffsets tells read_committed consumers the last stable offset as the end', async () => {
    const stage = stageWithTopic();
    await send(stage, [{}]);
    const ask = async (isolationLevel: number) => {
      const topics = [{ name: 't', partitions: [{ partitionIndex: 0, timestamp: -1 }] }];
      const answer = await stage.call(listOffsetsApi, listOffsets, 7, { replicaId: -1, isolationLevel, topics });
      return answer.topics[0]?.partitions[0]?.offset;
    };
    expect([await ask(0), await ask(1)]).toEqual([1, 0]);
    await end(stage, 't', 0);
    expect([await ask(0), await ask(1)]).toEqual([2, 2]);
  });
});
