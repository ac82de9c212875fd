import { logDirName, renamedLogDirName } from '#log/file-names';
import { type Offset, offset, partitionName } from '#model/ids';
import type { LogDirectory } from './log-directory.ts';
import { createLog, type FoundLog, type LoadPoint, loadLog, type SharedParts } from './log-loader.ts';
import type { LogRemovals } from './log-removals.ts';
import { PartitionLog } from './partition-log.ts';

/** The store that logs move within. */
export interface MovingHost {
  readonly removals: LogRemovals;
  shared(directory: LogDirectory): SharedParts;
  /** `future` is served in the place of `log`. */
  took(log: PartitionLog, future: PartitionLog): Promise<void>;
}

/** A copy that an earlier run has left. */
export interface FoundFuture {
  readonly directory: LogDirectory;
  readonly found: FoundLog;
  readonly point: LoadPoint;
}

/** Logs that grow in another data directory until they take the place of one that is served there. */
export class ReplicaFutures {
  readonly #host: MovingHost;
  /** By future: the log that it is a copy of. */
  readonly #futures = new Map<PartitionLog, PartitionLog>();
  /** Of those, the ones that were found at the start, by the log that they are of, until their growth goes on. */
  readonly #unclaimed = new Map<PartitionLog, PartitionLog>();

  constructor(host: MovingHost) {
    this.#host = host;
  }

  all(): IterableIterator<PartitionLog> {
    return this.#futures.keys();
  }

  has(future: PartitionLog): boolean {
    return this.#futures.has(future);
  }

  isCopied(log: PartitionLog): boolean {
    for (const copied of this.#futures.values()) if (copied === log) return true;
    return false;
  }

  /** See LogStore.createFuture. */
  async create(log: PartitionLog, directory: LogDirectory, startOffset: Offset): Promise<PartitionLog | undefined> {
    const { topic, topicId, partition, config } = log;
    await this.#host.removals.released(partitionName(topic, partition));
    const folder = renamedLogDirName(topic, partition, this.#host.removals.uniqueHex(), '-future');
    if (directory.isOffline) return undefined;
    try {
      await directory.forgetOffsets(topic, partition);
      const found = { folder, topic, partition, topicId };
      const future = await createLog(directory, found, config, startOffset, this.#host.shared(directory));
      this.#futures.set(future, log);
      // A cleaning that has begun before ends, before anything is copied.
      await log.compaction.idle();
      return future;
    } catch (failure) {
      directory.caught(`creation of ${folder}`, failure);
      return undefined;
    }
  }

  /**
   * Takes up what an earlier run has left, or lets its folder go: a copy goes on if it is the first that is found of a log in another
   * directory. What had not reached its files is copied again.
   */
  async adopt({ directory, found, point }: FoundFuture, log: PartitionLog | undefined): Promise<void> {
    const isWanted = log !== undefined && log.directory !== directory && !this.#unclaimed.has(log);
    try {
      if (isWanted && !directory.isOffline) {
        const shared = { ...this.#host.shared(directory), config: log.config, isConfigKnown: false };
        const loaded = await loadLog(directory, { ...found, topic: log.topic }, { ...point, isClean: false }, shared);
        if (loaded instanceof PartitionLog) {
          this.#futures.set(loaded, log);
          this.#unclaimed.set(log, loaded);
          return;
        }
        directory.logger.warn({ log: found.folder, reason: loaded.reason }, 'a copy of a replica begins anew');
      }
    } catch (failure) {
      directory.caught(`the copy ${found.folder}`, failure);
    }
    if (!directory.isOffline) this.#host.removals.doom(directory, found.folder, 0);
  }

  /** See LogStore.claimFuture. */
  claim(log: PartitionLog): PartitionLog | undefined {
    const future = this.#unclaimed.get(log);
    this.#unclaimed.delete(log);
    return future;
  }

  /** See LogStore.dropFuture. */
  async drop(future: PartitionLog): Promise<void> {
    if (!this.#futures.delete(future)) return;
    await future.abandon();
    await future.released();
    if (!future.directory.isOffline) this.#host.removals.doom(future.directory, future.folder, 0);
  }

  /** See LogStore.promote. */
  async promote(log: PartitionLog, future: PartitionLog): Promise<PartitionLog | undefined> {
    return this.#futures.has(future) ? this.#promote(log, future) : undefined;
  }

  /** Given up, their folders left to the next start. */
  async abandonAll(): Promise<void> {
    const futures = [...this.#futures.keys()];
    this.#futures.clear();
    for (const future of futures) await future.abandon();
  }

  async #promote(log: PartitionLog, future: PartitionLog): Promise<PartitionLog | undefined> {
    const { directory, topic, partition, topicId, folder } = future;
    const found = { folder: logDirName(topic, partition), topic, partition, topicId };
    let standsAt = folder;
    try {
      await future.name();
      await future.close();
      const { recoveryPoint, logStartOffset, logEndOffset } = future;
      if (directory.isOffline || recoveryPoint < logEndOffset) return undefined;
      this.#futures.delete(future);
      await future.abandon();
      await future.released();
      const cleanedOffset = offset(0);
      directory.keepOffsets({ topic, partition, recoveryPoint, logStartOffset, cleanedOffset });
      await directory.saveOffsets();
      await directory.disk.rename(folder, found.folder);
      standsAt = found.folder;
      await directory.syncNames();
      const point = { recoveryPoint, logStartOffset, cleanedOffset, isClean: true, synced: new Set<string>() };
      const shared = { ...this.#host.shared(directory), config: log.config, isConfigKnown: true };
      const made = await loadLog(directory, found, point, shared);
      if (made instanceof PartitionLog) {
        directory.releaseOffsets(made);
        await this.#host.took(log, made);
        return made;
      }
      directory.fail(made.reason);
    } catch (failure) {
      directory.caught(`the move of ${found.folder}`, failure);
    }
    if (!directory.isOffline && !this.#futures.has(future))
      await this.#host.removals.move({ topic, partition, folder: standsAt, directory, deleteAfterMs: 0 });
    return undefined;
  }
}
