import { readEndMarker } from '#log/end-marker';
import { ProducerStates } from '#log/producer-state';
import { type LeaderEpoch, type Offset, offset, ZERO_UUID } from '#model/ids';
import { createCodecs } from '#platform/codecs';
import {
  type BatchHeader,
  batchBytes,
  isControl,
  lastOffset,
  patchBatch,
  readBatchHeader,
} from '#protocol/record-batch';
import type { LogListener, PartitionLog } from '#storage/partition-log';
import type { FakeClock } from './fake-clock.ts';

/** A log in memory: durable when the test says so. */
export class FakeLog {
  readonly topic: string;
  readonly partition: number;
  readonly topicId = ZERO_UUID;
  readonly producers = new ProducerStates(createCodecs().crc32c, { maxProducers: 100 });
  readonly batches: Uint8Array[] = [];
  listener: LogListener | undefined;
  directory: object | undefined;
  logStartOffset = offset(0);
  logEndOffset = offset(0);
  durableOffset = offset(0);
  /** What the next appends answer instead. */
  refusal: 'offline' | 'full' | undefined;
  /** What the next reads answer instead. */
  readResult: 'out-of-range' | 'failed' | undefined;
  readCount = 0;
  /** Syncs within the append. */
  immediate = false;
  /** Reads complete in its turns. */
  clock: FakeClock;

  constructor(topic: string, partition: number, clock: FakeClock) {
    this.topic = topic;
    this.partition = partition;
    this.clock = clock;
  }

  get asLog(): PartitionLog {
    return this as unknown as PartitionLog;
  }

  assignEpoch(): void {}

  append(bytes: Uint8Array, headers: readonly BatchHeader[], epoch: LeaderEpoch) {
    if (this.refusal !== undefined) return this.refusal;
    const baseOffset = this.logEndOffset;
    for (const header of headers) {
      patchBatch(bytes, header.at, this.logEndOffset, epoch);
      this.batches.push(batchBytes(bytes, header));
      const last = offset(this.logEndOffset + header.lastOffsetDelta);
      const marker = isControl(header) ? readEndMarker(bytes, header) : undefined;
      this.producers.append(header, this.logEndOffset, last, header.maxTimestamp, marker);
      this.logEndOffset = offset(last + 1);
    }
    if (this.immediate) this.sync();
    return { baseOffset, lastOffset: offset(this.logEndOffset - 1) };
  }

  /** Saved at once. */
  get savedStartOffset(): Offset {
    return this.logStartOffset;
  }

  get sizeBytes(): number {
    return this.batches.reduce((sum, batch) => sum + batch.length, 0);
  }

  deleteRecordsBefore(before: Offset): void {
    this.logStartOffset = before;
  }

  sync(): void {
    this.durableOffset = this.logEndOffset;
    this.listener?.durable(this.durableOffset);
  }

  /** Appended batches that were not written are dropped. */
  reject(): void {
    const from = this.durableOffset;
    while (this.batches.length > 0 && header(this.batches.at(-1)).baseOffset >= from) this.batches.pop();
    this.logEndOffset = from;
    this.listener?.rejected(from);
  }

  read(from: Offset, upTo: Offset, maxBytes: number, _minOneBatch: boolean, done: (result: unknown) => void): void {
    this.readCount += 1;
    this.clock.defer(() => {
      if (this.readResult !== undefined) {
        const result = this.readResult;
        this.readResult = undefined;
        return done(result);
      }
      const chunks: Uint8Array[] = [];
      let sizeBytes = 0;
      for (const batch of this.batches) {
        const last = lastOffset(header(batch));
        if (last < from || last >= upTo || (sizeBytes > 0 && sizeBytes + batch.length > maxBytes)) continue;
        chunks.push(batch);
        sizeBytes += batch.length;
      }
      done({ chunks, sizeBytes });
    });
  }
}

function header(batch: Uint8Array | undefined): BatchHeader {
  const read = readBatchHeader(batch ?? new Uint8Array(0), 0);
  if (typeof read === 'string') throw new Error(`a batch of the fake log is ${read}`);
  return read;
}
