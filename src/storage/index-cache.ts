import type { Codecs, Disk, Logger } from '#base/ports';
import { OffsetIndex } from '#log/offset-index';
import { SegmentIndexes, timestampToIndex } from '#log/segment-indexes';
import type { ScanResult } from '#log/segment-scan';
import { TimeIndex } from '#log/time-index';
import { lastOffset } from '#protocol/record-batch';
import { readWhole } from './files.ts';
import { type ScanChunks, scanFile } from './scan-file.ts';
import type { Segment } from './segment.ts';

/** segment.index.bytes as it was when an index was written need not be what it is now. */
const INDEX_BYTES_MAX = 0x7fff_ffff;
const INTERVAL_BYTES = 4096;

/**
 * Indexes of sealed segments, loaded when a read needs them, at most `limitBytes` together (or one); the least recently used go
 * first. A file that is missing or makes no sense is rebuilt from its segment.
 */
export class IndexCache {
  readonly #disk: Disk;
  readonly #codecs: Codecs;
  readonly #logger: Logger;
  readonly #chunks: ScanChunks;
  readonly #limitBytes: number;
  readonly #loaded = new Map<Segment, SegmentIndexes>();
  readonly #loading = new Map<Segment, Promise<SegmentIndexes>>();
  #usedBytes = 0;

  constructor(disk: Disk, codecs: Codecs, logger: Logger, chunks: ScanChunks, limitBytes: number) {
    this.#disk = disk;
    this.#codecs = codecs;
    this.#logger = logger;
    this.#chunks = chunks;
    this.#limitBytes = limitBytes;
  }

  get usedBytes(): number {
    return this.#usedBytes;
  }

  get(segment: Segment): SegmentIndexes | undefined {
    if (segment.indexes !== undefined) return segment.indexes;
    const indexes = this.#loaded.get(segment);
    if (indexes === undefined) return undefined;
    this.#loaded.delete(segment);
    this.#loaded.set(segment, indexes);
    return indexes;
  }

  /** Rejects with IoError, or with an Error if the segment itself is damaged. */
  load(segment: Segment): Promise<SegmentIndexes> {
    const known = this.get(segment);
    if (known !== undefined) return Promise.resolve(known);
    const underWay = this.#loading.get(segment);
    if (underWay !== undefined) return underWay;
    const loading = this.#read(segment);
    this.#loading.set(segment, loading);
    const ended = (indexes?: SegmentIndexes): void => {
      if (this.#loading.get(segment) !== loading) return;
      this.#loading.delete(segment);
      if (indexes !== undefined && segment.sealed) this.#keep(segment, indexes);
    };
    loading.then(ended, () => ended());
    return loading;
  }

  /**
   * Something else stands where they say that a batch does: the file has changed since it was written. They are made anew when they are
   * needed next; those of a segment that grows stay, and whoever is misled by them reads it from its beginning.
   */
  distrust(segment: Segment): void {
    if (!segment.indexesChanged)
      this.#logger.warn({ segment: segment.path('.log') }, 'the indexes of a segment are damaged');
    segment.indexesChanged = true;
    this.forget(segment);
  }

  /** The segment changes, or goes: also what is being loaded is of no use to later readers. */
  forget(segment: Segment): void {
    this.#loading.delete(segment);
    const indexes = this.#loaded.get(segment);
    if (indexes === undefined) return;
    this.#loaded.delete(segment);
    this.#usedBytes -= sizeOf(indexes);
  }

  async #read(segment: Segment): Promise<SegmentIndexes> {
    const read = segment.indexesChanged ? undefined : await readIndexes(this.#disk, segment, segment.sizeBytes);
    return read ?? (await this.#rebuild(segment));
  }

  #keep(segment: Segment, indexes: SegmentIndexes): void {
    segment.maxTimestamp ??= indexes.maxTimestamp;
    this.#loaded.set(segment, indexes);
    this.#usedBytes += sizeOf(indexes);
    for (const oldest of this.#loaded.keys()) {
      if (this.#usedBytes <= this.#limitBytes || oldest === segment) break;
      this.forget(oldest);
    }
  }

  async #rebuild(segment: Segment): Promise<SegmentIndexes> {
    const { baseOffset, sizeBytes } = segment;
    this.#logger.warn({ segment: segment.path('.log') }, 'the indexes of a segment are missing or damaged: rebuilt');
    const indexes = SegmentIndexes.empty(baseOffset, INDEX_BYTES_MAX);
    const options = { baseOffset, sizeBytes, position: 0, lastOffset: undefined };
    const file = await this.#disk.open(segment.path('.log'), 'read');
    let scan: ScanResult;
    try {
      scan = await scanFile(file, this.#codecs, this.#chunks, options, (header, position) => {
        const last = lastOffset(header) as typeof baseOffset;
        indexes.add(last, timestampToIndex(header), position, header.sizeBytes, INTERVAL_BYTES);
      });
    } finally {
      await file.close();
    }
    if (scan.ending !== 'end') throw new Error(`${segment.path('.log')}: ${scan.reason} at ${scan.validBytes}`);
    indexes.seal();
    return indexes;
  }
}

/**
 * Undefined if a file is missing, makes no sense or points to `limitBytes` or beyond. A sealed segment ends its time index with
 * its highest timestamp.
 */
export async function readIndexes(
  disk: Disk,
  segment: Segment,
  limitBytes: number,
): Promise<SegmentIndexes | undefined> {
  const { baseOffset, sizeBytes } = segment;
  const offsetBytes = await readWhole(disk, segment.path('.index'));
  const timeBytes = offsetBytes && (await readWhole(disk, segment.path('.timeindex')));
  if (offsetBytes === undefined || timeBytes === undefined) return undefined;
  const offsets = OffsetIndex.from(baseOffset, INDEX_BYTES_MAX, offsetBytes, limitBytes);
  const times = TimeIndex.from(baseOffset, INDEX_BYTES_MAX, timeBytes);
  if (offsets.error !== undefined || times.error !== undefined) return undefined;
  if (segment.sealed && sizeBytes > 0 && times.value.entryCount === 0) return undefined;
  return SegmentIndexes.resume(offsets.value, times.value, sizeBytes);
}

function sizeOf(indexes: SegmentIndexes): number {
  return indexes.offsets.bytes().length + indexes.times.bytes().length;
}
