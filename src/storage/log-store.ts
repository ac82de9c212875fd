import { assert } from '#base/assert';
import type { Disk, Mono, Ports, Timer } from '#base/ports';
import type { MetaProperties } from '#log/checkpoint-files';
import { logDirName, renamedLogDirName } from '#log/file-names';
import { type NodeId, type Offset, offset, partitionName, type Uuid, ZERO_UUID } from '#model/ids';
import { claimDirectory, DirectoryError, markClean, openDirectory, writeMeta } from './data-directory.ts';
import { codeOf, eachOf, isTransient } from './files.ts';
import { type CleanerSettings, DEFAULT_CLEANER, LogCleaner } from './log-cleaner.ts';
import { defaultLogConfig, type LogConfig } from './log-config.ts';
import { LogDirectory, type StoragePorts } from './log-directory.ts';
import { createLog, type LoadPoint, loadLog, type Quarantined, type SharedParts } from './log-loader.ts';
import { PartitionLog } from './partition-log.ts';
import { type FoundFuture, ReplicaFutures } from './replica-futures.ts';
import { TailCache } from './tail-cache.ts';

export interface LogStoreOptions {
  readonly nodeId: NodeId;
  readonly tailCacheBytes: number;
  /** A data directory with less free room takes no appends. */
  readonly minFreeBytes: number;
  readonly retentionCheckMs: number;
  /** How long the logs remember an idle producer, as it is now. */
  readonly producerIdExpirationMs: () => number;
  /** DEFAULT_CLEANER if not given. */
  readonly cleaner?: () => CleanerSettings;
  /** More logs than this that wait for their sync share a record of the journal; JOURNAL_ABOVE if not given. */
  readonly journalAbove?: number;
  /** Per data directory, twice; 64 MiB if not given. */
  readonly journalFileBytes?: number;
  /** The first data directory, which also holds the metadata log, or the last one has gone offline. */
  readonly onAllOffline: (reason: string) => void;
}

/** A data directory, with whose it is. */
interface Member {
  readonly directory: LogDirectory;
  meta: MetaProperties;
}

/** A log that is not served any more, whose folder is to give its name free. */
interface Leaving {
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

/** Also the grain at which removals are looked at. */
const CHECKPOINT_MS = 5000;
const LOAD_PARALLEL = 16;
const JOURNAL_ABOVE = 8;
const JOURNAL_FILE_BYTES = 64 * 1024 * 1024;

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
  readonly #members: Member[] = [];
  readonly #logs = new Map<string, PartitionLog>();
  /** Copies of logs on other directories, which are to take their place. */
  readonly #futures: ReplicaFutures;
  readonly #quarantined: Quarantined[] = [];
  /** Logs that were removed and that the journal may still bring back. */
  readonly #releasing = new Map<string, Promise<void>>();
  /** By partition name: nothing is made in their place before they are out of the way. */
  readonly #leaving = new Map<string, Leaving>();
  /** Of each directory. */
  readonly #cleanBrokerEpochs = new Set<number | undefined>();
  /** A directory could not be read at the start: nobody knows what is on it. */
  #isPartial = false;
  /** Bounded by the files on the disk. */
  #doomed: Doomed[] = [];
  readonly #timer: Timer;
  #ticking: Promise<void> = Promise.resolve();
  #retentionDueAt: Mono;
  /** What makes, moves or removes logs: the close waits for it. Bounded by the partitions. */
  readonly #changes = new Set<Promise<unknown>>();
  #closing: Promise<void> | undefined;

  private constructor(ports: StoragePorts, options: LogStoreOptions) {
    this.#ports = ports;
    this.#options = options;
    this.#cache = new TailCache(options.tailCacheBytes);
    this.cleaner = new LogCleaner(ports, options.cleaner ?? (() => DEFAULT_CLEANER), () => this.#logs.values());
    this.#futures = new ReplicaFutures({
      shared: (directory) => this.#shared(directory),
      uniqueHex: () => this.#uniqueHex(),
      released: (name) => this.#releasing.get(name),
      doom: (directory, folder) => this.#doom(directory, folder, 0),
      took: async (log, future) => {
        await this.#remove(log, log.config.fileDeleteDelayMs);
        this.#logs.set(partitionName(log.topic, log.partition), future);
      },
      drop: async ({ topic, partition, directory }, folder) => {
        await this.#move({ topic, partition, directory, folder, deleteAfterMs: 0 });
      },
    });
    this.#retentionDueAt = ports.clock.now() + options.retentionCheckMs;
    this.#timer = ports.clock.timer(() => {
      this.#ticking = this.#tick();
    });
  }

  /**
   * Locks the data directories and recovers every log in them. Rejects with IoError (ELOCKED: another process has one) or
   * DirectoryError if the first directory cannot be used; another one that cannot is offline.
   */
  static async open(ports: StoragePorts & Pick<Ports, 'disks'>, options: LogStoreOptions): Promise<LogStore> {
    const store = new LogStore(ports, options);
    assert(ports.disks.length > 0, 'a node has a data directory');
    const futures: FoundFuture[] = [];
    for (const [place, disk] of ports.disks.entries()) futures.push(...(await store.#openDisk(disk, place === 0)));
    await store.#adoptFutures(futures);
    store.#timer.arm(CHECKPOINT_MS);
    store.cleaner.start();
    return store;
  }

  get directories(): readonly LogDirectory[] {
    return this.#members.map(({ directory }) => directory);
  }

  /** Of the directories that are not offline. */
  get directoryIds(): readonly Uuid[] {
    return this.#members.filter(({ directory }) => !directory.isOffline).map(({ meta }) => meta.directoryId);
  }

  /** Of the directory that holds the log. */
  directoryIdOf(log: PartitionLog): Uuid | undefined {
    return this.#members.find(({ directory }) => directory === log.directory)?.meta.directoryId;
  }

  get metadataDirectoryId(): Uuid {
    return this.#first.meta.directoryId;
  }

  /** Of the cluster that the first directory belongs to; undefined before setClusterId on an empty disk. */
  get clusterId(): string | undefined {
    return this.#first.meta.clusterId;
  }

  /** Under which the node was last stopped, all of its directories synced and closed (KIP-966); undefined after anything else. */
  get cleanBrokerEpoch(): number | undefined {
    const [epoch] = this.#cleanBrokerEpochs;
    return this.#isPartial || this.#cleanBrokerEpochs.size > 1 ? undefined : epoch;
  }

  get offlineDirectoryCount(): number {
    return this.#members.filter(({ directory }) => directory.isOffline).length;
  }

  /** Logs that are there and not served: damaged where they were synced, or not to be identified. */
  get quarantined(): readonly Quarantined[] {
    return this.#quarantined;
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
  async setClusterId(clusterId: string): Promise<void> {
    for (const member of this.#members) {
      const { directory, meta } = member;
      if (directory.isOffline || meta.clusterId === clusterId) continue;
      if (meta.clusterId !== undefined) {
        throw new DirectoryError(
          'foreign',
          `${directory.disk.path} belongs to cluster ${meta.clusterId}, not ${clusterId}`,
        );
      }
      member.meta = { ...meta, clusterId };
      await writeMeta(directory.disk, member.meta);
    }
  }

  /**
   * A new, empty log on the directory with the fewest, from `startOffset` on; undefined if no directory takes it, the partition's log is quarantined, or
   * may be on a directory that could not be read at the start, or the store closes.
   */
  create(
    topic: string,
    topicId: Uuid,
    partition: number,
    config: LogConfig,
    startOffset: Offset = offset(0),
  ): Promise<PartitionLog | undefined> {
    return this.#change(() => this.#create(topic, topicId, partition, config, startOffset));
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
      return this.#create(log.topic, log.topicId, log.partition, log.config, startOffset, true);
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
      await this.#letGo(log);
      const { topic, partition, topicId, folder, directory } = log;
      this.#quarantine({ topic, partition, topicId, folder, directory, reason }, log);
    });
  }

  /** Whether the partition's log is on the disk and cannot be served, while its directory can. */
  isDamaged(topic: string, topicId: Uuid, partition: number): boolean {
    const known = this.#quarantined.find((log) => log.topic === topic && log.partition === partition);
    return known !== undefined && !known.directory.isOffline && (known.topicId ?? topicId) === topicId;
  }

  /** In place of a damaged log, which is kept under another name: an empty one. Undefined as for `create`. */
  replaceDamaged(
    topic: string,
    topicId: Uuid,
    partition: number,
    config: LogConfig,
  ): Promise<PartitionLog | undefined> {
    return this.#change(async () => {
      const known = this.#quarantined.find((log) => log.topic === topic && log.partition === partition);
      if (known !== undefined) {
        if (!(await this.#setQuarantinedAside(known))) return undefined;
        this.#ports.logger.warn({ log: known.folder }, 'a damaged log is set aside: the replica begins anew');
      }
      return this.#create(topic, topicId, partition, config, offset(0));
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

  get #first(): Member {
    const [first] = this.#members;
    assert(first !== undefined, 'the store is open');
    return first;
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
    startOffset: Offset,
    alsoWhereFull = false,
  ): Promise<PartitionLog | undefined> {
    const name = partitionName(topic, partition);
    assert(!this.#logs.has(name), `${name} is there already`);
    if (this.#isPartial || !(await this.#makeWay(topic, topicId, partition))) return undefined;
    await this.#releasing.get(name);
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

  /** Gives the copies of logs that were found. */
  async #openDisk(disk: Disk, isFirst: boolean): Promise<readonly FoundFuture[]> {
    const { nodeId, minFreeBytes, journalFileBytes = JOURNAL_FILE_BYTES, journalAbove = JOURNAL_ABOVE } = this.#options;
    const onOffline = (_directory: LogDirectory, reason: string): void => this.#wentOffline(reason);
    const meta = isFirst ? await claimDirectory(this.#ports, disk, nodeId) : await this.#claim(disk);
    if (meta === undefined) return [];
    const onRoom = (): void => this.onRoom();
    const directoryOptions = { minFreeBytes, journalFileBytes, journalAbove, onOffline, onRoom };
    try {
      const content = await openDirectory(this.#ports, disk);
      const { journalGeneration, savedNames } = content;
      this.#cleanBrokerEpochs.add(content.cleanBrokerEpoch);
      const directory = new LogDirectory(this.#ports, disk, meta.directoryId, {
        ...directoryOptions,
        journalGeneration,
        savedNames,
      });
      this.#members.push({ directory, meta });
      for (const path of content.doomed) this.#doom(directory, path, 0);
      for (const each of content.unidentified) {
        this.#quarantine({ ...each, directory }, content.pointOf(each.topic, each.partition));
      }
      const shared = { ...this.#shared(directory), config: defaultLogConfig() };
      await eachOf(content.logs, LOAD_PARALLEL, async (found) => {
        const point = content.pointOf(found.topic, found.partition);
        const loaded = await loadLog(directory, found, point, shared);
        if (!(loaded instanceof PartitionLog)) this.#quarantine(loaded, point);
        else if (!(await this.#found(loaded))) {
          this.#quarantine({ ...found, directory, reason: 'another data directory holds the partition, too' }, point);
        }
      });
      return content.futures.map((found) => ({
        directory,
        found,
        point: content.pointOf(found.topic, found.partition),
      }));
    } catch (failure) {
      if (isFirst || (codeOf(failure) === undefined && !(failure instanceof DirectoryError))) throw failure;
      this.#openedOffline(disk, meta, failure as Error);
      return [];
    }
  }

  /** What they are copies of may be in a directory that could not be read: then they are left as they are. */
  async #adoptFutures(futures: readonly FoundFuture[]): Promise<void> {
    if (this.#isPartial) return;
    for (const each of futures) {
      const { topicId, partition } = each.found;
      const log = [...this.#logs.values()].find((known) => known.topicId === topicId && known.partition === partition);
      await this.#futures.adopt(each, log);
    }
  }

  /**
   * False: another directory holds a log of that name, of another topic. One of the same topic was left by a move that a crash has cut
   * short: the one that went on is kept.
   */
  async #found(log: PartitionLog): Promise<boolean> {
    const name = partitionName(log.topic, log.partition);
    const held = this.#logs.get(name);
    if (held !== undefined && held.topicId !== log.topicId) {
      await log.abandon();
      return false;
    }
    const kept = held === undefined || isAhead(log, held) ? log : held;
    const other = kept === log ? held : log;
    if (other !== undefined) {
      this.#ports.logger.warn({ log: name, directory: other.directory.disk.path }, 'a log that has moved is set aside');
      await this.setAside(other);
    }
    this.#logs.set(name, kept);
    return true;
  }

  /** Undefined: the directory is offline. */
  async #claim(disk: Disk): Promise<MetaProperties | undefined> {
    try {
      return await claimDirectory(this.#ports, disk, this.#options.nodeId);
    } catch (failure) {
      const isOthers =
        codeOf(failure) === 'ELOCKED' || (failure instanceof DirectoryError && failure.code === 'foreign');
      if (codeOf(failure) === undefined || isOthers) throw failure;
      // Its own id is on it, and is not told to anyone while it is offline.
      const meta = { clusterId: undefined, directoryId: ZERO_UUID, nodeId: this.#options.nodeId };
      this.#openedOffline(disk, meta, failure as Error);
      return undefined;
    }
  }

  #openedOffline(disk: Disk, meta: MetaProperties, failure: Error): void {
    this.#isPartial = true;
    let member = this.#members.find(({ directory }) => directory.disk === disk);
    if (member === undefined) {
      const directory = new LogDirectory(this.#ports, disk, meta.directoryId, {
        minFreeBytes: this.#options.minFreeBytes,
        journalFileBytes: JOURNAL_FILE_BYTES,
        journalAbove: JOURNAL_ABOVE,
        journalGeneration: 0,
        savedNames: new Set(),
        onOffline: () => {},
        onRoom: () => {},
      });
      member = { directory, meta };
      this.#members.push(member);
    }
    member.directory.fail(failure.message);
  }

  #shared(directory: LogDirectory): SharedParts {
    const random = this.#ports.random;
    return {
      cache: this.#cache,
      jitter: () => random.uint32() / 2 ** 32,
      doom: (path, delayMs) => this.#doom(directory, path, delayMs),
    };
  }

  #quarantine(log: Quarantined, offsets: Pick<LoadPoint, 'recoveryPoint' | 'logStartOffset' | 'cleanedOffset'>): void {
    const { recoveryPoint, logStartOffset, cleanedOffset } = offsets;
    this.#quarantined.push(log);
    const { topic, partition, folder, reason, directory } = log;
    directory.keepOffsets({ topic, partition, recoveryPoint, logStartOffset, cleanedOffset });
    this.#ports.logger.error(
      { directory: directory.disk.path, log: folder, reason },
      'a log is quarantined: not served',
    );
  }

  /** A quarantined log of this very topic keeps its place; one of another topic is set aside. */
  async #makeWay(topic: string, topicId: Uuid, partition: number): Promise<boolean> {
    const leaving = this.#leaving.get(partitionName(topic, partition));
    if (leaving !== undefined && !(await this.#move(leaving))) return false;
    const known = this.#quarantined.find((log) => log.topic === topic && log.partition === partition);
    if (known === undefined) return true;
    if (known.topicId === undefined || known.topicId === topicId || known.directory.isOffline) return false;
    return this.#setQuarantinedAside(known);
  }

  async #setQuarantinedAside(known: Quarantined): Promise<boolean> {
    if (!(await this.#move({ ...known, deleteAfterMs: undefined }))) return false;
    this.#quarantined.splice(this.#quarantined.indexOf(known), 1);
    return true;
  }

  async #remove(log: PartitionLog, deleteAfterMs: number | undefined): Promise<void> {
    await this.#letGo(log);
    const { topic, partition, folder, directory } = log;
    const leaving = { topic, partition, folder, directory, deleteAfterMs };
    if (!directory.isOffline && !(await this.#move(leaving)))
      this.#leaving.set(partitionName(topic, partition), leaving);
  }

  /** Nothing of the log is in use any more but its files. */
  async #letGo(log: PartitionLog): Promise<void> {
    const name = partitionName(log.topic, log.partition);
    this.#logs.delete(name);
    await log.abandon();
    this.#releasing.set(
      name,
      log.released().finally(() => this.#releasing.delete(name)),
    );
  }

  /** Gives the log's folder another name; false if it still has its own. */
  async #move(log: Leaving): Promise<boolean> {
    const { topic, partition, folder, directory, deleteAfterMs } = log;
    const suffix = deleteAfterMs === undefined ? '-stray' : '-delete';
    const renamed = renamedLogDirName(topic, partition, this.#uniqueHex(), suffix);
    try {
      await directory.disk.rename(folder, renamed);
    } catch (failure) {
      directory.caught(`rename of ${folder}`, failure);
      return false;
    }
    this.#leaving.delete(partitionName(topic, partition));
    directory.releaseOffsets(log);
    if (deleteAfterMs !== undefined) this.#doom(directory, renamed, deleteAfterMs);
    // Whatever is made in its place makes both names durable with its own.
    await directory.disk.syncDir('').catch((failure) => directory.caught(`rename of ${folder}`, failure));
    return true;
  }

  #uniqueHex(): string {
    const unique = new Uint8Array(16);
    this.#ports.random.secret(unique);
    return Buffer.from(unique).toString('hex');
  }

  #doom(directory: LogDirectory, path: string, delayMs: number): void {
    this.#doomed.push({ directory, path, dueAt: this.#ports.clock.now() + delayMs });
  }

  async #tick(): Promise<void> {
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
      try {
        await directory.checkpoint();
        await this.#removeDoomed(directory, now);
      } catch (failure) {
        directory.caught('checkpoint', failure);
      }
    }
    if (this.#closing === undefined) this.#timer.arm(CHECKPOINT_MS);
  }

  async #removeDoomed(directory: LogDirectory, now: Mono): Promise<void> {
    const due = this.#doomed.filter((doomed) => doomed.directory === directory && doomed.dueAt <= now);
    if (due.length === 0 || directory.isOffline) return;
    for (const { path } of due) await directory.disk.remove(path);
    const gone = new Set(due);
    this.#doomed = this.#doomed.filter((doomed) => !gone.has(doomed));
  }

  async #close(): Promise<void> {
    this.#timer.disarm();
    await this.cleaner.close();
    await this.#ticking;
    await Promise.allSettled(this.#changes);
    await eachOf([...this.#logs.values()], LOAD_PARALLEL, (log) => log.close());
    await this.#futures.abandonAll();
    for (const directory of this.directories) {
      try {
        await directory.saveOffsets();
        await directory.close();
        if (!directory.isOffline) await markClean(directory.disk, this.brokerEpoch);
      } catch (failure) {
        // The next start scans what this one could not vouch for.
        if (!isTransient(failure) && codeOf(failure) === undefined) throw failure;
        this.#ports.logger.error({ directory: directory.disk.path, reason: String(failure) }, 'not shut down cleanly');
      }
      await directory.disk.close();
    }
  }

  #wentOffline(reason: string): void {
    const alive = this.#members.filter(({ directory }) => !directory.isOffline);
    if (alive.length === 0 || this.#members[0]?.directory.isOffline) this.#options.onAllOffline(reason);
    else this.onDirectoryOffline();
  }
}

function isAhead(log: PartitionLog, other: PartitionLog): boolean {
  const epochs = (log.epochs.latest()?.epoch ?? -1) - (other.epochs.latest()?.epoch ?? -1);
  return epochs === 0 ? log.logEndOffset > other.logEndOffset : epochs > 0;
}
