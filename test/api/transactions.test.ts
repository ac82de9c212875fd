import { describe, expect, test } from 'vitest';
import { addOffsetsToTxnApi } from '#api/add-offsets-to-txn';
import { addPartitionsToTxnApi } from '#api/add-partitions-to-txn';
import { describeTransactionsApi } from '#api/describe-transactions';
import { endTxnApi } from '#api/end-txn';
import { findCoordinatorApi } from '#api/find-coordinator';
import { initProducerIdApi } from '#api/init-producer-id';
import { listTransactionsApi } from '#api/list-transactions';
import { coordinatorPartition } from '#coordinator/coordinator-partition';
import { ErrorCode } from '#model/errors';
import { OFFSETS_TOPIC, TRANSACTIONS_TOPIC } from '#model/internal-topics';
import { writeAddOffsetsToTxnRequest } from '#protocol/generated/add-offsets-to-txn-request';
import { readAddOffsetsToTxnResponse } from '#protocol/generated/add-offsets-to-txn-response';
import { writeAddPartitionsToTxnRequest } from '#protocol/generated/add-partitions-to-txn-request';
import { readAddPartitionsToTxnResponse } from '#protocol/generated/add-partitions-to-txn-response';
import { writeDescribeTransactionsRequest } from '#protocol/generated/describe-transactions-request';
import { readDescribeTransactionsResponse } from '#protocol/generated/describe-transactions-response';
import { writeEndTxnRequest } from '#protocol/generated/end-txn-request';
import { readEndTxnResponse } from '#protocol/generated/end-txn-response';
import { writeFindCoordinatorRequest } from '#protocol/generated/find-coordinator-request';
import { readFindCoordinatorResponse } from '#protocol/generated/find-coordinator-response';
import { writeInitProducerIdRequest } from '#protocol/generated/init-producer-id-request';
import { readInitProducerIdResponse } from '#protocol/generated/init-producer-id-response';
import { writeListTransactionsRequest } from '#protocol/generated/list-transactions-request';
import { readListTransactionsResponse } from '#protocol/generated/list-transactions-response';
import type { WriteTxnMarkersRequestInput } from '#protocol/generated/write-txn-markers-request';
import { ApiStage, versionsOf } from './api-stage.ts';

const initialising = { write: writeInitProducerIdRequest, read: readInitProducerIdResponse };
const addingPartitions = { write: writeAddPartitionsToTxnRequest, read: readAddPartitionsToTxnResponse };
const addingOffsets = { write: writeAddOffsetsToTxnRequest, read: readAddOffsetsToTxnResponse };
const ending = { write: writeEndTxnRequest, read: readEndTxnResponse };
const describing = { write: writeDescribeTransactionsRequest, read: readDescribeTransactionsResponse };
const listing = { write: writeListTransactionsRequest, read: readListTransactionsResponse };
const finding = { write: writeFindCoordinatorRequest, read: readFindCoordinatorResponse };

/** From it on a client knows PRODUCER_FENCED. */
const FENCED_SINCE = { init: 4, others: 2 };
const FIRST_ID = 1000;
const T = { transactionalId: 't', producerId: FIRST_ID };

/** With topics, the one of transactions, and brokers that write the markers that they are asked for. */
function stage(): ApiStage {
  const made = new ApiStage().withTransactions();
  made.topic('orders', 2);
  made.askedOfBrokers = async (request) => markersWritten(request as WriteTxnMarkersRequestInput);
  return made;
}

function markersWritten({ markers }: WriteTxnMarkersRequestInput) {
  return {
    markers: markers.map(({ producerId, topics }) => ({
      producerId,
      topics: topics.map(({ name, partitionIndexes }) => ({
        name,
        partitions: partitionIndexes.map((partitionIndex) => ({ partitionIndex, errorCode: 0 })),
      })),
    })),
  };
}

function init(on: ApiStage, version = 5, more: object = {}) {
  return on.call(initProducerIdApi, initialising, version, {
    transactionalId: 't',
    transactionTimeoutMs: 60_000,
    ...more,
  });
}

function add(on: ApiStage, producerEpoch: number, version = 3, topics = [{ name: 'orders', partitions: [0] }]) {
  return on.call(addPartitionsToTxnApi, addingPartitions, version, {
    transactions: [],
    v3AndBelowTransactionalId: 't',
    v3AndBelowProducerId: FIRST_ID,
    v3AndBelowProducerEpoch: producerEpoch,
    v3AndBelowTopics: topics,
  });
}

/** As another broker asks, for a producer of transaction.version 2. */
function addFor(on: ApiStage, version: number, transactions: readonly object[]) {
  return on.call(addPartitionsToTxnApi, addingPartitions, version, {
    transactions: transactions.map((transaction) => ({
      ...T,
      producerEpoch: 0,
      verifyOnly: false,
      topics: [{ name: 'orders', partitions: [0] }],
      ...transaction,
    })),
    v3AndBelowTransactionalId: '',
    v3AndBelowProducerId: 0,
    v3AndBelowProducerEpoch: 0,
    v3AndBelowTopics: [],
  });
}

async function end(on: ApiStage, producerEpoch: number, version: number, committed = true) {
  const answer = await on.call(endTxnApi, ending, version, { ...T, producerEpoch, committed });
  // Markers follow.
  on.clock.turn();
  for (let turns = 0; turns < 20; turns += 1) await undefined;
  on.clock.turn();
  return answer;
}

async function stateOf(on: ApiStage): Promise<string | undefined> {
  const described = await on.call(describeTransactionsApi, describing, 0, { transactionalIds: ['t'] });
  return described.transactionStates[0]?.transactionState;
}

function partitionErrors(
  results: readonly { readonly name: string; readonly resultsByPartition: readonly object[] }[],
) {
  return results.flatMap(({ name, resultsByPartition }) =>
    (resultsByPartition as { partitionIndex: number; partitionErrorCode: number }[]).map(
      ({ partitionIndex, partitionErrorCode }) => [`${name}-${partitionIndex}`, partitionErrorCode],
    ),
  );
}

describe('InitProducerId', () => {
  test.each(versionsOf(initProducerIdApi))('version %i gets an id and a new epoch each time', async (version) => {
    const on = stage();
    const identity = { errorCode: ErrorCode.None, producerId: FIRST_ID };
    expect(await init(on, version)).toMatchObject({ ...identity, producerEpoch: 0 });
    expect(await init(on, version)).toMatchObject({ ...identity, producerEpoch: 1 });
  });

  test.each(versionsOf(initProducerIdApi))(
    'version %i without a transactional id gets a new id each time',
    async (version) => {
      const on = new ApiStage();
      const ids = [
        await init(on, version, { transactionalId: null }),
        await init(on, version, { transactionalId: null }),
      ];
      expect(ids.map(({ producerId, producerEpoch }) => [producerId, producerEpoch])).toEqual([
        [FIRST_ID, 0],
        [FIRST_ID + 1, 0],
      ]);
    },
  );

  test.each(versionsOf(initProducerIdApi))(
    'version %i without a transactional id waits for new ids, and looks for no coordinator',
    async (version) => {
      const on = new ApiStage();
      on.producerIdBlock = undefined;
      const none = { errorCode: ErrorCode.CoordinatorLoadInProgress, producerId: -1, producerEpoch: -1 };
      expect(await init(on, version, { transactionalId: null })).toMatchObject(none);
    },
  );

  test.each([3, 4, 5])('a fenced producer of version %i is told so as it knows it (KIP-588)', async (version) => {
    const on = stage();
    await init(on);
    await init(on);
    const errorCode = version < FENCED_SINCE.init ? ErrorCode.InvalidProducerEpoch : ErrorCode.ProducerFenced;
    const fenced = await init(on, version, { producerId: FIRST_ID, producerEpoch: 0 });
    expect(fenced).toMatchObject({ errorCode, producerId: -1, producerEpoch: -1 });
  });

  test('a producer that goes on names its id and its epoch, or neither', async () => {
    const on = stage();
    await init(on);
    expect(await init(on, 5, { producerId: FIRST_ID })).toMatchObject({ errorCode: ErrorCode.InvalidRequest });
    expect(await init(on, 5, { producerEpoch: 0 })).toMatchObject({ errorCode: ErrorCode.InvalidRequest });
    expect(await init(on, 5, { producerId: FIRST_ID, producerEpoch: 0 })).toMatchObject({ producerEpoch: 1 });
  });

  test.each([
    [{ transactionTimeoutMs: 900_001 }, ErrorCode.InvalidTransactionTimeout],
    [{ transactionTimeoutMs: 0 }, ErrorCode.InvalidTransactionTimeout],
    [{ transactionalId: '' }, ErrorCode.InvalidRequest],
  ])('%j is refused', async (more, errorCode) => {
    expect(await init(stage(), 5, more)).toMatchObject({ errorCode, producerId: -1, producerEpoch: -1 });
  });

  test('without a transactions topic there is no coordinator', async () => {
    expect(await init(new ApiStage())).toMatchObject({ errorCode: ErrorCode.NotCoordinator });
  });

  test('aborts the transaction of the process before first', async () => {
    const on = stage();
    await init(on);
    await add(on, 0);
    expect(await init(on)).toMatchObject({ errorCode: ErrorCode.ConcurrentTransactions, producerId: -1 });
    on.clock.turn();
    for (let turns = 0; turns < 20; turns += 1) await undefined;
    expect(await stateOf(on)).toBe('CompleteAbort');
    expect(await init(on)).toMatchObject({ errorCode: ErrorCode.None, producerEpoch: 2 });
  });
});

describe('AddPartitionsToTxn', () => {
  test.each([0, 1, 2, 3])('version %i of clients', async (version) => {
    const on = stage();
    await init(on);
    const topics = [{ name: 'orders', partitions: [0, 1] }];
    const { resultsByTopicV3AndBelow } = await add(on, 0, version, topics);
    expect(partitionErrors(resultsByTopicV3AndBelow)).toEqual([
      ['orders-0', ErrorCode.None],
      ['orders-1', ErrorCode.None],
    ]);
    const stale = version < FENCED_SINCE.others ? ErrorCode.InvalidProducerEpoch : ErrorCode.ProducerFenced;
    expect(partitionErrors((await add(on, 5, version)).resultsByTopicV3AndBelow)).toEqual([['orders-0', stale]]);
  });

  test.each([4, 5])('version %i of brokers, for several producers at once', async (version) => {
    const on = stage();
    await init(on);
    await init(on, 5, { transactionalId: 'u' });
    const { errorCode, resultsByTransaction } = await addFor(on, version, [
      {},
      { transactionalId: 'u', producerId: FIRST_ID + 1, producerEpoch: 3 },
      { transactionalId: 'nobody' },
    ]);
    expect(errorCode).toBe(ErrorCode.None);
    expect(
      resultsByTransaction.map(({ transactionalId, topicResults }) => [
        transactionalId,
        ...partitionErrors(topicResults),
      ]),
    ).toEqual([
      ['t', ['orders-0', ErrorCode.None]],
      ['u', ['orders-0', ErrorCode.ProducerFenced]],
      ['nobody', ['orders-0', ErrorCode.InvalidProducerIdMapping]],
    ]);
  });

  test.each([
    [4, ErrorCode.InvalidTxnState],
    [5, ErrorCode.TransactionAbortable],
  ])('version %i verifies without adding', async (version, notInIt) => {
    const on = stage();
    await init(on);
    await add(on, 0);
    const topics = [{ name: 'orders', partitions: [0, 1] }];
    const verified = await addFor(on, version, [{ verifyOnly: true, topics }]);
    expect(partitionErrors(verified.resultsByTransaction[0]?.topicResults ?? [])).toEqual([
      ['orders-0', ErrorCode.None],
      ['orders-1', notInIt],
    ]);
    const fenced = await addFor(on, version, [{ verifyOnly: true, producerEpoch: 4, topics }]);
    expect(partitionErrors(fenced.resultsByTransaction[0]?.topicResults ?? [])).toEqual([
      ['orders-0', ErrorCode.ProducerFenced],
      ['orders-1', ErrorCode.ProducerFenced],
    ]);
  });

  test('adds all partitions or none', async () => {
    const on = stage();
    await init(on);
    const topics = [
      { name: 'orders', partitions: [0, 7] },
      { name: 'nothing', partitions: [0] },
    ];
    expect(partitionErrors((await add(on, 0, 3, topics)).resultsByTopicV3AndBelow)).toEqual([
      ['orders-0', ErrorCode.OperationNotAttempted],
      ['orders-7', ErrorCode.UnknownTopicOrPartition],
      ['nothing-0', ErrorCode.UnknownTopicOrPartition],
    ]);
    expect(await stateOf(on)).toBe('Empty');
  });
});

describe('AddOffsetsToTxn', () => {
  test.each(versionsOf(addOffsetsToTxnApi))('version %i adds the partition of the group', async (version) => {
    const on = stage().withGroups();
    await init(on);
    const asked = { ...T, producerEpoch: 0, groupId: 'g' };
    expect(await on.call(addOffsetsToTxnApi, addingOffsets, version, asked)).toMatchObject({ errorCode: 0 });
    const { transactionStates } = await on.call(describeTransactionsApi, describing, 0, { transactionalIds: ['t'] });
    expect(transactionStates[0]?.topics).toEqual([
      { topic: OFFSETS_TOPIC, partitions: [coordinatorPartition('g', 4)] },
    ]);
    const stale = version < FENCED_SINCE.others ? ErrorCode.InvalidProducerEpoch : ErrorCode.ProducerFenced;
    const fenced = await on.call(addOffsetsToTxnApi, addingOffsets, version, { ...asked, producerEpoch: 1 });
    expect(fenced.errorCode).toBe(stale);
  });

  test('waits for the offsets topic: a partition that its coordinator does not know would get no marker, and its offsets no end', async () => {
    const on = stage();
    await init(on);
    const asked = on.call(addOffsetsToTxnApi, addingOffsets, 4, { ...T, producerEpoch: 0, groupId: 'g' });
    on.clock.advance(20);
    expect(await stateOf(on)).toBe('Empty');
    on.withGroups();
    on.clock.advance(20);
    expect((await asked).errorCode).toBe(ErrorCode.None);
    const { transactionStates } = await on.call(describeTransactionsApi, describing, 0, { transactionalIds: ['t'] });
    expect(transactionStates[0]?.topics).toEqual([
      { topic: OFFSETS_TOPIC, partitions: [coordinatorPartition('g', 4)] },
    ]);
  });

  test('without an offsets topic nothing is added: COORDINATOR_NOT_AVAILABLE after five seconds', async () => {
    const on = stage();
    await init(on);
    const asked = on.call(addOffsetsToTxnApi, addingOffsets, 4, { ...T, producerEpoch: 0, groupId: 'g' });
    for (let waitedMs = 0; waitedMs < 5_000; waitedMs += 20) {
      for (let turns = 0; turns < 10; turns += 1) await undefined;
      on.clock.advance(20);
    }
    expect((await asked).errorCode).toBe(ErrorCode.CoordinatorNotAvailable);
    expect(await stateOf(on)).toBe('Empty');
  });
});

describe('EndTxn', () => {
  test.each(versionsOf(endTxnApi))('version %i ends one transaction after the other', async (version) => {
    const on = stage();
    await init(on);
    const bumps = version >= 5;
    for (const [index, committed] of [true, false, true].entries()) {
      const epoch = bumps ? index : 0;
      await add(on, epoch);
      const next = bumps ? { producerId: FIRST_ID, producerEpoch: epoch + 1 } : { producerId: -1, producerEpoch: -1 };
      expect(await end(on, epoch, version, committed)).toMatchObject({ errorCode: ErrorCode.None, ...next });
      expect(await stateOf(on)).toBe(committed ? 'CompleteCommit' : 'CompleteAbort');
    }
  });

  test.each(versionsOf(endTxnApi))('a fenced producer of version %i is told so as it knows it', async (version) => {
    const on = stage();
    await init(on);
    await init(on);
    await add(on, 1);
    const errorCode = version < FENCED_SINCE.others ? ErrorCode.InvalidProducerEpoch : ErrorCode.ProducerFenced;
    expect(await end(on, 0, version)).toMatchObject({ errorCode, producerId: -1, producerEpoch: -1 });
    expect(await stateOf(on)).toBe('Ongoing');
  });

  test('while markers are pending the transaction is not over', async () => {
    const on = stage();
    on.askedOfBrokers = () => new Promise(() => {});
    await init(on);
    await add(on, 0);
    await end(on, 0, 5);
    expect(await end(on, 0, 5)).toMatchObject({ errorCode: ErrorCode.ConcurrentTransactions });
    expect(partitionErrors((await add(on, 1)).resultsByTopicV3AndBelow)).toEqual([
      ['orders-0', ErrorCode.ConcurrentTransactions],
    ]);
    expect(await stateOf(on)).toBe('PrepareCommit');
  });
});

describe('DescribeTransactions and ListTransactions', () => {
  test('tell of a transactional id, or why not', async () => {
    const on = stage();
    await init(on);
    await add(on, 0);
    const transactionalIds = ['t', 'nobody', ''];
    const { transactionStates } = await on.call(describeTransactionsApi, describing, 0, { transactionalIds });
    const startedAt = on.clock.wall();
    expect(transactionStates).toMatchObject([
      {
        ...T,
        errorCode: ErrorCode.None,
        transactionState: 'Ongoing',
        transactionTimeoutMs: 60_000,
        transactionStartTimeMs: startedAt,
        producerEpoch: 0,
        topics: [{ topic: 'orders', partitions: [0] }],
      },
      { errorCode: ErrorCode.TransactionalIdNotFound, transactionalId: 'nobody' },
      { errorCode: ErrorCode.InvalidRequest, transactionalId: '' },
    ]);
    const elsewhere = await new ApiStage().call(describeTransactionsApi, describing, 0, { transactionalIds: ['t'] });
    expect(elsewhere.transactionStates).toMatchObject([{ errorCode: ErrorCode.NotCoordinator, transactionalId: 't' }]);
  });

  test.each(versionsOf(listTransactionsApi))('version %i lists them by its filters', async (version) => {
    const on = stage();
    await init(on);
    await add(on, 0);
    on.clock.advance(5_000);
    await init(on, 5, { transactionalId: 'u' });
    const list = async (more: object) => {
      const asked = { stateFilters: [], producerIdFilters: [], ...more };
      const { transactionStates } = await on.call(listTransactionsApi, listing, version, asked);
      return transactionStates.map(({ transactionalId }) => transactionalId).sort();
    };
    expect(await list({})).toEqual(['t', 'u']);
    expect(await list({ stateFilters: ['Empty', 'Sleeping'] })).toEqual(['u']);
    expect(await list({ producerIdFilters: [FIRST_ID, 7] })).toEqual(['t']);
    if (version >= 1) expect(await list({ durationFilter: 4_999, stateFilters: ['Ongoing'] })).toEqual(['t']);
    if (version >= 1) expect(await list({ durationFilter: 5_000, stateFilters: ['Ongoing'] })).toEqual([]);
    if (version >= 2) expect(await list({ transactionalIdPattern: '[s-t]' })).toEqual(['t']);
  });

  test('name the states that are none', async () => {
    const asked = { stateFilters: ['Ongoing', 'Sleeping', 'ongoing'], producerIdFilters: [] };
    const answer = await stage().call(listTransactionsApi, listing, 2, asked);
    expect(answer).toMatchObject({ errorCode: ErrorCode.None, unknownStateFilters: ['Sleeping', 'ongoing'] });
  });

  test('refuse a pattern that is none', async () => {
    const asked = { stateFilters: [], producerIdFilters: [], transactionalIdPattern: '(' };
    const answer = await stage().call(listTransactionsApi, listing, 2, asked);
    expect(answer).toMatchObject({ errorCode: ErrorCode.InvalidRegularExpression, transactionStates: [] });
  });
});

describe('FindCoordinator', () => {
  test.each([1, 3, 6])('version %i finds who coordinates a transactional id', async (version) => {
    const on = stage();
    const asked = version < 4 ? { key: 't', keyType: 1 } : { keyType: 1, coordinatorKeys: ['t'] };
    const answer = await on.call(findCoordinatorApi, finding, version, asked);
    const found = version < 4 ? answer : answer.coordinators[0];
    expect(found).toMatchObject({ errorCode: ErrorCode.None, nodeId: 1 });
    const nowhere = await new ApiStage().call(findCoordinatorApi, finding, version, asked);
    expect(version < 4 ? nowhere : nowhere.coordinators[0]).toMatchObject({
      errorCode: ErrorCode.CoordinatorNotAvailable,
    });
  });
});

test('transactions are logged in the topic that is kept for them, and nothing else is', async () => {
  const on = stage();
  await init(on);
  await add(on, 0);
  await end(on, 0, 5);
  const index = coordinatorPartition('t', 4);
  expect(on.log(TRANSACTIONS_TOPIC, index).batches.length).toBe(4);
});
