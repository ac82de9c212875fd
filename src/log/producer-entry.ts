import type { Timestamp } from '#base/ports';
import type { Offset, ProducerId } from '#model/ids';

/**
 * Retries of this many last batches are recognised. An idempotent producer has five requests in flight on a connection, but each leader has
 * its own: where leadership moves, five batches of the former leader, replicated in time, may be followed by five at the next one, and all
 * of them be sent again. A batch that is not recognised is out of order to its producer, and Java's may then repeat it in vain for as long as
 * delivery.timeout.ms. (Apache Kafka keeps five.)
 */
const BATCHES_KEPT = 15;
const SEQUENCE_MAX = 0x7fff_ffff;
export const NO_SEQUENCE = -1;

export interface KeptBatch {
  readonly lastSequence: number;
  readonly lastOffset: Offset;
  /** lastOffset − first offset. */
  readonly offsetDelta: number;
  readonly timestamp: Timestamp;
}

/** What a partition remembers of one producer. Owned and changed by ProducerStates. */
export interface ProducerEntry {
  readonly producerId: ProducerId;
  epoch: number;
  /** Of the coordinator that wrote the last marker; -1 before any. */
  coordinatorEpoch: number;
  lastTimestamp: Timestamp;
  /** Where the open transaction began; undefined if none is open. */
  openTransactionAt: Offset | undefined;
  /** Of the current epoch, oldest first, at most BATCHES_KEPT. */
  batches: KeptBatch[];
}

export function newProducerEntry(producerId: ProducerId, epoch: number): ProducerEntry {
  return { producerId, epoch, coordinatorEpoch: -1, lastTimestamp: -1, openTransactionAt: undefined, batches: [] };
}

export function moveToEpoch(entry: ProducerEntry, epoch: number): void {
  if (entry.epoch === epoch) return;
  entry.epoch = epoch;
  entry.batches = [];
}

export function keepBatch(entry: ProducerEntry, batch: KeptBatch): void {
  if (entry.batches.length === BATCHES_KEPT) entry.batches.shift();
  entry.batches.push(batch);
  entry.lastTimestamp = batch.timestamp;
}

export function lastSequenceOf(entry: ProducerEntry): number {
  return entry.batches[entry.batches.length - 1]?.lastSequence ?? NO_SEQUENCE;
}

export function findBatch(entry: ProducerEntry, firstSequence: number, lastSequence: number): KeptBatch | undefined {
  for (const batch of entry.batches) {
    if (batch.lastSequence === lastSequence && firstSequenceOf(batch) === firstSequence) return batch;
  }
  return undefined;
}

/** Sequences run 0 … 2³¹−1 and start over. */
export function follows(lastSequence: number, nextSequence: number): boolean {
  return nextSequence === (lastSequence === SEQUENCE_MAX ? 0 : lastSequence + 1);
}

function firstSequenceOf({ lastSequence, offsetDelta }: KeptBatch): number {
  const first = lastSequence - offsetDelta;
  return first >= 0 ? first : first + SEQUENCE_MAX + 1;
}
