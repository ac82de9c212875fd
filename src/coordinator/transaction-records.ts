/**
 * The records of __transaction_state, byte for byte as Kafka 4.3 writes them. A key begins with its record type (int16),
 * a value with its version (int16).
 */
import { readTransactionLogKey, writeTransactionLogKey } from '#protocol/generated/transaction-log-key';
import { readTransactionLogValue, writeTransactionLogValue } from '#protocol/generated/transaction-log-value';
import { ProtocolError } from '#protocol/protocol-error';
import { Reader } from '#protocol/reader';
import { Writer } from '#protocol/writer';
import { joined } from './bytes.ts';
import type { CoordinatorRecord } from './effects.ts';
import {
  FIRST_WITH_EPOCH_BUMP,
  NO_EPOCH,
  NO_PRODUCER_ID,
  type Transaction,
  TransactionState,
} from './transaction-state.ts';

const TRANSACTION_LOG = 0;
const KEY_VERSION = 0;
const PLAIN_VERSION = 0;
const FLEXIBLE_VERSION = 1;
/** From this transaction.version on every broker reads the flexible version. */
const FIRST_WITH_FLEXIBLE = 1;

/** What a record says; `value` is undefined in a tombstone. */
export type TransactionRecord =
  | { readonly kind: 'transaction'; readonly transactionalId: string; readonly value: Transaction | undefined }
  /** Of a later Kafka: kept in the log and otherwise ignored, as Kafka does. */
  | { readonly kind: 'unknown'; readonly type: number };

/** `version` is the cluster's transaction.version: it decides the format, unless that would lose something. */
export function transactionRecord(
  transactionalId: string,
  transaction: Transaction | null,
  version: number,
): CoordinatorRecord {
  const keyWriter = new Writer();
  keyWriter.int16(TRANSACTION_LOG);
  writeTransactionLogKey(keyWriter, { transactionalId }, KEY_VERSION);
  const key = joined(keyWriter);
  if (transaction === null) return { key, value: null };
  const isFlexible = version >= FIRST_WITH_FLEXIBLE || transaction.clientVersion >= FIRST_WITH_EPOCH_BUMP;
  const valueVersion = isFlexible ? FLEXIBLE_VERSION : PLAIN_VERSION;
  const writer = new Writer();
  writer.int16(valueVersion);
  const partitions = [...transaction.partitions].map(([topic, of]) => ({ topic, partitionIds: [...of] }));
  writeTransactionLogValue(
    writer,
    {
      producerId: transaction.producerId,
      producerEpoch: transaction.producerEpoch,
      transactionTimeoutMs: transaction.timeoutMs,
      transactionStatus: transaction.state,
      transactionPartitions: transaction.state === TransactionState.Empty ? null : partitions,
      transactionLastUpdateTimestampMs: transaction.updatedAt,
      transactionStartTimestampMs: transaction.startedAt,
      previousProducerId: isFlexible ? transaction.previousProducerId : NO_PRODUCER_ID,
      nextProducerId: isFlexible ? transaction.nextProducerId : NO_PRODUCER_ID,
      clientTransactionVersion: isFlexible ? transaction.clientVersion : 0,
      nextProducerEpoch: isFlexible ? transaction.nextProducerEpoch : NO_EPOCH,
    },
    valueVersion,
  );
  return { key, value: joined(writer) };
}

/** Reads every version; throws ProtocolError on bytes that no Kafka wrote. */
export function readTransactionRecord(record: CoordinatorRecord): TransactionRecord {
  const key = new Reader(record.key);
  const type = key.int16();
  if (type !== TRANSACTION_LOG) return { kind: 'unknown', type };
  const { transactionalId } = readTransactionLogKey(key, KEY_VERSION);
  return { kind: 'transaction', transactionalId, value: readValue(record.value) };
}

function readValue(bytes: Uint8Array | null): Transaction | undefined {
  if (bytes === null) return undefined;
  const reader = new Reader(bytes);
  const value = readTransactionLogValue(reader, reader.int16());
  return {
    producerId: value.producerId,
    previousProducerId: value.previousProducerId,
    nextProducerId: value.nextProducerId,
    producerEpoch: value.producerEpoch,
    nextProducerEpoch: value.nextProducerEpoch,
    timeoutMs: value.transactionTimeoutMs,
    state: loggedState(value.transactionStatus),
    partitions: new Map(
      (value.transactionPartitions ?? []).map(({ topic, partitionIds }) => [topic, new Set(partitionIds)]),
    ),
    updatedAt: value.transactionLastUpdateTimestampMs,
    startedAt: value.transactionStartTimestampMs,
    clientVersion: value.clientTransactionVersion,
  };
}

function loggedState(state: number): TransactionState {
  if (state < TransactionState.Empty || state > TransactionState.CompleteAbort)
    throw new ProtocolError('malformed', `a transaction in state ${state}`);
  return state as TransactionState;
}
