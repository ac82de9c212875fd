/** Whole files over the Disk port, for the cold paths of the metadata log. */
import type { Disk, Done, File, IoError } from '#base/ports';

/** The file's bytes, owned by the caller; undefined if there is no such file. */
export async function readWhole(disk: Disk, path: string): Promise<Uint8Array | undefined> {
  let file: File;
  try {
    file = await disk.open(path, 'read');
  } catch (failure) {
    if (isMissing(failure)) return undefined;
    throw failure;
  }
  try {
    const bytes = new Uint8Array(await file.sizeBytes());
    const read = bytes.length === 0 ? 0 : await done((then) => file.read(bytes, 0, then));
    return bytes.subarray(0, read);
  } finally {
    await file.close();
  }
}

/** Puts a file in the place of another, if there is one: after a crash it is the old or the new one. Durable when it resolves. */
export async function replaceFile(
  disk: Disk,
  folder: string,
  name: string,
  chunks: readonly Uint8Array[],
): Promise<void> {
  const aside = `${folder}/${name}${ASIDE_SUFFIX}`;
  await disk.remove(aside);
  const file = await disk.open(aside, 'write');
  try {
    await writeAll(file, chunks, 0);
    await syncFile(file);
  } finally {
    await file.close();
  }
  await disk.rename(aside, `${folder}/${name}`);
  await disk.syncDir(folder);
}

/** Of files not yet in their place; removed at the next start. */
export const ASIDE_SUFFIX = '.new';

/** Of a complete snapshot that is to take the place of the whole log; the next start finishes what a crash interrupts. */
export const INSTALL_SUFFIX = '.install';

/** Up to `sizeBytes` bytes from `at` on; fewer at the end of the file. Owned by the caller. */
export async function readAt(file: File, at: number, sizeBytes: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(sizeBytes);
  return bytes.subarray(0, await done((then) => file.read(bytes, at, then)));
}

export function writeAll(file: File, chunks: readonly Uint8Array[], at: number): Promise<number> {
  return done((then) => file.write(chunks, at, then));
}

export function syncFile(file: File): Promise<number> {
  return done((then) => file.sync(then));
}

export function isMissing(failure: unknown): boolean {
  return (failure as Partial<IoError>).code === 'ENOENT';
}

function done(start: (then: Done) => void): Promise<number> {
  return new Promise((resolve, reject) => {
    start((failure, bytes) => (failure === undefined ? resolve(bytes) : reject(failure)));
  });
}
