import { mkdir, stat } from 'node:fs/promises';
import { dirname } from 'node:path';

/**
 * Makes a folder and its parents; rejects with the system's error.
 *
 * Node's own `recursive` never ends, and takes a processor, where a folder is there and answers ENOENT to whoever makes one in it, as /proc
 * does and some mounts whose other end has gone.
 */
export async function makeFolders(path: string): Promise<void> {
  try {
    await makeFolder(path);
  } catch (failure) {
    const parent = dirname(path);
    if ((failure as NodeJS.ErrnoException).code !== 'ENOENT' || parent === path) throw failure;
    await makeFolders(parent);
    await makeFolder(path);
  }
}

/** One that is there already is as good. */
async function makeFolder(path: string): Promise<void> {
  try {
    await mkdir(path);
  } catch (failure) {
    const isThere = (failure as NodeJS.ErrnoException).code === 'EEXIST' && (await stat(path)).isDirectory();
    if (!isThere) throw failure;
  }
}
