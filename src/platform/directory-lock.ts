import { readFile, stat, unlink, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { ioError, toIoError } from './io-error.ts';

/** Kafka's name for it. */
export const LOCK_FILE = '.lock';

interface Holder {
  readonly bootId: string;
  readonly pid: number;
  /** Clock ticks since boot, so that a pid that was given again is not taken for the holder. */
  readonly startTime: string;
}

/**
 * Keeps two processes off one data directory. On Linux an abstract Unix socket named by device and inode says so, and
 * goes with its process; the lock file (boot id, pid, start time) covers network namespaces that do not share sockets,
 * and other systems. A holder that cannot be seen from here counts as dead.
 */
export class DirectoryLock {
  readonly #file: string;
  readonly #socket: Server | undefined;

  private constructor(file: string, socket: Server | undefined) {
    this.#file = file;
    this.#socket = socket;
  }

  /** Rejects with ELOCKED while another holds it. */
  static async take(directory: string): Promise<DirectoryLock> {
    const file = join(directory, LOCK_FILE);
    const { dev, ino } = await stat(directory, { bigint: true }).catch((failure) => Promise.reject(toIoError(failure)));
    const hasAbstractSockets = process.platform === 'linux' || process.platform === 'android';
    const socket = hasAbstractSockets ? await bindAbstract(`odradek-${dev}-${ino}`, directory) : undefined;
    const self = await thisProcess();
    const holder = await readHolder(file);
    const heldByUs = holder?.pid === self.pid && holder.startTime === self.startTime;
    const isLeftover = holder === undefined || (heldByUs && socket !== undefined) || !(await isAlive(holder, self));
    if (!isLeftover) {
      socket?.close();
      throw ioError('ELOCKED', `${directory} is in use by process ${holder.pid} (see ${file})`);
    }
    try {
      await writeFile(file, `${JSON.stringify(self)}\n`);
    } catch (failure) {
      socket?.close();
      throw toIoError(failure);
    }
    return new DirectoryLock(file, socket);
  }

  async release(): Promise<void> {
    await unlink(this.#file).catch((failure) => {
      if (failure.code !== 'ENOENT') throw toIoError(failure);
    });
    const socket = this.#socket;
    if (socket) await new Promise((resolve) => socket.close(resolve));
  }
}

/** The process that holds a directory; undefined if none does that can be seen from here. */
export async function lockHolder(directory: string): Promise<number | undefined> {
  const holder = await readHolder(join(directory, LOCK_FILE));
  if (holder === undefined) return undefined;
  return (await isAlive(holder, await thisProcess())) ? holder.pid : undefined;
}

function bindAbstract(name: string, directory: string): Promise<Server> {
  return new Promise((resolve, reject) => {
    const server = createServer((socket) => socket.destroy());
    server.once('error', (failure: NodeJS.ErrnoException) => {
      const taken = failure.code === 'EADDRINUSE';
      reject(taken ? ioError('ELOCKED', `${directory} is in use by another process`, failure) : toIoError(failure));
    });
    server.listen(`\0${name}`, () => resolve(server.unref()));
  });
}

async function thisProcess(): Promise<Holder> {
  const bootId = await readText('/proc/sys/kernel/random/boot_id');
  return { bootId: bootId.trim(), pid: process.pid, startTime: await startTimeOf(process.pid) };
}

/** Field 22 of /proc/PID/stat, counted behind the command's name, which may hold spaces; '' where there is no such file. */
async function startTimeOf(pid: number): Promise<string> {
  const line = await readText(`/proc/${pid}/stat`);
  return line.slice(line.lastIndexOf(')') + 2).split(' ')[19] ?? '';
}

async function isAlive(holder: Holder, self: Holder): Promise<boolean> {
  if (holder.bootId !== self.bootId) return false;
  if (self.startTime !== '') return (await startTimeOf(holder.pid)) === holder.startTime;
  try {
    process.kill(holder.pid, 0);
    return true;
  } catch (failure) {
    return (failure as NodeJS.ErrnoException).code === 'EPERM';
  }
}

async function readHolder(file: string): Promise<Holder | undefined> {
  try {
    const { bootId, pid, startTime } = JSON.parse(await readText(file)) as Partial<Record<keyof Holder, unknown>>;
    if (typeof bootId !== 'string' || !Number.isSafeInteger(pid) || typeof startTime !== 'string') return undefined;
    return { bootId, pid: pid as number, startTime };
  } catch {
    // Missing, or torn by a power cut: whoever wrote it is gone.
    return undefined;
  }
}

async function readText(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch {
    // A system without /proc, or a process that is gone: both read as empty.
    return '';
  }
}
