import type { Mono } from '#base/ports';
import { renamedLogDirName } from '#log/file-names';
import { partitionName } from '#model/ids';
import type { LogDirectory, StoragePorts } from './log-directory.ts';
import type { PartitionLog } from './partition-log.ts';

/** A log that is not served any more, whose folder is to give its name free. */
export interface Leaving {
  readonly topic: string;
  readonly partition: number;
  readonly folder: string;
  readonly directory: LogDirectory;
  /** Undefined: it is kept as a stray. */
  readonly deleteAfterMs: number | undefined;
}

/** A file or folder that waits for its removal. */
interface Doomed {
  readonly directory: LogDirectory;
  readonly path: string;
  readonly dueAt: Mono;
}

/** Logs and files on their way out of a store: what must be over before another log takes their name, and what is removed later. */
export class LogRemovals {
  readonly #ports: Pick<StoragePorts, 'clock' | 'random'>;
  /** Logs that were removed and that the journal may still bring back. */
  readonly #releasing = new Map<string, Promise<void>>();
  /** By partition name: nothing is made in their place before they are out of the way. */
  readonly #leaving = new Map<string, Leaving>();
  /** Renames under way, by directory and folder. */
  readonly #moving = new Map<string, Promise<boolean>>();
  /** Bounded by the files on the disk. */
  #doomed: Doomed[] = [];

  constructor(ports: Pick<StoragePorts, 'clock' | 'random'>) {
    this.#ports = ports;
  }

  /** The log is served no more, and its folder gives its name free; nothing is appended to it. */
  async remove(log: PartitionLog, deleteAfterMs: number | undefined): Promise<void> {
    await this.letGo(log);
    const { topic, partition, folder, directory } = log;
    const leaving = { topic, partition, folder, directory, deleteAfterMs };
    if (!directory.isOffline && !(await this.move(leaving)))
      this.#leaving.set(partitionName(topic, partition), leaving);
  }

  /** Nothing of the log is in use any more but its files. */
  async letGo(log: PartitionLog): Promise<void> {
    const name = partitionName(log.topic, log.partition);
    await log.abandon();
    this.#releasing.set(
      name,
      log.released().finally(() => this.#releasing.delete(name)),
    );
  }

  /** Resolves when the journal holds nothing of an earlier log of that name; undefined if it does not. */
  released(name: string): Promise<void> | undefined {
    return this.#releasing.get(name);
  }

  /** A log that was removed and whose folder still has that name. */
  leaving(name: string): Leaving | undefined {
    return this.#leaving.get(name);
  }

  /** Gives the log's folder another name; false if it still has its own. */
  move(log: Leaving): Promise<boolean> {
    const place = `${log.directory.id}/${log.folder}`;
    const underWay = this.#moving.get(place);
    if (underWay !== undefined) return underWay;
    const moving = this.#move(log).finally(() => this.#moving.delete(place));
    this.#moving.set(place, moving);
    return moving;
  }

  async #move(log: Leaving): Promise<boolean> {
    const { topic, partition, folder, directory, deleteAfterMs } = log;
    const suffix = deleteAfterMs === undefined ? '-stray' : '-delete';
    const renamed = renamedLogDirName(topic, partition, this.uniqueHex(), suffix);
    try {
      await directory.disk.rename(folder, renamed);
    } catch (failure) {
      directory.caught(`rename of ${folder}`, failure);
      return false;
    }
    this.#leaving.delete(partitionName(topic, partition));
    directory.releaseOffsets(log);
    if (deleteAfterMs !== undefined) this.doom(directory, renamed, deleteAfterMs);
    // Whatever is made in its place makes both names durable with its own.
    await directory.disk.syncDir('').catch((failure) => directory.caught(`rename of ${folder}`, failure));
    return true;
  }

  /** The file or folder goes after `delayMs`. */
  doom(directory: LogDirectory, path: string, delayMs: number): void {
    this.#doomed.push({ directory, path, dueAt: this.#ports.clock.now() + delayMs });
  }

  /** What is due goes; folders that had no room, or no handle, for another name are tried again. */
  async removeDoomed(directory: LogDirectory, now: Mono): Promise<void> {
    for (const [name, leaving] of [...this.#leaving]) {
      const isHere = leaving.directory === directory && !directory.isOffline;
      if (isHere && this.#leaving.get(name) === leaving) await this.move(leaving);
    }
    const due = this.#doomed.filter((doomed) => doomed.directory === directory && doomed.dueAt <= now);
    if (due.length === 0 || directory.isOffline) return;
    for (const { path } of due) await directory.disk.remove(path);
    const gone = new Set(due);
    this.#doomed = this.#doomed.filter((doomed) => !gone.has(doomed));
  }

  /** For the name of a folder that is no log's own. */
  uniqueHex(): string {
    const unique = new Uint8Array(16);
    this.#ports.random.secret(unique);
    return Buffer.from(unique).toString('hex');
  }
}
