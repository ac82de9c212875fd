import type { Disk, Done, File, Logger, Ports } from '#base/ports';
import { FaultDisk, type FaultDiskOptions } from '#faults/fault-disk';
import { type LeaderEpoch, leaderEpoch, nodeId, type Offset, offset, uuid } from '#model/ids';
import { createCodecs } from '#platform/codecs';
import { type BatchHeader, readBatchHeader } from '#protocol/record-batch';
import { buildBatch } from '#protocol/record-batch-builder';
import type { MemoryDisk } from '#sim/ports/memory-disk';
import { SimWorld } from '#sim/ports/sim-world';
import { defaultLogConfig, type LogConfig } from '#storage/log-config';
import { LogStore } from '#storage/log-store';
import type { LogListener, PartitionLog } from '#storage/partition-log';
import type { ReadResult } from '#storage/tail-cache';

export const codecs = createCodecs();
export const TOPIC_ID = uuid('AAAAAAAAAAAAAAAAAAAABQ');
export const EPOCH = leaderEpoch(0);
const END = offset(Number.MAX_SAFE_INTEGER);

export interface BatchSpec {
  readonly count?: number;
  readonly valueBytes?: number;
  readonly timestamp?: number;
  readonly producerId?: number;
  readonly producerEpoch?: number;
  readonly baseSequence?: number;
  readonly transactional?: boolean;
  /** A transaction marker instead of data. */
  readonly marker?: 'abort' | 'commit';
}

/** One batch as a producer sends it: base offset 0. Its values tell of their place in `fill`. */
export function batch(spec: BatchSpec = {}, fill = 7): Uint8Array {
  const { count = 1, valueBytes = 20, timestamp = 1000, producerId = -1, marker, transactional = false } = spec;
  const key = marker === undefined ? null : Uint8Array.of(0, 0, 0, marker === 'abort' ? 0 : 1);
  const value = marker === undefined ? undefined : Uint8Array.of(0, 0, 0, 0, 0, 0);
  return buildBatch(
    {
      baseOffset: 0,
      leaderEpoch: 0,
      producerId,
      producerEpoch: spec.producerEpoch ?? (producerId < 0 ? -1 : 0),
      baseSequence: spec.baseSequence ?? -1,
      transactional: transactional || marker !== undefined,
      control: marker !== undefined,
      records: Array.from({ length: count }, (_, index) => ({
        timestamp: timestamp + index,
        key,
        value: value ?? new Uint8Array(valueBytes).fill(fill),
      })),
    },
    codecs,
  );
}

export function headersOf(bytes: Uint8Array): BatchHeader[] {
  const headers: BatchHeader[] = [];
  for (let at = 0; at < bytes.length; ) {
    const header = readBatchHeader(bytes, at);
    if (typeof header === 'string') throw new Error(`${header} at ${at}`);
    headers.push(header);
    at += header.sizeBytes;
  }
  return headers;
}

export function append(
  log: PartitionLog,
  bytes: Uint8Array,
  epoch: LeaderEpoch = EPOCH,
): ReturnType<PartitionLog['append']> {
  return log.append(bytes, headersOf(bytes), epoch);
}

/** As append; the log must take it. */
export function appended(log: PartitionLog, bytes: Uint8Array, epoch: LeaderEpoch = EPOCH): Offset {
  const outcome = append(log, bytes, epoch);
  if (typeof outcome === 'string') throw new Error(`the log refuses: ${outcome}`);
  return outcome.baseOffset;
}

export class Listener implements LogListener {
  durableEnd = -1;
  rejectedFrom: number[] = [];
  rewinds = 0;
  savedStarts = 0;
  failures = 0;
  writtenEnd = -1;

  written(end: Offset): void {
    this.writtenEnd = end;
  }

  durable(end: Offset): void {
    this.durableEnd = end;
  }

  rejected(from: Offset): void {
    this.rejectedFrom.push(from);
  }

  startSaved(): void {
    this.savedStarts += 1;
  }

  rewound(): void {
    this.rewinds += 1;
  }

  failed(): void {
    this.failures += 1;
  }
}

export interface HarnessOptions {
  readonly seed?: number;
  readonly diskBytes?: number;
  readonly disks?: number;
  readonly tailCacheBytes?: number;
  readonly minFreeBytes?: number;
  readonly retentionCheckMs?: number;
  readonly journalFileBytes?: number;
  readonly fault?: Partial<FaultDiskOptions>;
}

/** A store over memory disks that lose what was not synced, in virtual time. */
export class Harness {
  readonly world: SimWorld;
  readonly disks: readonly MemoryDisk[];
  readonly lines: { level: string; message: string; fields: object }[] = [];
  readonly offlineReasons: string[] = [];
  /** Read at each operation; a test may set it. */
  strike: FaultDiskOptions['strike'];
  /** Whether nothing at all can be done on a disk. */
  failAll: (disk: Disk) => boolean = () => false;
  /** Read at each look at retention; a test may set it. */
  producerIdExpirationMs = 86_400_000;
  faults: FaultDisk[] = [];
  ports!: Ports;
  store!: LogStore;
  readonly #options: HarnessOptions;
  readonly #ignoreSync: boolean;
  #life = { alive: true };

  constructor(options: HarnessOptions = {}) {
    this.#options = options;
    this.#ignoreSync = options.fault?.ignoreSync ?? false;
    this.strike = options.fault?.strike;
    this.world = new SimWorld({ seed: options.seed ?? 1, codecs, logger: this.#logger() });
    this.disks = Array.from({ length: options.disks ?? 1 }, (_, index) =>
      this.world.disk(`disk-${index}`, options.diskBytes),
    );
  }

  static async open(options: HarnessOptions = {}): Promise<Harness> {
    const harness = new Harness(options);
    await harness.start();
    return harness;
  }

  async start(): Promise<LogStore> {
    this.faults = this.disks.map(
      (disk) =>
        new FaultDisk(this.world.clock, disk, {
          ignoreSync: this.#ignoreSync,
          strike: (operation, path) => (this.failAll(disk) ? { fail: 'EIO' } : this.strike?.(operation, path)),
        }),
    );
    return this.#open();
  }

  async #open(): Promise<LogStore> {
    this.#life = { alive: true };
    const life = this.#life;
    this.ports = this.world.ports('node', { disks: this.faults.map((fault) => withHarnessLock(fault, life)) });
    this.store = await this.world.complete(
      LogStore.open(this.ports, {
        nodeId: nodeId(1),
        tailCacheBytes: this.#options.tailCacheBytes ?? 64 * 1024 * 1024,
        minFreeBytes: this.#options.minFreeBytes ?? 0,
        retentionCheckMs: this.#options.retentionCheckMs ?? 300_000,
        producerIdExpirationMs: () => this.producerIdExpirationMs,
        ...(this.#options.journalFileBytes && { journalFileBytes: this.#options.journalFileBytes }),
        onAllOffline: (reason) => this.offlineReasons.push(reason),
      }),
    );
    return this.store;
  }

  /** kill -9 and restart: the machine goes on, and has all that was written. */
  async kill(): Promise<LogStore> {
    this.world.kill('node');
    this.#life.alive = false;
    return this.#open();
  }

  /** Power cut and restart. */
  async crash(): Promise<LogStore> {
    await this.powerOff();
    return this.start();
  }

  async powerOff(): Promise<void> {
    this.world.kill('node');
    await this.world.complete(Promise.all(this.faults.map((fault) => fault.crash(this.world.random))));
  }

  /** Clean shutdown and restart; the machine goes on. */
  async restart(): Promise<LogStore> {
    await this.world.complete(this.store.close());
    this.world.kill('node');
    return this.#open();
  }

  /** Whatever was not synced is lost even so; `before` still sees it. */
  async stop(before: (disk: Disk) => Promise<void> = async () => {}): Promise<void> {
    await this.world.complete(this.store.close());
    await this.world.complete(Promise.all(this.faults.map(before)));
    await this.world.complete(Promise.all(this.faults.map((fault) => fault.close())));
    this.world.kill('node');
  }

  async create(topic = 't', partition = 0, config: Partial<LogConfig> = {}): Promise<PartitionLog> {
    const log = await this.world.complete(
      this.store.create(topic, TOPIC_ID, partition, { ...defaultLogConfig(), ...config }),
    );
    if (log === undefined) throw new Error('no directory takes the log');
    return log;
  }

  /** Lets everything in flight end. */
  async settle(ms = 100): Promise<void> {
    await this.world.run(this.world.clock.now() + ms);
  }

  read(
    log: PartitionLog,
    from: number,
    upTo: Offset = END,
    maxBytes = 1e9,
    minOneBatch = true,
  ): Promise<ReadResult | string> {
    return this.world.complete(new Promise((resolve) => log.read(offset(from), upTo, maxBytes, minOneBatch, resolve)));
  }

  /** The base offsets of the batches that a read gives. */
  async bases(
    log: PartitionLog,
    from: number,
    upTo: Offset = END,
    maxBytes = 1e9,
    minOneBatch = true,
  ): Promise<number[]> {
    const result = await this.read(log, from, upTo, maxBytes, minOneBatch);
    if (typeof result === 'string') throw new Error(result);
    return result.chunks.flatMap((chunk) => headersOf(chunk).map(({ baseOffset }) => baseOffset));
  }

  /** Everything in the log, read step by step. */
  async contents(log: PartitionLog): Promise<Uint8Array> {
    const chunks: Uint8Array[] = [];
    for (let from: number = log.logStartOffset; from < log.logEndOffset; ) {
      const result = await this.read(log, from, log.logEndOffset, 1 << 20);
      if (typeof result === 'string') throw new Error(`${result} at ${from}`);
      if (result.sizeBytes === 0) throw new Error(`nothing at ${from} of ${log.logEndOffset}`);
      chunks.push(...result.chunks);
      const last = headersOf(result.chunks.at(-1) as Uint8Array).at(-1) as BatchHeader;
      from = last.baseOffset + last.lastOffsetDelta + 1;
    }
    return Buffer.concat(chunks);
  }

  #logger(): Logger {
    const keep =
      (level: string) =>
      (fields: object, message: string): void => {
        this.lines.push({ level, message, fields });
      };
    return { debug: keep('debug'), info: keep('info'), warn: keep('warn'), error: keep('error') };
  }
}

/** The harness closes it, which may be later than its user does, and unlocks it with that. Nothing completes for a user that is dead. */
function withHarnessLock(disk: Disk, life: { readonly alive: boolean }): Disk {
  return new Proxy(disk, {
    get(target, name) {
      if (name === 'close') return async () => {};
      if (name === 'lock') return () => target.lock().catch(() => {});
      const value = Reflect.get(target, name, target);
      if (typeof value !== 'function') return value;
      return async (...args: unknown[]) => {
        const outcome: unknown = await value.apply(target, args).finally(() => whileAlive(life));
        return name === 'open' ? mortal(outcome as File, life) : outcome;
      };
    },
  });
}

function whileAlive({ alive }: { readonly alive: boolean }): Promise<void> {
  return alive ? Promise.resolve() : new Promise(() => {});
}

function mortal(file: File, life: { readonly alive: boolean }): File {
  const answered =
    (done: Done): Done =>
    (failure, bytes) => {
      if (life.alive) done(failure, bytes);
    };
  const surviving = <T>(promise: Promise<T>): Promise<T> => promise.finally(() => whileAlive(life));
  return {
    read: (into, at, done) => file.read(into, at, answered(done)),
    write: (chunks, at, done) => file.write(chunks, at, answered(done)),
    sync: (done) => file.sync(answered(done)),
    sizeBytes: () => surviving(file.sizeBytes()),
    truncate: (sizeBytes) => surviving(file.truncate(sizeBytes)),
    close: () => surviving(file.close()),
  };
}
