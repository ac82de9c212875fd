import type { Disk } from '#base/ports';
import { readEndMarker } from '#log/end-marker';
import { segmentFileName } from '#log/file-names';
import { LeaderEpochCache } from '#log/leader-epoch-cache';
import { ProducerStates } from '#log/producer-state';
import { SegmentIndexes } from '#log/segment-indexes';
import { type LeaderEpoch, leaderEpoch, type Offset, offset } from '#model/ids';
import { type BatchHeader, isControl, isTransactional, lastOffset } from '#protocol/record-batch';
import { readWhole } from '#storage/files';
import type { LogConfig } from '#storage/log-config';
import type { PartitionLog } from '#storage/partition-log';
import { codecs, headersOf } from './support.ts';

const INDEX_BYTES_MAX = 10 * 1024 * 1024;

/** What a log is to hold: a list of batches. */
export class LogModel {
  /** Every batch since offset 0, as it stands in the log. */
  batches: { readonly base: number; readonly next: number; readonly bytes: Uint8Array }[] = [];
  /** Everything below was reported durable, and not cut since. */
  durableEnd = 0;
  /** The highest start that the log has had. */
  start = 0;

  get end(): number {
    return this.batches.at(-1)?.next ?? 0;
  }

  /** `bytes` were appended: the log has patched them. */
  append(bytes: Uint8Array): void {
    for (const header of headersOf(bytes)) {
      this.batches.push({
        base: header.baseOffset,
        next: lastOffset(header) + 1,
        bytes: Uint8Array.from(bytes.subarray(header.at, header.at + header.sizeBytes)),
      });
    }
  }

  /** The log ends at `end` now. */
  cut(end: number): void {
    this.batches = this.batches.filter(({ next }) => next <= end);
    this.durableEnd = Math.min(this.durableEnd, end);
    if (this.end !== end) throw new Error(`the log ends at ${end}, where no batch ends: ${this.end}`);
  }

  bytesFrom(from: number): Uint8Array {
    return Buffer.concat(this.batches.filter(({ next }) => next > from).map(({ bytes }) => bytes));
  }

  /** The first record with the highest timestamp of those in [from, upTo). Those of a batch rise by one. */
  latestRecord(from: number, upTo: number): { offset: number; timestamp: number; leaderEpoch: number } | undefined {
    let latest: { offset: number; timestamp: number; leaderEpoch: number } | undefined;
    for (const { bytes, next } of this.batches.filter((each) => each.next > from && each.next <= upTo)) {
      const { maxTimestamp, partitionLeaderEpoch } = headersOf(bytes)[0] as BatchHeader;
      if (latest !== undefined && maxTimestamp <= latest.timestamp) continue;
      latest = { offset: next - 1, timestamp: maxTimestamp, leaderEpoch: partitionLeaderEpoch };
    }
    return latest;
  }

  /** As one would have it who had followed every append. */
  producerSnapshot(): Uint8Array {
    const states = new ProducerStates((bytes, seed) => codecs.crc32c(bytes, seed), { maxProducers: 10_000 });
    for (const { bytes } of this.batches) {
      const header = headersOf(bytes)[0] as BatchHeader;
      const marker = isControl(header) ? readEndMarker(bytes, header) : undefined;
      states.append(header, header.baseOffset as Offset, lastOffset(header) as Offset, header.maxTimestamp, marker);
    }
    return states.takeSnapshot();
  }

  /** Those that overlap [from, upTo), in the order in which they began. */
  abortedTransactions(from: number, upTo: number) {
    const open = new Map<number, number>();
    const aborted: { producerId: number; firstOffset: number; lastOffset: number }[] = [];
    for (const { bytes, base } of this.batches) {
      const header = headersOf(bytes)[0] as BatchHeader;
      const { producerId } = header;
      if (!isTransactional(header)) continue;
      const marker = readEndMarker(bytes, header);
      const firstOffset = open.get(producerId);
      if (marker === undefined) open.set(producerId, firstOffset ?? base);
      else open.delete(producerId);
      if (marker?.aborted && firstOffset !== undefined) aborted.push({ producerId, firstOffset, lastOffset: base });
    }
    const overlapping = aborted.filter(({ firstOffset, lastOffset: last }) => last >= from && firstOffset < upTo);
    return overlapping.sort((a, b) => a.firstOffset - b.firstOffset);
  }

  epochText(): string {
    const cache = new LeaderEpochCache();
    for (const { bytes, base } of this.batches) {
      cache.assign(leaderEpoch((headersOf(bytes)[0] as BatchHeader).partitionLeaderEpoch), offset(base));
    }
    cache.truncateFromStart(offset(this.start));
    cache.truncateFromEnd(offset(this.end));
    return cache.toText();
  }

  latestEpoch(): LeaderEpoch {
    const last = this.batches.at(-1);
    return leaderEpoch(last === undefined ? 0 : (headersOf(last.bytes)[0] as BatchHeader).partitionLeaderEpoch);
  }
}

/** The log's epochs above `start`, as its checkpoint would have them. */
export function epochTextFrom(log: PartitionLog, start: number): string {
  const parsed = LeaderEpochCache.parse(log.epochs.toText());
  if (parsed.error !== undefined) throw new Error(parsed.error);
  parsed.value.truncateFromStart(offset(start));
  // What an empty log keeps of its epochs does not matter.
  parsed.value.truncateFromEnd(log.logEndOffset);
  return parsed.value.toText();
}

/** After a clean shutdown: what the index files of a log hold, and what its segments say that they should. */
export async function indexFiles(
  disk: Disk,
  folder: string,
  config: Pick<LogConfig, 'indexIntervalBytes'>,
): Promise<{ found: Record<string, string>; expected: Record<string, string> }> {
  const found: Record<string, string> = {};
  const expected: Record<string, string> = {};
  for (const name of await disk.list(folder)) {
    if (!/^\d{20}\.log$/.test(name)) continue;
    const base = offset(Number(name.slice(0, 20)));
    const bytes = (await readWhole(disk, `${folder}/${name}`)) ?? new Uint8Array(0);
    const indexes = SegmentIndexes.empty(base, INDEX_BYTES_MAX);
    for (const header of headersOf(bytes)) {
      const last = lastOffset(header) as Offset;
      indexes.add(last, header.maxTimestamp, header.at, header.sizeBytes, config.indexIntervalBytes);
    }
    indexes.seal();
    for (const [extension, content] of [
      ['.index', indexes.offsets.bytes()],
      ['.timeindex', indexes.times.bytes()],
    ] as const) {
      const file = segmentFileName(base, extension);
      expected[file] = Buffer.from(content).toString('hex');
      const there = await readWhole(disk, `${folder}/${file}`);
      found[file] = there === undefined ? 'missing' : Buffer.from(there).toString('hex');
    }
  }
  return { found, expected };
}
