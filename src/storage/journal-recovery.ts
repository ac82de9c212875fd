import type { Codecs, Disk, File } from '#base/ports';
import { openToRead, readAt, syncFile, writeAt } from './files.ts';
import {
  BLOCK_BYTES,
  blocksOf,
  decodeFileHeader,
  decodeRecord,
  decodeRecordHeader,
  encodeFileHeader,
  type JournalEntry,
  RECORD_HEADER_BYTES,
  recordSizeBytes,
} from './journal-format.ts';

/** In a data directory's top folder; not of the form of a log's name. */
export const JOURNAL_FILES: readonly string[] = ['commit-journal-a', 'commit-journal-b'];

export type Replay = (entry: JournalEntry) => Promise<void>;

export interface JournalReplay {
  readonly recordCount: number;
  /** Above all that was found. */
  readonly generation: number;
}

interface FoundRecord {
  readonly entries: readonly JournalEntry[];
  readonly sizeBytes: number;
}

/** Whole blocks. */
const SEARCH_BYTES = 1024 * 1024;

interface FoundFile {
  readonly name: string;
  readonly file: File;
  readonly sizeBytes: number;
  readonly generation: number;
}

/**
 * Hands out every record that was synced, the older file's first; its user writes each entry to its place in its segment, which is
 * the same bytes again if it was there already. Rejects with an Error if a record is damaged that another one follows: what was
 * acknowledged is missing.
 */
export async function replayJournal(disk: Disk, codecs: Codecs, replay: Replay): Promise<JournalReplay> {
  const crc32c = codecs.crc32c.bind(codecs);
  const found: FoundFile[] = [];
  try {
    for (const name of JOURNAL_FILES) {
      const file = await openToRead(disk, name);
      if (file === undefined) continue;
      const header = new Uint8Array(BLOCK_BYTES);
      const read = await readAt(file, header, 0);
      const generation = decodeFileHeader(header.subarray(0, read), crc32c) ?? 0;
      found.push({ name, file, sizeBytes: await file.sizeBytes(), generation });
      // One sector is written or not: a header that is neither was damaged later, and with it the word on what is live.
      if (generation === 0 && header.some((byte) => byte !== 0)) throw new Error(`${name}: its header is damaged`);
    }
    found.sort((a, b) => a.generation - b.generation);
    let recordCount = 0;
    for (const each of found) recordCount += await replayFile(each, crc32c, replay);
    return { recordCount, generation: found.at(-1)?.generation ?? 0 };
  } finally {
    for (const { file } of found) await file.close();
  }
}

/** After all that was replayed is synced in its place. Gives the highest generation used. */
export async function restartJournal(disk: Disk, codecs: Codecs, generation: number): Promise<number> {
  let next = generation;
  for (const name of JOURNAL_FILES) {
    const there = await openToRead(disk, name);
    if (there === undefined) continue;
    await there.close();
    const file = await disk.open(name, 'write');
    try {
      next += 1;
      await writeAt(file, [encodeFileHeader(next, codecs.crc32c.bind(codecs))], 0);
      await syncFile(file);
    } finally {
      await file.close();
    }
  }
  return next;
}

async function replayFile(found: FoundFile, crc32c: Codecs['crc32c'], replay: Replay): Promise<number> {
  // Generation 0: made, never used.
  if (found.generation === 0) return 0;
  let sequence = 0;
  for (let at = BLOCK_BYTES; ; sequence += 1) {
    const record = await readRecord(found, at, sequence, crc32c);
    if (record === undefined) {
      // A record is written when the one before it is synced.
      if (!(await isFollowed(found, at, sequence, crc32c))) return sequence;
      throw new Error(`${found.name}: record ${sequence} is damaged, and records follow it`);
    }
    for (const entry of record.entries) await replay(entry);
    at += blocksOf(record.sizeBytes);
  }
}

/** Whether any whole record of the file's generation and a higher sequence lies behind `at`. */
async function isFollowed(found: FoundFile, at: number, sequence: number, crc32c: Codecs['crc32c']): Promise<boolean> {
  const chunk = new Uint8Array(SEARCH_BYTES);
  for (let chunkAt = at + BLOCK_BYTES; chunkAt < found.sizeBytes; chunkAt += SEARCH_BYTES) {
    const read = await readAt(found.file, chunk, chunkAt);
    for (let block = 0; block < read; block += BLOCK_BYTES) {
      const bytes = chunk.subarray(block, Math.min(read, block + RECORD_HEADER_BYTES));
      const later = decodeRecordHeader(bytes, found.generation)?.sequence ?? 0;
      if (later > sequence && (await readRecord(found, chunkAt + block, later, crc32c)) !== undefined) return true;
    }
  }
  return false;
}

/** Undefined if there is none, or none that is whole. */
async function readRecord(
  { file, sizeBytes: fileBytes, generation }: FoundFile,
  at: number,
  sequence: number,
  crc32c: Codecs['crc32c'],
): Promise<FoundRecord | undefined> {
  const head = new Uint8Array(RECORD_HEADER_BYTES);
  const headBytes = await readAt(file, head, at);
  const header = decodeRecordHeader(head.subarray(0, headBytes), generation);
  if (header?.sequence !== sequence) return undefined;
  const sizeBytes = recordSizeBytes(header.entryCount, header.payloadBytes);
  // A claim beyond the file is that of a record cut off; it is not to be believed in an allocation.
  if (at + sizeBytes > fileBytes) return undefined;
  const bytes = new Uint8Array(sizeBytes);
  const read = await readAt(file, bytes, at);
  const entries = read === sizeBytes ? decodeRecord(bytes, crc32c) : undefined;
  return entries && { entries, sizeBytes };
}
