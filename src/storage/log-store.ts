import { assert } from '#base/assert';
import type { Mono, Ports, Timer } from '#base/ports';
import { logDirName } from '#log/file-names';
import { type Offset, offset, partitionName, type Uuid } from '#model/ids';
import { DataDirectories, type DataDirectoriesOptions } from './data-directories.ts';
import { type CleanerSettings, DEFAULT_CLEANER, LogCleaner } from './log-cleaner.ts';
import type { LogConfig } from './log-config.ts';
import type { LogDirectory, StoragePorts } from './log-directory.ts';
import { createLog, type Quarantined, type SharedParts } from './log-loader.ts';
import { LogQuarantine } from './log-quarantine.ts';
import { LogRemovals } from './log-removals.ts';
import type { PartitionLog } from './partition-log.ts';
import { ReplicaFutures } from './replica-futures.ts';
import { loadStore } from './store-loader.ts';
import { TailCache } from './tail-cache.ts';

export interface LogStoreOptions extends Omit<DataDirectoriesOptions, 'onOffline' | 'onRoom'> {
  readonly tailCacheBytes: number;
  readonly retentionCheckMs: number;
  /** How long the logs remember an idle producer, as it is now. */
  readonly producerIdExpirationMs: () => number;
  /** DEFAULT_CLEANER if not given. */
  readonly cleaner?: () => CleanerSettings;
}

interface NewLog {
  readonly startOffset: Offset;
  /** It is on no directory, read or not. */
  readonly isNew?: boolean;
  readonly alsoWhereFull?: boolean;
}

/** Also the grain at which removals are looked at. */
const CHECKPOINT_MS = 5000;

/**
 * All logs of a node, on all its data directories. One timer drives what happens in the background: checkpoints, retention,
 * removals.
 */
export class LogStore {
  /** A data directory has gone offline, and others are left. */
  onDirectoryOffline: () => void = () => {};
  /** A data directory that was full has room: `create` may succeed where it has not. */
  onRoom: () => void = () => {};
  /** Of this process, to be left behind with a clean shutdown; -1 while it is no registered broker. */
  brokerEpoch = -1;
  readonly cleaner: LogCleaner;
  readonly #ports: StoragePorts;
  readonly #options: LogStoreOptions;
  readonly #cache: TailCache;
  readonly #directories: DataDirectories;
  readonly #logs = new Map<string, PartitionLog>();
  readonly #removals: LogRemovals;
  readonly #quarantine: LogQuarantine;
  /** Copies of logs on other directories, which are to take their place. */
  readonly #futures: ReplicaFutures;
  readonly #timer: Timer;
  /** Directories that are looked after now: one whose disk hangs holds up no other. */
  readonly #tended = new Map<LogDirectory, Promise<void>>();
  #retentionDueAt: Mono;
  /** What makes, moves or removes logs: the close waits for it. Bounded by the partitions. */
  readonly #changes = new Set<Promise<unknown>>();
  #closing: Promise<void> | undefined;

  private constructor(ports: StoragePorts, options: LogStoreOptions) {
    this.#ports = ports;
    this.#options = options;
    this.#cache = new TailCache(options.tailCacheBytes);
    this.cleaner = new LogCleaner(ports, options.cleaner ?? (() => DEFAULT_CLEANER), {
      all: () => this.#logs.values(),
      isCopied: (log) => this.#futures.isCopied(log),
    });
    this.#directories = new DataDirectories(ports, {
      ...options,
      onOffline: () => this.onDirectoryOffline(),
      onRoom: () => this.onRoom(),
    });
    this.#removals = new LogRemovals(ports);
    this.#quarantine = new LogQuarantine(ports.logger, this.#removals);
    this.#futures = new ReplicaFutures({
      shared: (directory) => this.#shared(directory),
      removals: this.#removals,
      took: async (log, future) => {
        await this.#remove(log, log.config.fileDeleteDelayMs);
        this.#logs.set(partitionName(log.topic, log.partition), future);
      },
    });
    this.#retentionDueAt = ports.clock.now() + options.retentionCheckMs;
    this.#timer = ports.clock.timer(() => this.#tick());
  }

  /**
   * Locks the data directories and recovers every log in them. Rejects with IoError (ELOCKED: another process has one) or
   * DirectoryError if the first directory cannot be used; another one that cannot is offline.
   */
  static async open(ports: StoragePorts & Pick<Ports, 'disks'>, options: LogStoreOptions): Promise<LogStore> {
    const store = new LogStore(ports, options);
    assert(ports.disks.length > 0, 'a node has a data directory');
    await loadStore(ports.disks, {
      logger: ports.logger,
      directories: store.#directories,
      logs: store.#logs,
      quarantine: store.#quarantine,
      removals: store.#removals,
      futures: store.#futures,
      shared: (directory) => store.#shared(directory),
    });
    store.#timer.arm(CHECKPOINT_MS);
    store.cleaner.start();
    return store;
  }

  get directories(): readonly LogDirectory[] {
    return this.#directories.all;
  }

  /** Of the directories that are not offline. */
  get directoryIds(): readonly Uuid[] {
    return this.#directories.ids;
  }

  /** Of the directory that holds the log. */
  directoryIdOf(log: PartitionLog): Uuid | undefined {
    return this.#directories.idOf(log.directory);
  }

  get metadataDirectoryId(): Uuid {
    return this.#directories.first.directoryId;
  }

  /** Of the cluster that the first directory belongs to; undefined before setClusterId on an empty disk. */
  get clusterId(): string | undefined {
    return this.#directories.first.clusterId;
  }

  /** Under which the node was last stopped, all of its directories synced and closed (KIP-966); undefined after anything else. */
  get cleanBrokerEpoch(): number | undefined {
    return this.#directories.cleanBrokerEpoch;
  }

  get offlineDirectoryCount(): number {
    return this.#directories.offlineCount;
  }

  /** Logs that are there and not served: damaged where they were synced, or not to be identified. */
  get quarantined(): readonly Quarantined[] {
    return this.#quarantine.logs;
  }

  logs(): IterableIterator<PartitionLog> {
    return this.#logs.values();
  }

  /** Logs that grow in another directory until they take the place of one that is served. */
  futures(): IterableIterator<PartitionLog> {
    return this.#futures.all();
  }

  /** False from the close of the store on, too. */
  isGrowing(future: PartitionLog): boolean {
    return this.#futures.has(future);
  }

  get(topic: string, partition: number): PartitionLog | undefined {
    return this.#logs.get(partitionName(topic, partition));
  }

  /** Writes the cluster's id where there is none. Rejects with DirectoryError if a directory belongs to another cluster. */
  setClusterId(clusterId: string): Promise<void> {
    return this.#directories.setClusterId(clusterId);
  }

  /**
   * A new, empty log on the directory with the fewest, from `startOffset` on; undefined if no directory takes it, the partition's log is quarantined, or
   * may be on a directory that could not be read at the start, or the store closes. `isNew`: it is on none.
   */
  create(
    topic: string,
    topicId: Uuid,
    partition: number,
    config: LogConfig,
    startOffset: Offset = offset(0),
    isNew = false,
  ): Promise<PartitionLog | undefined> {
    return this.#change(() => this.#create(topic, topicId, partition, config, { startOffset, isNew }));
  }

  /** The log of a deleted topic: nothing is served from it any more, its files go after file.delete.delay.ms. */
  async delete(log: PartitionLog): Promise<void> {
    await this.#change(() => this.#remove(log, log.config.fileDeleteDelayMs));
  }

  /**
   * In place of `log`, whose records are of no use any more: an empty one that starts at `startOffset`, also in a directory that is full:
   * what leaves it makes room. Undefined as for `create`.
   */
  restart(log: PartitionLog, startOffset: Offset): Promise<PartitionLog | undefined> {
    return this.#change(async () => {
      await this.#remove(log, 0);
      const next = { startOffset, isNew: true, alsoWhereFull: true };
      return this.#create(log.topic, log.topicId, log.partition, log.config, next);
    });
  }

  /** A log that the metadata does not know, or of an earlier topic of that name: kept under another name, never served. */
  async setAside(log: PartitionLog): Promise<void> {
    await this.#change(() => this.#remove(log, undefined));
  }

  /** The log has turned out to be damaged where it was synced: it stays where it is, as one that was found so at the start. */
  async quarantine(log: PartitionLog, reason: string): Promise<void> {
    await this.#change(async () => {
      // What was appended is in its files then: it may be all that there is.
      await log.close();
      this.#logs.delete(partitionName(log.topic, log.partition));
      await this.#removals.letGo(log);
      const { topic, partition, topicId, folder, directory } = log;
      this.#quarantine.add({ topic, partition, topicId, folder, directory, reason }, log);
    });
  }

  /** Whether the partition's log is on the disk and cannot be served, while its directory can. */
  isDamaged(topic: string, topicId: Uuid, partition: number): boolean {
    return this.#quarantine.isDamaged(topic, topicId, partition);
  }

  /** In place of a damaged log, which is kept under another name: an empty one. Undefined as for `create`. */
  replaceDamaged(
    topic: string,
    topicId: Uuid,
    partition: number,
    config: LogConfig,
  ): Promise<PartitionLog | undefined> {
    return this.#change(async () => {
      if (!(await this.#quarantine.replace(topic, partition))) return undefined;
      return this.#create(topic, topicId, partition, config, { startOffset: offset(0), isNew: true });
    });
  }

  /** An empty log in another directory, to hold a copy of `log` from `startOffset` on. Undefined if the directory does not take it. */
  createFuture(log: PartitionLog, directory: LogDirectory, startOffset: Offset): Promise<PartitionLog | undefined> {
    return this.#change(() => this.#futures.create(log, directory, startOffset));
  }

  /** The copy of `log` that an earlier run has left, given once: whoever takes it lets it grow on, or drops it. */
  claimFuture(log: PartitionLog): PartitionLog | undefined {
    return this.#futures.claim(log);
  }

  /** The copy is not wanted any more; nothing happens if it has taken its place, or failed to. */
  async dropFuture(future: PartitionLog): Promise<void> {
    await this.#change(() => this.#futures.drop(future));
  }

  /**
   * `future`, which has all that `log` has and is not appended to any more, takes its place: the log that is to be served from now on.
   * Undefined: it could not, and `log` stays. A crash on the way leaves either, or both: the same, then.
   */
  promote(log: PartitionLog, future: PartitionLog): Promise<PartitionLog | undefined> {
    return this.#change(() => this.#futures.promote(log, future));
  }

  /** A clean shutdown: the next start scans nothing. Appends are over. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  /** Nothing is begun once the store closes. */
  async #change<T>(run: () => Promise<T>): Promise<T | undefined> {
    if (this.#closing !== undefined) return undefined;
    const change = run();
    this.#changes.add(change);
    try {
      return await change;
    } finally {
      this.#changes.delete(change);
    }
  }

  async #create(
    topic: string,
    topicId: Uuid,
    partition: number,
    config: LogConfig,
    { startOffset, isNew = false, alsoWhereFull = false }: NewLog,
  ): Promise<PartitionLog | undefined> {
    const name = partitionName(topic, partition);
    assert(!this.#logs.has(name), `${name} is there already`);
    if (this.#directories.isPartial && !isNew) return undefined;
    if (!(await this.#quarantine.makeWay(topic, topicId, partition))) return undefined;
    await this.#removals.released(name);
    const byLoad = this.directories.filter(({ isOffline, isFull }) => !isOffline && (alsoWhereFull || !isFull));
    byLoad.sort((a, b) => Number(a.isFull) - Number(b.isFull) || a.logCount - b.logCount);
    for (const directory of byLoad) {
      try {
        const found = { folder: logDirName(topic, partition), topic, partition, topicId };
        await directory.forgetOffsets(topic, partition);
        const log = await createLog(directory, found, config, startOffset, this.#shared(directory));
        this.#logs.set(name, log);
        return log;
      } catch (failure) {
        directory.caught(`creation of ${name}`, failure);
      }
    }
    return undefined;
  }

  #shared(directory: LogDirectory): SharedParts {
    const random = this.#ports.random;
    return {
      cache: this.#cache,
      jitter: () => random.uint32() / 2 ** 32,
      doom: (path, delayMs) => this.#removals.doom(directory, path, delayMs),
    };
  }

  #remove(log: PartitionLog, deleteAfterMs: number | undefined): Promise<void> {
    this.#logs.delete(partitionName(log.topic, log.partition));
    return this.#removals.remove(log, deleteAfterMs);
  }

  #tick(): void {
    const now = this.#ports.clock.now();
    if (now >= this.#retentionDueAt) {
      this.#retentionDueAt = now + this.#options.retentionCheckMs;
      const wall = this.#ports.clock.wall();
      const expirationMs = this.#options.producerIdExpirationMs();
      for (const log of this.#logs.values()) {
        log.producers.removeExpired(wall, expirationMs);
        log.enforceRetention(wall);
      }
    }
    for (const directory of this.directories) {
      if (this.#tended.has(directory)) continue;
      const tended = this.#tend(directory, now).finally(() => this.#tended.delete(directory));
      this.#tended.set(directory, tended);
    }
    this.#timer.arm(CHECKPOINT_MS);
  }

  async #tend(directory: LogDirectory, now: Mono): Promise<void> {
    // First: it may make the room that a checkpoint needs.
    await this.#attempt(directory, 'removal', () => this.#removals.removeDoomed(directory, now));
    await this.#attempt(directory, 'checkpoint', () => directory.checkpoint());
  }

  async #attempt(directory: LogDirectory, what: string, work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (failure) {
      directory.caught(what, failure);
    }
  }

  async #close(): Promise<void> {
    this.#timer.disarm();
    await this.cleaner.close();
    await Promise.all(this.#tended.values());
    await Promise.allSettled(this.#changes);
    // One by one: the disk may be shared with those who are just taking over, and whose clients wait for it.
    for (const log of [...this.#logs.values()]) await log.close();
    await this.#futures.abandonAll();
    await this.#directories.close(this.brokerEpoch);
  }
}
