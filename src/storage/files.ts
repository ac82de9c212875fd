/** The Disk port as promises, for cold paths: whole small files, single operations. */
import type { Disk, Done, File, IoError } from '#base/ports';

/** Of a file that is not yet in its place. */
const ASIDE_SUFFIX = '.tmp';

const SMALL_BYTES = 1024;

export function codeOf(failure: unknown): IoError['code'] | undefined {
  return (failure as Partial<IoError> | undefined)?.code;
}

/** Room or handles are lacking now and may be there later; anything else means that the disk is not to be trusted. */
export function isTransient(failure: unknown): boolean {
  const code = codeOf(failure);
  return code === 'ENOSPC' || code === 'EMFILE';
}

export function readAt(file: File, into: Uint8Array, at: number): Promise<number> {
  return done((then) => file.read(into, at, then));
}

export function writeAt(file: File, chunks: readonly Uint8Array[], at: number): Promise<number> {
  return done((then) => file.write(chunks, at, then));
}

export function syncFile(file: File): Promise<number> {
  return done((then) => file.sync(then));
}

/** Undefined if there is no such file. */
export async function openToRead(disk: Disk, path: string): Promise<File | undefined> {
  try {
    return await disk.open(path, 'read');
  } catch (failure) {
    if (codeOf(failure) === 'ENOENT') return undefined;
    throw failure;
  }
}

/** The file's bytes, owned by the caller; undefined if there is no such file. Small files take one read. */
export async function readWhole(disk: Disk, path: string): Promise<Uint8Array | undefined> {
  const file = await openToRead(disk, path);
  if (file === undefined) return undefined;
  try {
    const first = new Uint8Array(SMALL_BYTES);
    const read = await readAt(file, first, 0);
    if (read < first.length) return first.subarray(0, read);
    const bytes = new Uint8Array(await file.sizeBytes());
    return bytes.subarray(0, await readAt(file, bytes, 0));
  } finally {
    await file.close();
  }
}

export async function readText(disk: Disk, path: string): Promise<string | undefined> {
  const bytes = await readWhole(disk, path);
  return bytes && Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8');
}

/** `folder` is '' for the data directory itself. */
export function joinPath(folder: string, name: string): string {
  return folder === '' ? name : `${folder}/${name}`;
}

/**
 * After a crash the file holds the old content or the new one. Durable when it resolves; without `sync` a power cut may leave the name
 * with any content.
 */
export async function replaceFile(
  disk: Disk,
  folder: string,
  name: string,
  content: string | Uint8Array,
  sync = true,
): Promise<void> {
  const path = joinPath(folder, name);
  const aside = path + ASIDE_SUFFIX;
  await disk.remove(aside);
  await writeNew(disk, aside, content, sync);
  await disk.rename(aside, path);
  if (sync) await disk.syncDir(folder);
}

/** Without a sync of the folder; `sync` is about the content. */
export async function writeNew(disk: Disk, path: string, content: string | Uint8Array, sync: boolean): Promise<void> {
  const bytes = typeof content === 'string' ? Buffer.from(content) : content;
  const file = await disk.open(path, 'write');
  try {
    await file.truncate(0);
    await writeAt(file, [bytes], 0);
    if (sync) await syncFile(file);
  } finally {
    await file.close();
  }
}

/** Runs `work` over all items, `parallel` at a time; stops at the first failure. */
export async function eachOf<T>(
  items: readonly T[],
  parallel: number,
  work: (item: T) => Promise<void>,
): Promise<void> {
  let next = 0;
  const lane = async (): Promise<void> => {
    while (next < items.length) {
      next += 1;
      await work(items[next - 1] as T);
    }
  };
  await Promise.all(Array.from({ length: Math.min(parallel, items.length) }, lane));
}

function done(start: (then: Done) => void): Promise<number> {
  return new Promise((resolve, reject) => {
    start((failure, bytes) => (failure === undefined ? resolve(bytes) : reject(failure)));
  });
}
