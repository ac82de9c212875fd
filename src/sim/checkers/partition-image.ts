import { logDirName, parseSegmentFileName } from '#log/file-names';
import { type BatchHeader, batchCrcMatches, readBatchHeader } from '#protocol/record-batch';
import type { MemoryDisk } from '../ports/memory-disk.ts';
import type { Crc32c } from './batch-checker.ts';

/** Gets each batch as it comes to the disk; the bytes are borrowed. */
export type BatchOnDisk = (header: BatchHeader, bytes: Uint8Array) => void;

interface SegmentImage {
  readonly name: string;
  /** So far it has been read; whole batches end there. */
  readTo: number;
  endOffset: number;
}

/** What one machine would have of a partition's log if its power went now: read from the disk itself, never from the node's memory. */
export class PartitionImage {
  readonly #disk: Pick<MemoryDisk, 'peek' | 'peekNames'>;
  readonly #crc32c: Crc32c;
  readonly #folder: string;
  readonly #segments: SegmentImage[] = [];

  constructor(disk: Pick<MemoryDisk, 'peek' | 'peekNames'>, crc32c: Crc32c, topic: string, partition: number) {
    this.#disk = disk;
    this.#crc32c = crc32c;
    this.#folder = logDirName(topic, partition);
  }

  /** As the last look found it; 0 if there is no log. */
  get endOffset(): number {
    return this.#segments.at(-1)?.endOffset ?? 0;
  }

  /** Reads what has come since the last look; everything, if that may have been overwritten. */
  look(found: BatchOnDisk, anew = false): void {
    const names = this.#names();
    let known = 0;
    if (!anew)
      while (this.#segments[known] !== undefined && this.#isStill(this.#segments[known] as SegmentImage, names[known]))
        known += 1;
    this.#segments.length = known;
    for (let place = Math.max(0, known - 1); place < names.length; place += 1) {
      const segment = this.#segments[place] ?? this.#begin(names[place] as string);
      // Behind a gap nothing is part of the log.
      if (segment === undefined) return;
      this.#readOn(segment, found);
    }
  }

  #names(): string[] {
    return this.#disk
      .peekNames(this.#folder)
      .filter((name) => name.endsWith('.log'))
      .sort();
  }

  #isStill({ name, readTo }: SegmentImage, found: string | undefined): boolean {
    return name === found && (this.#disk.peek(`${this.#folder}/${name}`)?.length ?? 0) >= readTo;
  }

  #begin(name: string): SegmentImage | undefined {
    const baseOffset = parseSegmentFileName(name)?.baseOffset ?? 0;
    if (this.#segments.length > 0 && baseOffset !== this.endOffset) return undefined;
    const segment = { name, readTo: 0, endOffset: baseOffset };
    this.#segments.push(segment);
    return segment;
  }

  #readOn(segment: SegmentImage, found: BatchOnDisk): void {
    const bytes = this.#disk.peek(`${this.#folder}/${segment.name}`) ?? new Uint8Array(0);
    while (segment.readTo < bytes.length) {
      const header = readBatchHeader(bytes, segment.readTo);
      if (typeof header === 'string' || header.baseOffset !== segment.endOffset) return;
      if (!batchCrcMatches(bytes, header, { crc32c: this.#crc32c })) return;
      found(header, bytes.subarray(header.at, header.at + header.sizeBytes));
      segment.readTo += header.sizeBytes;
      segment.endOffset = header.baseOffset + header.lastOffsetDelta + 1;
    }
  }
}
