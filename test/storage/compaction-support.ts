import { type Codec, Codec as Codecs } from '#base/ports';
import { readEndMarker } from '#log/end-marker';
import { offset } from '#model/ids';
import { isControl, isTransactional } from '#protocol/record-batch';
import { buildBatch } from '#protocol/record-batch-builder';
import { iterateRecords } from '#protocol/records';
import type { RunResult } from '#storage/compaction-run';
import { IoThrottle } from '#storage/io-throttle';
import type { LogConfig } from '#storage/log-config';
import type { PartitionLog } from '#storage/partition-log';
import { appended, codecs, type Harness, headersOf } from './support.ts';

/** Of logs that only their test cleans: no ratio is above 1. */
export const COMPACT: Partial<LogConfig> = {
  cleanupPolicy: 'compact',
  minCleanableDirtyRatio: 1,
  deleteRetentionMs: 60_000,
  fileDeleteDelayMs: 0,
};

export interface Entry {
  readonly key: string;
  readonly value: string | null;
}

export interface Producing {
  readonly producerId?: number;
  readonly producerEpoch?: number;
  readonly baseSequence?: number;
  readonly transactional?: boolean;
  readonly codec?: Codec;
  readonly timestamp?: number;
}

/** A batch of keys and values as a producer sends it. */
export function keyed(entries: readonly Entry[], producing: Producing = {}): Uint8Array {
  const { timestamp = 1000, codec = Codecs.None, producerId = -1, ...rest } = producing;
  const batch = buildBatch(
    {
      baseOffset: 0,
      leaderEpoch: 0,
      producerId,
      producerEpoch: producerId < 0 ? -1 : 0,
      codec,
      ...rest,
      records: entries.map(({ key, value }, index) => ({
        timestamp: timestamp + index,
        key: Buffer.from(key),
        value: value === null ? null : Buffer.from(value),
      })),
    },
    codecs,
  );
  if (batch === 'unavailable') throw new Error('a codec is missing');
  return batch;
}

/** `key=value` words; `key=` is a tombstone. */
export function put(log: PartitionLog, words: string, producing: Producing = {}): number {
  const entries = words.split(' ').map((word) => {
    const [key = '', value = ''] = word.split('=');
    return { key, value: value === '' ? null : value };
  });
  return appended(log, keyed(entries, producing));
}

export interface FoundRecord {
  readonly offset: number;
  readonly key: string;
  readonly value: string | null;
  readonly timestamp: number;
}

export interface FoundBatch {
  readonly base: number;
  readonly last: number;
  readonly producerId: number;
  readonly control: 'abort' | 'commit' | 'empty' | undefined;
  readonly transactional: boolean;
  readonly records: readonly FoundRecord[];
}

/** What a reader finds in the log, from `from` on. */
export async function batchesOf(harness: Harness, log: PartitionLog, from = 0): Promise<FoundBatch[]> {
  const bytes = await contentsFrom(harness, log, Math.max(from, log.logStartOffset));
  return headersOf(bytes).map((header) => {
    const marker = readEndMarker(bytes, header);
    const records = isControl(header) ? [] : iterateRecords(bytes, header, codecs, 1 << 26);
    if (typeof records === 'string') throw new Error(records);
    return {
      base: header.baseOffset,
      last: header.baseOffset + header.lastOffsetDelta,
      producerId: header.producerId,
      control: !isControl(header) ? undefined : marker === undefined ? 'empty' : marker.aborted ? 'abort' : 'commit',
      transactional: isTransactional(header),
      records: Array.from(records, ({ offset: at, key, value, timestamp }) => ({
        offset: at,
        key: Buffer.from(key ?? []).toString(),
        value: value && Buffer.from(value).toString(),
        timestamp,
      })),
    };
  });
}

export async function recordsOf(harness: Harness, log: PartitionLog, from = 0): Promise<FoundRecord[]> {
  return (await batchesOf(harness, log, from)).flatMap(({ records }) => records).filter(({ offset: at }) => at >= from);
}

/** `offset:key=value` of each record. */
export async function words(harness: Harness, log: PartitionLog): Promise<string> {
  return (await recordsOf(harness, log)).map(({ offset: at, key, value }) => `${at}:${key}=${value ?? ''}`).join(' ');
}

/** What a read_committed consumer makes of all below `upTo`. */
export async function committedRecords(harness: Harness, log: PartitionLog, upTo: number): Promise<FoundRecord[]> {
  const batches = await batchesOf(harness, log);
  return committedOf(
    batches.filter(({ last }) => last < upTo),
    log,
  );
}

/** What a read_committed consumer makes of these batches: as the Java client does, by the aborted transactions that the broker tells. */
export function committedOf(batches: readonly FoundBatch[], log: PartitionLog): FoundRecord[] {
  const [first, final] = [batches[0], batches.at(-1)];
  if (first === undefined || final === undefined) return [];
  const coming = log
    .abortedTransactions(offset(first.base), offset(final.last + 1))
    .toSorted((a, b) => a.firstOffset - b.firstOffset);
  const aborted = new Set<number>();
  const seen: FoundRecord[] = [];
  for (const batch of batches) {
    while (coming[0] !== undefined && coming[0].firstOffset <= batch.last) aborted.add(coming.shift()?.producerId ?? 0);
    if (batch.control === 'abort') aborted.delete(batch.producerId);
    if (batch.control !== undefined || (batch.transactional && aborted.has(batch.producerId))) continue;
    seen.push(...batch.records);
  }
  return seen;
}

async function contentsFrom(harness: Harness, log: PartitionLog, from: number): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  for (let at = from; at < log.logEndOffset; ) {
    const result = await harness.read(log, at, log.logEndOffset, 3000);
    if (typeof result === 'string') throw new Error(`${result} at ${at}`);
    if (result.sizeBytes === 0) throw new Error(`nothing at ${at} of ${log.logEndOffset}`);
    chunks.push(...result.chunks.map((chunk) => chunk.slice()));
    const last = headersOf(result.chunks.at(-1) as Uint8Array).at(-1);
    at = (last?.baseOffset ?? at) + (last?.lastOffsetDelta ?? 0) + 1;
  }
  return Buffer.concat(chunks);
}

/** The log follows what is durable, as its partition would see to. */
export function committing(log: PartitionLog): void {
  log.listener = {
    written: () => {},
    durable: (end) => log.producers.highWatermarkAdvanced(end),
    rejected: () => {},
    rewound: () => {},
    startSaved: () => {},
    failed: () => {},
  };
  log.producers.highWatermarkAdvanced(log.durableOffset);
}

export interface Cleaning {
  readonly dedupeBytes?: number;
  readonly nowMs?: number;
  readonly bytesPerSecond?: number;
}

/** Of what is stable now; undefined if there is nothing to clean. */
export async function cleaning(
  harness: Harness,
  log: PartitionLog,
  {
    dedupeBytes = 1 << 20,
    nowMs = harness.world.clock.wall(),
    bytesPerSecond = Number.POSITIVE_INFINITY,
  }: Cleaning = {},
): Promise<(() => Promise<RunResult | undefined>) | undefined> {
  const state = await harness.world.complete(log.compaction.state(nowMs));
  if (state === undefined || state.range.dirtyBytes === 0) return undefined;
  const { range } = state;
  const throttle = new IoThrottle(harness.world.clock, bytesPerSecond);
  return () => log.compaction.run({ range, nowMs, seed: [1, 2], dedupeBytes, throttle, isCopied: () => false });
}

/** Seals what is there and lets it become stable. Gives the cleaning of it. */
export async function prepared(
  harness: Harness,
  log: PartitionLog,
  options: Cleaning = {},
): Promise<(() => Promise<RunResult | undefined>) | undefined> {
  log.roll();
  await harness.settle(6000);
  return await cleaning(harness, log, options);
}

export async function clean(
  harness: Harness,
  log: PartitionLog,
  options: Cleaning = {},
): Promise<RunResult | undefined> {
  const run = await prepared(harness, log, options);
  return run && harness.world.complete(run());
}
