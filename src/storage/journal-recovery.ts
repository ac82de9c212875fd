import type { Codecs, Disk, File } from '#base/ports';
import { openToRead, readAt, syncFile, writeAt } from './files.ts';
import {
  BLOCK_BYTES,
  blocksOf,
  decodeFileHeader,
  decodeRecord,
  decodeRecordHeader,
  ENTRY_BYTES,
  encodeFileHeader,
  type JournalEntry,
  RECORD_HEADER_BYTES,
  type RecordHeader,
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
    const header = await readHeader(found, at, sequence);
    if (header === undefined) return sequence;
    const sizeBytes = recordSizeBytes(header.entryCount, header.payloadBytes);
    const next = at + blocksOf(sizeBytes);
    const entries = await readRecord(found, at, sizeBytes, crc32c);
    if (entries === undefined) {
      if ((await readHeader(found, next, sequence + 1)) === undefined) return sequence;
      throw new Error(`${found.name}: record ${sequence} is damaged, and records follow it`);
    }
    for (const entry of entries) await replay(entry);
    at = next;
  }
}

async function readHeader(
  { file, sizeBytes, generation }: FoundFile,
  at: number,
  sequence: number,
): Promise<RecordHeader | undefined> {
  const bytes = new Uint8Array(RECORD_HEADER_BYTES);
  const read = await readAt(file, bytes, at);
  const header = decodeRecordHeader(bytes.subarray(0, read), generation, sequence);
  if (header === undefined) return undefined;
  // A claim beyond the file is that of a record cut off; it is not to be believed in an allocation.
  const claimed = at + RECORD_HEADER_BYTES + header.entryCount * ENTRY_BYTES + header.payloadBytes;
  return claimed <= sizeBytes ? header : undefined;
}

async function readRecord(
  { file }: FoundFile,
  at: number,
  sizeBytes: number,
  crc32c: Codecs['crc32c'],
): Promise<readonly JournalEntry[] | undefined> {
  const bytes = new Uint8Array(sizeBytes);
  const read = await readAt(file, bytes, at);
  return read === sizeBytes ? decodeRecord(bytes, crc32c) : undefined;
}
