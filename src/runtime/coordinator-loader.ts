import type { Clock, Codecs, Timestamp } from '#base/ports';
import type { CoordinatorRecord } from '#coordinator/effects';
import { readEndMarker } from '#log/end-marker';
import { type Offset, offset } from '#model/ids';
import { ProtocolError } from '#protocol/protocol-error';
import { batchCrcMatches, isControl, isTransactional, lastOffset, readBatchHeader } from '#protocol/record-batch';
import { iterateRecords } from '#protocol/records';
import type { PartitionLog } from '#storage/partition-log';

/** Read and replayed in one turn: about 2,500 commits, a few milliseconds. */
const SLICE_BYTES = 256 * 1024;
/** A batch of ours is never compressed; one that was brought from elsewhere may be. */
const DECOMPRESSED_BYTES_MAX = 64 * 1024 * 1024;

/** 'moved': the log no longer starts or ends where it did; load again. */
export type LoadResult = 'loaded' | 'moved' | LoadFailure;

/** What was replayed before is of no use. */
export interface LoadFailure {
  readonly offset: Offset;
  readonly reason: string;
  /** The log does not hold what was written to it. */
  readonly isDamage: boolean;
}

export interface LoaderWorld {
  readonly clock: Clock;
  readonly codecs: Codecs;
}

/**
 * What is loaded. Only groups have transactions among their records, and markers that end them. Both tell whose state they have changed.
 * `writtenAt` is the record's timestamp.
 */
export interface LoadedShard {
  replay(record: CoordinatorRecord, writtenAt: Timestamp, producerId?: number): string | undefined;
  replayMarker?(producerId: number, aborted: boolean): readonly string[];
}

/** Replays a partition of a coordinator's topic into a new shard, slice by slice, up to where the log ended when it began. */
export class CoordinatorLoader {
  readonly end: Offset;
  readonly #log: PartitionLog;
  readonly #shard: LoadedShard;
  readonly #world: LoaderWorld;
  readonly #done: (result: LoadResult) => void;
  #over = false;

  constructor(log: PartitionLog, shard: LoadedShard, world: LoaderWorld, done: (result: LoadResult) => void) {
    this.#log = log;
    this.#shard = shard;
    this.#world = world;
    this.#done = done;
    this.end = log.logEndOffset;
  }

  start(): void {
    this.#readFrom(this.#log.logStartOffset);
  }

  /** `done` is not called any more. */
  cancel(): void {
    this.#over = true;
  }

  /** A full disk has taken back what is loaded, or was to be. */
  get #isCut(): boolean {
    return this.#log.logEndOffset < this.end;
  }

  #readFrom(from: Offset): void {
    if (this.#isCut) return this.#finish('moved');
    if (from >= this.end) return this.#finish('loaded');
    this.#log.read(from, this.end, SLICE_BYTES, true, (result) => {
      if (this.#over) return;
      if (result === 'out-of-range' || this.#isCut) return this.#finish('moved');
      if (result === 'failed') return this.#fail(from, 'the log cannot be read');
      if (result.sizeBytes === 0) return this.#fail(from, 'the log ends early');
      const [first] = result.chunks;
      const bytes = result.chunks.length === 1 && first !== undefined ? first : Buffer.concat(result.chunks);
      const next = this.#replay(bytes, from);
      if (next === undefined) return;
      this.#world.clock.defer(() => {
        if (!this.#over) this.#readFrom(next);
      });
    });
  }

  /** Where to go on; undefined if it failed. */
  #replay(bytes: Uint8Array, from: Offset): Offset | undefined {
    let next = from;
    for (let at = 0; at < bytes.length; ) {
      const header = readBatchHeader(bytes, at);
      if (typeof header === 'string') return this.#fail(next, `the batch is ${header}`);
      // Nothing else has looked at what was synced long ago: one bit makes an abort a commit.
      if (!batchCrcMatches(bytes, header, this.#world.codecs))
        return this.#fail(next, 'the checksum does not match', true);
      if (isControl(header)) {
        const marker = readEndMarker(bytes, header);
        if (marker !== undefined && lastOffset(header) >= from)
          this.#shard.replayMarker?.(header.producerId, marker.aborted);
      } else {
        const producerId = isTransactional(header) ? header.producerId : undefined;
        const records = iterateRecords(bytes, header, this.#world.codecs, DECOMPRESSED_BYTES_MAX);
        if (typeof records === 'string') return this.#fail(next, `the records are ${records}`);
        for (const record of records) {
          if (record.offset < from || record.key === null) continue;
          try {
            this.#shard.replay({ key: record.key, value: record.value }, record.timestamp, producerId);
          } catch (error) {
            if (!(error instanceof ProtocolError)) throw error;
            return this.#fail(offset(record.offset), error.message);
          }
        }
      }
      next = offset(lastOffset(header) + 1);
      at += header.sizeBytes;
    }
    return next;
  }

  #fail(at: Offset, reason: string, isDamage = false): undefined {
    this.#finish({ offset: at, reason, isDamage });
  }

  #finish(result: LoadResult): void {
    this.#over = true;
    this.#done(result);
  }
}
