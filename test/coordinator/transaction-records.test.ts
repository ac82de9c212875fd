import { describe, expect, test } from 'vitest';
import { readTransactionRecord, transactionRecord } from '#coordinator/transaction-records';
import { NO_PARTITIONS, type Transaction, TransactionState } from '#coordinator/transaction-state';
import { ProtocolError } from '#protocol/protocol-error';

const KEY = '0000000762696c6c696e67';

const EMPTY: Transaction = {
  producerId: 7,
  previousProducerId: 7,
  nextProducerId: -1,
  producerEpoch: 0,
  nextProducerEpoch: -1,
  timeoutMs: 60_000,
  state: TransactionState.Empty,
  partitions: NO_PARTITIONS,
  updatedAt: 1_700_000_000_000,
  startedAt: -1,
  clientVersion: 0,
};
const ONGOING: Transaction = {
  ...EMPTY,
  producerEpoch: 3,
  state: TransactionState.Ongoing,
  partitions: new Map([['orders', new Set([1])]]),
  updatedAt: 1_700_000_000_005,
  startedAt: 1_700_000_000_000,
};
const PREPARED: Transaction = {
  ...ONGOING,
  nextProducerId: 100,
  producerEpoch: 32_767,
  state: TransactionState.PrepareCommit,
  clientVersion: 2,
};
const COMPLETE: Transaction = {
  ...PREPARED,
  producerId: 100,
  nextProducerId: -1,
  producerEpoch: 0,
  state: TransactionState.CompleteCommit,
  partitions: NO_PARTITIONS,
  updatedAt: 1_700_000_000_009,
};

function hex(bytes: Uint8Array | null): string | null {
  return bytes === null ? null : Buffer.from(bytes).toString('hex');
}

function bytes(text: string): Uint8Array {
  return Buffer.from(text, 'hex');
}

/** As TransactionLog.valueToBytes of Kafka 4.3.1's transaction coordinator writes them. */
const WRITTEN_BY_KAFKA: readonly [name: string, transaction: Transaction, version: number, value: string][] = [
  [
    'empty, transaction.version 0',
    EMPTY,
    0,
    '0000000000000000000700000000ea6000ffffffff0000018bcfe56800ffffffffffffffff',
  ],
  [
    'empty, transaction.version 1',
    EMPTY,
    1,
    '0001000000000000000700000000ea6000000000018bcfe56800ffffffffffffffff0100080000000000000007',
  ],
  [
    'empty, transaction.version 2',
    EMPTY,
    2,
    '0001000000000000000700000000ea6000000000018bcfe56800ffffffffffffffff0100080000000000000007',
  ],
  [
    'open, transaction.version 0',
    ONGOING,
    0,
    '0000000000000000000700030000ea60010000000100066f726465727300000001000000010000018bcfe568050000018bcfe56800',
  ],
  [
    'open, transaction.version 1',
    ONGOING,
    1,
    '0001000000000000000700030000ea600102076f72646572730200000001000000018bcfe568050000018bcfe568000100080000000000000007',
  ],
  [
    'open, of a client of version 2',
    { ...ONGOING, clientVersion: 2 },
    2,
    '0001000000000000000700030000ea600102076f72646572730200000001000000018bcfe568050000018bcfe56800020008000000000000000702020002',
  ],
  [
    'decided, with another id to come',
    PREPARED,
    2,
    '000100000000000000077fff0000ea600202076f72646572730200000001000000018bcfe568050000018bcfe5680003000800000000000000070108000000000000006402020002',
  ],
  [
    'complete, with another id',
    COMPLETE,
    2,
    '0001000000000000006400000000ea6004010000018bcfe568090000018bcfe56800020008000000000000000702020002',
  ],
];

describe('records of __transaction_state', () => {
  test.each(WRITTEN_BY_KAFKA)('are written as Kafka 4.3.1 writes them: %s', (_, transaction, version, value) => {
    const record = transactionRecord('billing', transaction, version);
    expect([hex(record.key), hex(record.value)]).toEqual([KEY, value]);
  });

  test.each(WRITTEN_BY_KAFKA)('are read back: %s', (_, transaction, version, value) => {
    const read = readTransactionRecord({ key: bytes(KEY), value: bytes(value) });
    const kept = version === 0 ? { ...transaction, previousProducerId: -1 } : transaction;
    expect(read).toEqual({ kind: 'transaction', transactionalId: 'billing', value: kept });
  });

  test('what only the flexible format holds is not lost under transaction.version 0', () => {
    const record = transactionRecord('billing', PREPARED, 0);
    expect(readTransactionRecord(record)).toMatchObject({ value: PREPARED });
  });

  test('a forgotten id is a tombstone', () => {
    const record = transactionRecord('billing', null, 2);
    expect([hex(record.key), record.value]).toEqual([KEY, null]);
    expect(readTransactionRecord(record)).toEqual({
      kind: 'transaction',
      transactionalId: 'billing',
      value: undefined,
    });
  });

  test('keys of later versions of Kafka are left alone', () => {
    expect(readTransactionRecord({ key: bytes('000100'), value: null })).toEqual({ kind: 'unknown', type: 1 });
  });

  test.each([
    ['an unknown version', '0002'],
    ['the end of a record', '000000000000000000'],
    ['a state that is never logged', '0000000000000000000700000000ea6006ffffffff0000018bcfe56800ffffffffffffffff'],
  ])('%s is an error', (_, value) => {
    expect(() => readTransactionRecord({ key: bytes(KEY), value: bytes(value) })).toThrow(ProtocolError);
  });
});
