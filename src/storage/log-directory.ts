import type { Clock, Codecs, Disk, Logger, Ports, Timer } from '#base/ports';
import { type OffsetCheckpointEntry, offsetCheckpointText } from '#log/checkpoint-files';
import { CLEANER_CHECKPOINT, LOG_START_CHECKPOINT, RECOVERY_POINT_CHECKPOINT } from '#log/file-names';
import { type Offset, partitionName, type Uuid } from '#model/ids';
import type { PlantedBugs } from '#model/planted-bugs';
import { CommitRounds } from './commit-rounds.ts';
import { codeOf, eachOf, isTransient, replaceFile } from './files.ts';
import { IndexCache } from './index-cache.ts';
import { Journal } from './journal.ts';
import { OpenFiles } from './open-files.ts';
import { ReadBuffers } from './read-buffers.ts';
import { ScanChunks } from './scan-file.ts';

export type StoragePorts = Pick<Ports, 'clock' | 'random' | 'codecs' | 'logger' | 'fatal'>;

export interface LogDirectoryOptions {
  /** With less free room the directory takes no appends. */
  readonly minFreeBytes: number;
  readonly journalAbove: number;
  /** Each of the journal's two files, but for the record that fills it. */
  readonly journalFileBytes: number;
  /** Logs that the directory's offset checkpoints speak of, by partition name. */
  readonly savedNames: ReadonlySet<string>;
  /** Some of them were compacted, by its checkpoint. */
  readonly wasCompacted: boolean;
  /** The journal's first generation is above it. */
  readonly journalGeneration: number;
  readonly planted: PlantedBugs;
  readonly onOffline: (directory: LogDirectory, reason: string) => void;
  /** It was full, and is not any more. */
  readonly onRoom: () => void;
}

/** What the directory's checkpoints say of a log. */
export interface LogOffsets {
  readonly topic: string;
  readonly partition: number;
  readonly logStartOffset: Offset;
  /** Everything below is in the log's files for good, and recovery need not look at it. */
  readonly recoveryPoint: Offset;
  /** Up to where it was compacted. */
  readonly cleanedOffset: Offset;
}

/** A log as its directory sees it. */
export interface DirectoryLog extends LogOffsets {
  checkpoint(): Promise<void>;
  /** That it starts at `offset` is on disk. */
  startSaved(offset: Offset): void;
  /** The directory is offline. */
  failed(): void;
}

const FREE_CHECK_MS = 1000;
const INDEX_CACHE_BYTES = 32 * 1024 * 1024;
/** Idle handles, of readers and of writers each: well below usual limits of open files, and above 1,000 busy partitions. */
const IDLE_FILES_MAX = 2048;
const CHECKPOINTS_PARALLEL = 2;

/**
 * One data directory at work: what its logs share, and its state. Online it takes appends; full it refuses them until there is
 * room, and goes on serving reads; offline it never comes back, because after a failed write or sync nobody knows what is on it.
 */
export class LogDirectory {
  readonly disk: Disk;
  readonly id: Uuid;
  readonly clock: Clock;
  readonly codecs: Codecs;
  readonly logger: Logger;
  readonly planted: PlantedBugs;
  readonly readers: OpenFiles;
  readonly writers: OpenFiles;
  readonly indexes: IndexCache;
  readonly readBuffers = new ReadBuffers();
  readonly scanChunks = new ScanChunks();
  readonly journal: Journal;
  readonly commits: CommitRounds;
  readonly #ports: StoragePorts;
  readonly #options: LogDirectoryOptions;
  readonly #logs = new Set<DirectoryLog>();
  /** Of logs that are here and not served: without them damage would pass for a torn tail at the next start. */
  readonly #keptOffsets = new Map<string, LogOffsets>();
  readonly #freeTimer: Timer;
  #isFull = false;
  #offlineReason: string | undefined;
  #watching = false;
  #wroteSinceCheck = false;
  #checkpointing: Promise<void> = Promise.resolve();
  #savedRecoveryPoints: string | undefined;
  #savedLogStarts: string | undefined;
  /** There is no such file while nothing was ever compacted; one that an earlier run has left may speak of logs that are no more. */
  #savedCleaned: string | undefined;
  #savedNames: ReadonlySet<string>;
  #nameSync: Promise<void> = Promise.resolve();
  #nextNameSync: Promise<void> | undefined;
  #closed = false;

  constructor(ports: StoragePorts, disk: Disk, id: Uuid, options: LogDirectoryOptions) {
    this.#ports = ports;
    this.#options = options;
    this.#savedNames = options.savedNames;
    this.#savedCleaned = options.wasCompacted ? undefined : offsetCheckpointText([]);
    this.disk = disk;
    this.id = id;
    this.clock = ports.clock;
    this.codecs = ports.codecs;
    this.logger = ports.logger;
    this.planted = options.planted;
    this.readers = new OpenFiles(disk, 'read', IDLE_FILES_MAX);
    this.writers = new OpenFiles(disk, 'write', IDLE_FILES_MAX);
    this.indexes = new IndexCache(disk, ports.codecs, ports.logger, this.scanChunks, INDEX_CACHE_BYTES);
    this.journal = new Journal(disk, ports.codecs, {
      fileBytes: options.journalFileBytes,
      generation: options.journalGeneration,
      onFailure: (failure) => this.fail(`the commit journal: ${failure.message}`),
    });
    this.commits = new CommitRounds(ports.clock, this.journal, options.journalAbove);
    this.#freeTimer = ports.clock.timer(() => this.supervise('the check of free room', this.#checkFree()));
  }

  get isFull(): boolean {
    return this.#isFull;
  }

  get isOffline(): boolean {
    return this.#offlineReason !== undefined;
  }

  get offlineReason(): string | undefined {
    return this.#offlineReason;
  }

  get logCount(): number {
    return this.#logs.size;
  }

  add(log: DirectoryLog): void {
    this.#logs.add(log);
  }

  remove(log: DirectoryLog): void {
    this.#logs.delete(log);
  }

  /** The log is here and not served: what was saved of it stays as it is. */
  keepOffsets(offsets: LogOffsets): void {
    this.#keptOffsets.set(partitionName(offsets.topic, offsets.partition), offsets);
  }

  /** The log has left its place. */
  releaseOffsets({ topic, partition }: Pick<LogOffsets, 'topic' | 'partition'>): void {
    this.#keptOffsets.delete(partitionName(topic, partition));
  }

  /** Called after each write of a segment: room is watched while it shrinks. */
  wrote(): void {
    this.#wroteSinceCheck = true;
    if (!this.#watching) this.#watch();
  }

  /** A write has found no room. */
  refuse(reason: string): void {
    if (!this.#isFull && !this.isOffline) {
      this.logger.error({ directory: this.disk.path, reason }, 'the data directory has no room: appends are refused');
    }
    this.#isFull = true;
    this.#watch();
  }

  /** What is on the disk is not known any more. Never undone, never retried. */
  fail(reason: string): void {
    if (this.isOffline || this.#closed) return;
    this.#offlineReason = reason;
    this.#freeTimer.disarm();
    this.commits.stop();
    this.logger.error({ directory: this.disk.path, reason }, 'the data directory is offline');
    for (const log of this.#logs) log.failed();
    this.#options.onOffline(this, reason);
  }

  /** What a failed operation means for the directory; a broken invariant is the node's end. */
  caught(what: string, failure: unknown): void {
    if (isTransient(failure)) this.refuse(`${what}: ${codeOf(failure)}`);
    else if (codeOf(failure) !== undefined) this.fail(`${what}: ${(failure as Error).message}`);
    else if (!this.isOffline) this.#ports.fatal(failure instanceof Error ? failure : new Error(String(failure)));
  }

  /** Background work that nobody waits for. */
  supervise(what: string, work: Promise<void>): void {
    work.catch((failure) => this.caught(what, failure));
  }

  /** Brings the recovery points up to date, so that the next start has little to scan. */
  async checkpoint(): Promise<void> {
    if (this.isOffline || this.#closed) return;
    this.journal.checkpoint();
    await eachOf([...this.#logs], CHECKPOINTS_PARALLEL, (log) => log.checkpoint());
    await this.saveOffsets();
  }

  /** Writes the logs' recovery points and start offsets where they have changed; durable when it resolves. */
  saveOffsets(): Promise<void> {
    const saving = this.#checkpointing.then(() => this.#save());
    this.#checkpointing = saving.catch(() => {});
    return saving;
  }

  /** The names in the directory are durable when it resolves; those who ask while a sync is under way share the next. */
  syncNames(): Promise<void> {
    this.#nextNameSync ??= this.#nameSync.then(() => {
      this.#nextNameSync = undefined;
      const sync = this.disk.syncDir('');
      this.#nameSync = sync.catch(() => {});
      return sync;
    });
    return this.#nextNameSync;
  }

  /** Before a log of that name is made: what was saved of an earlier one must not be taken for what this one has synced. */
  async forgetOffsets(topic: string, partition: number): Promise<void> {
    // One that is under way may have seen the earlier one.
    await this.#checkpointing;
    if (this.#savedNames.has(partitionName(topic, partition))) await this.saveOffsets();
  }

  /** After its logs. */
  async close(): Promise<void> {
    await this.journal.close();
    this.#closed = true;
    this.#freeTimer.disarm();
    await this.#checkpointing;
    await this.readers.close();
    await this.writers.close();
  }

  async #save(): Promise<void> {
    if (this.isOffline) return;
    const points: OffsetCheckpointEntry[] = [];
    const starts: OffsetCheckpointEntry[] = [];
    const cleaned: OffsetCheckpointEntry[] = [];
    const startOf = new Map([...this.#logs].map((log) => [log, log.logStartOffset]));
    for (const log of [...this.#logs, ...this.#keptOffsets.values()]) {
      const { topic, partition, recoveryPoint, logStartOffset, cleanedOffset } = log;
      if (cleanedOffset > 0) cleaned.push({ topic, partition, offset: cleanedOffset });
      points.push({ topic, partition, offset: recoveryPoint });
      if (logStartOffset > 0) starts.push({ topic, partition, offset: logStartOffset });
    }
    const startsText = offsetCheckpointText(starts);
    if (startsText !== this.#savedLogStarts) {
      await replaceFile(this.disk, '', LOG_START_CHECKPOINT, startsText);
      this.#savedLogStarts = startsText;
    }
    for (const [log, start] of startOf) log.startSaved(start);
    const cleanedText = offsetCheckpointText(cleaned);
    if (cleanedText !== this.#savedCleaned) {
      await replaceFile(this.disk, '', CLEANER_CHECKPOINT, cleanedText);
      this.#savedCleaned = cleanedText;
    }
    const pointsText = offsetCheckpointText(points);
    if (pointsText !== this.#savedRecoveryPoints) {
      await replaceFile(this.disk, '', RECOVERY_POINT_CHECKPOINT, pointsText);
      this.#savedRecoveryPoints = pointsText;
    }
    this.#savedNames = new Set(points.map(({ topic, partition }) => partitionName(topic, partition)));
  }

  #watch(): void {
    if (this.isOffline || this.#closed) return;
    this.#watching = true;
    this.#freeTimer.arm(FREE_CHECK_MS);
  }

  async #checkFree(): Promise<void> {
    this.#watching = false;
    this.#wroteSinceCheck = false;
    const wasFull = this.#isFull;
    const freeBytes = await this.disk.freeBytes();
    if (freeBytes < this.#options.minFreeBytes) this.refuse(`${freeBytes} bytes are free`);
    else this.#isFull = false;
    if (wasFull && !this.#isFull) {
      this.logger.info({ directory: this.disk.path, freeBytes }, 'the data directory has room again');
      this.#options.onRoom();
    }
    if (this.#isFull || this.#wroteSinceCheck) this.#watch();
  }
}
