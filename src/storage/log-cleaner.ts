import type { Clock, Logger, Ports, Timer } from '#base/ports';
import type { HashSeed } from '#log/key-hash';
import { IoThrottle } from './io-throttle.ts';
import type { PartitionLog } from './partition-log.ts';

/** A node's log.cleaner.* configs, which may change while it runs. */
export interface CleanerSettings {
  readonly enabled: boolean;
  /** Logs that are cleaned at a time. */
  readonly threads: number;
  /** Of all of them together. */
  readonly dedupeBytes: number;
  /** Read and written; Infinity: no bound. */
  readonly bytesPerSecond: number;
  /** How long it rests when there is nothing to do. */
  readonly backoffMs: number;
}

export const DEFAULT_CLEANER: CleanerSettings = {
  enabled: true,
  threads: 1,
  dedupeBytes: 128 * 1024 * 1024,
  bytesPerSecond: Number.POSITIVE_INFINITY,
  backoffMs: 15_000,
};

/** As Kafka: with less a cleaning would not be worth its reads. */
const DEDUPE_BYTES_MIN = 1024 * 1024;
const REST_MS_MIN = 100;

/** The logs of a node. */
export interface CleanedLogs {
  all(): Iterable<PartitionLog>;
  /** A copy of the log grows elsewhere: it would miss a tombstone that goes before it comes there, and keep what that has deleted. */
  isCopied(log: PartitionLog): boolean;
}

/** Since the start of the node. */
export interface CleanerCounts {
  runs: number;
  readBytes: number;
  writtenBytes: number;
}

/**
 * Compacts a node's logs in the background: always the one with the largest share of dirty bytes, of those that are due. Each cleaning
 * gets its part of the memory, and all share the bound on reads and writes.
 */
export class LogCleaner {
  readonly counts: CleanerCounts = { runs: 0, readBytes: 0, writtenBytes: 0 };
  /** The largest dirty ratio that the last look has found. */
  dirtiestRatio = 0;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #settings: () => CleanerSettings;
  readonly #seed: HashSeed;
  readonly #throttle: IoThrottle;
  readonly #timer: Timer;
  readonly #logs: CleanedLogs;
  readonly #fail: (error: Error) => never;
  #round: Promise<void> = Promise.resolve();
  #isClosed = false;

  constructor(
    ports: Pick<Ports, 'clock' | 'logger' | 'random' | 'fatal'>,
    settings: () => CleanerSettings,
    logs: CleanedLogs,
  ) {
    this.#clock = ports.clock;
    this.#logger = ports.logger;
    this.#settings = settings;
    this.#logs = logs;
    this.#fail = (error) => ports.fatal(error);
    const random = ports.random.fork('compaction');
    this.#seed = [random.uint32(), random.uint32()];
    this.#throttle = new IoThrottle(ports.clock, settings().bytesPerSecond);
    this.#timer = ports.clock.timer(() => this.#begin());
  }

  start(): void {
    if (!this.#isClosed) this.#timer.arm(Math.max(REST_MS_MIN, this.#settings().backoffMs));
  }

  /** Logs that cannot be compacted. */
  get uncleanableCount(): number {
    let count = 0;
    for (const { compaction } of this.#logs.all()) if (compaction.uncleanable !== undefined) count += 1;
    return count;
  }

  /** Logs whose compaction has found too little room. */
  get waitingCount(): number {
    let count = 0;
    for (const { compaction } of this.#logs.all()) if (compaction.waitsForRoom) count += 1;
    return count;
  }

  /** Begins no cleaning any more, and ends those that are under way. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#timer.disarm();
    await Promise.all(Array.from(this.#logs.all(), ({ compaction }) => compaction.stop()));
    await this.#round;
  }

  #begin(): void {
    const { enabled, threads, bytesPerSecond, dedupeBytes } = this.#settings();
    this.#throttle.bytesPerSecond = bytesPerSecond;
    const keysBytes = Math.max(DEDUPE_BYTES_MIN, Math.floor(dedupeBytes / Math.max(1, threads)));
    const lanes = Array.from({ length: enabled ? threads : 0 }, () => this.#lane(keysBytes));
    this.#round = Promise.all(lanes).then(
      () => this.start(),
      (failure) => this.#fail(failure instanceof Error ? failure : new Error(String(failure))),
    );
  }

  /** Cleans one log after the other until none is due. A log that could not be cleaned waits for the next round. */
  async #lane(dedupeBytes: number): Promise<void> {
    const tried = new Set<PartitionLog>();
    for (;;) {
      const log = await this.#dirtiest(tried);
      if (log === undefined) return;
      tried.add(log);
      await this.#clean(log, dedupeBytes);
    }
  }

  async #dirtiest(tried: ReadonlySet<PartitionLog>): Promise<PartitionLog | undefined> {
    const nowMs = this.#clock.wall();
    let dirtiest: PartitionLog | undefined;
    let ratio = -1;
    let highest = 0;
    for (const log of [...this.#logs.all()]) {
      if (this.#isClosed) return undefined;
      // What cannot be read now may be read at the next round.
      const state = await log.compaction.state(nowMs).catch(() => undefined);
      if (state === undefined) continue;
      highest = Math.max(highest, state.range.dirtyRatio);
      if (!state.isDue || log.compaction.isRunning || tried.has(log) || state.range.dirtyRatio <= ratio) continue;
      if (this.#logs.isCopied(log)) continue;
      dirtiest = log;
      ratio = state.range.dirtyRatio;
    }
    this.dirtiestRatio = highest;
    return dirtiest;
  }

  async #clean(log: PartitionLog, dedupeBytes: number): Promise<void> {
    const nowMs = this.#clock.wall();
    const state = await log.compaction.state(nowMs).catch(() => undefined);
    if (state === undefined || !state.isDue || this.#isClosed) return;
    const beganAt = this.#clock.now();
    const result = await log.compaction.run({
      range: state.range,
      nowMs,
      seed: this.#seed,
      dedupeBytes,
      throttle: this.#throttle,
      isCopied: () => this.#logs.isCopied(log),
    });
    if (result === undefined) return;
    const { readBytes, writtenBytes, keys, cleanedTo } = result;
    this.counts.runs += 1;
    this.counts.readBytes += readBytes;
    this.counts.writtenBytes += writtenBytes;
    this.#logger.info(
      { log: log.folder, cleanedTo, keys, readBytes, writtenBytes, tookMs: this.#clock.now() - beganAt },
      'a log is compacted',
    );
  }
}
