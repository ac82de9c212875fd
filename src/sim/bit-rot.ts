/** Bytes that change by themselves, on disks where they had been synced; and where they did. */

import type { Random } from '#base/ports';
import { parseOffsetCheckpoint } from '#log/checkpoint-files';
import { logDirName, parseSegmentFileName, RECOVERY_POINT_CHECKPOINT } from '#log/file-names';
import { readBatchHeader } from '#protocol/record-batch';
import type { MemoryDisk } from './ports/memory-disk.ts';

interface Rotten {
  readonly disk: MemoryDisk;
  readonly topic: string;
  readonly partition: number;
  /** Of the batch that is damaged. */
  readonly endOffset: number;
  readonly path: string;
  readonly at: number;
  readonly value: number;
}

/** Of a batch: its base offset, and its epoch, lie outside the checksum in Kafka's format, and nothing else tells of them. */
const UNCHECKED: readonly (readonly [from: number, upTo: number])[] = [
  [0, 8],
  [12, 16],
];

export class BitRot {
  #rotten: Rotten[] = [];
  readonly #gone: Rotten[] = [];

  /** Changes a byte of what lies below the log's recovery point, or of a file that is made from it; says where, undefined if there is nothing. */
  strike(random: Random, disk: MemoryDisk, topic: string, partition: number): string | undefined {
    const folder = logDirName(topic, partition);
    const places = random.uint32() % 4 === 0 ? indexPlaces(disk, folder) : batchPlaces(disk, folder, topic, partition);
    const place = places[random.uint32() % Math.max(1, places.length)];
    if (place === undefined) return undefined;
    const at = place.from + (random.uint32() % (place.upTo - place.from));
    const within = at - place.from;
    if (place.isBatch && UNCHECKED.some(([from, upTo]) => within >= from && within < upTo)) return undefined;
    const path = `${folder}/${place.name}`;
    disk.rot(path, at, 1 << (random.uint32() % 8));
    const { endOffset } = place;
    const value = disk.peek(path)?.[at] ?? 0;
    if (place.isBatch) this.#rotten.push({ disk, topic, partition, endOffset, path, at, value });
    return `${path} at ${at}`;
  }

  /** Whether records of the partition are damaged on that disk, still. */
  isRotten(disk: MemoryDisk, topic: string, partition: number): boolean {
    this.#lookForGone();
    return this.#rotten.some((one) => one.disk === disk && one.topic === topic && one.partition === partition);
  }

  /** An empty disk has taken the place of what was on it: nobody has to find the damage. */
  wiped(disk: MemoryDisk): void {
    this.#rotten = this.#rotten.filter((one) => one.disk !== disk);
  }

  /** Whether damaged records were found, and the log is as long as it was; `endOf` reads on the disks where logs end. */
  isRepaired(endOf: (disk: MemoryDisk, topic: string, partition: number) => number | undefined): boolean {
    this.#lookForGone();
    return this.#gone.some(
      ({ disk, topic, partition, endOffset }) => (endOf(disk, topic, partition) ?? 0) >= endOffset,
    );
  }

  #lookForGone(): void {
    const isThere = ({ disk, path, at, value }: Rotten): boolean => disk.peek(path)?.[at] === value;
    if (this.#rotten.every(isThere)) return;
    this.#gone.push(...this.#rotten.filter((one) => !isThere(one)));
    this.#rotten = this.#rotten.filter(isThere);
  }
}

interface Place {
  readonly name: string;
  readonly from: number;
  readonly upTo: number;
  readonly isBatch: boolean;
  /** Of a batch. */
  readonly endOffset: number;
}

function indexPlaces(disk: MemoryDisk, folder: string): Place[] {
  return disk.peekNames(folder).flatMap((name) => {
    const upTo = disk.peek(`${folder}/${name}`)?.length ?? 0;
    const extension = parseSegmentFileName(name)?.extension;
    const isIndex = extension === '.index' || extension === '.timeindex' || extension === '.snapshot';
    return isIndex && upTo > 0 ? [{ name, from: 0, upTo, isBatch: false, endOffset: 0 }] : [];
  });
}

function batchPlaces(disk: MemoryDisk, folder: string, topic: string, partition: number): Place[] {
  const text = Buffer.from(disk.peek(RECOVERY_POINT_CHECKPOINT) ?? []).toString();
  const parsed = parseOffsetCheckpoint(text);
  const points = parsed.error === undefined ? parsed.value : [];
  const recoveryPoint = points.find((point) => point.topic === topic && point.partition === partition)?.offset ?? 0;
  const places: Place[] = [];
  // The next start reads the last segment as a whole; what is damaged in others shows only when somebody asks for it.
  const last = disk
    .peekNames(folder)
    .filter((name) => name.endsWith('.log'))
    .sort()
    .at(-1);
  for (const name of last === undefined ? [] : [last]) {
    const bytes = disk.peek(`${folder}/${name}`) ?? new Uint8Array(0);
    for (let from = 0; from < bytes.length; ) {
      const header = readBatchHeader(bytes, from);
      if (typeof header === 'string' || header.baseOffset + header.lastOffsetDelta >= recoveryPoint) break;
      const endOffset = header.baseOffset + header.lastOffsetDelta + 1;
      places.push({ name, from, upTo: from + header.sizeBytes, isBatch: true, endOffset });
      from += header.sizeBytes;
    }
  }
  return places;
}
