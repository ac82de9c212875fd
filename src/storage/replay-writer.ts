import type { Disk } from '#base/ports';
import { eachOf, openToRead, syncFile, writeAt } from './files.ts';
import { OpenFiles } from './open-files.ts';

/** Bytes that continue each other in one file. */
interface Run {
  readonly position: number;
  end: number;
  readonly chunks: Uint8Array[];
}

/** What is held until it is written: small records of a thousand logs would otherwise be as many writes each. */
const HELD_BYTES_MAX = 32 * 1024 * 1024;
const OPEN_FILES_MAX = 1024;
const PARALLEL = 4;

/** Brings what the journal recorded to its places: whatever is replayed in between, each file gets it in the order of the records. */
export class ReplayWriter {
  readonly #disk: Disk;
  readonly #files: OpenFiles;
  /** False: there is no such file, and none is made. */
  readonly #known = new Map<string, boolean>();
  #runs = new Map<string, Run[]>();
  #heldBytes = 0;

  constructor(disk: Disk) {
    this.#disk = disk;
    this.#files = new OpenFiles(disk, 'write', OPEN_FILES_MAX);
  }

  /** `bytes` is owned from here on. */
  async write(path: string, bytes: Uint8Array, position: number): Promise<void> {
    if (!(await this.#exists(path))) return;
    const runs = this.#runs.get(path) ?? [];
    this.#runs.set(path, runs);
    const last = runs.at(-1);
    if (last?.end === position) {
      last.chunks.push(bytes);
      last.end += bytes.length;
    } else runs.push({ position, end: position + bytes.length, chunks: [bytes] });
    this.#heldBytes += bytes.length;
    if (this.#heldBytes >= HELD_BYTES_MAX) await this.#flush();
  }

  /** Everything is written and synced, and the files are closed. Gives their paths. */
  async finish(): Promise<readonly string[]> {
    await this.#flush();
    const written = [...this.#known].flatMap(([path, isThere]) => (isThere ? [path] : []));
    await eachOf(written, PARALLEL, (path) => this.#with(path, async (file) => void (await syncFile(file))));
    await this.#files.close();
    return written;
  }

  async #flush(): Promise<void> {
    const all = [...this.#runs];
    this.#runs = new Map();
    this.#heldBytes = 0;
    await eachOf(all, PARALLEL, ([path, runs]) =>
      this.#with(path, async (file) => {
        for (const { chunks, position } of runs) await writeAt(file, chunks, position);
      }),
    );
  }

  async #exists(path: string): Promise<boolean> {
    let isThere = this.#known.get(path);
    if (isThere === undefined) {
      const file = await openToRead(this.#disk, path);
      await file?.close();
      isThere = file !== undefined;
      this.#known.set(path, isThere);
    }
    return isThere;
  }

  async #with(path: string, work: (file: Parameters<typeof writeAt>[0]) => Promise<void>): Promise<void> {
    const open = await this.#files.usePromised(path);
    try {
      await work(open.file);
    } finally {
      this.#files.release(open);
    }
  }
}
