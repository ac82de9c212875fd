/**
 * How fast a log is compacted on this machine: bytes read of the dirty log a second, both passes included.
 * Run: node bench/storage/compaction.ts [folder] [MiB]. Records of 100 bytes with keys of 16, in batches of 16 KiB.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Codec } from '#base/ports';
import { leaderEpoch, nodeId, uuid } from '#model/ids';
import { createCodecs } from '#platform/codecs';
import { createNodePorts } from '#platform/node-ports';
import { type BatchHeader, readBatchHeader } from '#protocol/record-batch';
import { buildBatch } from '#protocol/record-batch-builder';
import { IoThrottle } from '#storage/io-throttle';
import { DEFAULT_CLEANER } from '#storage/log-cleaner';
import { defaultLogConfig } from '#storage/log-config';
import { LogStore } from '#storage/log-store';

const SILENT = { debug() {}, info() {}, warn() {}, error: console.error };
const VALUE_BYTES = 84;
const RECORDS = 140;
const codecs = createCodecs();

async function measure(folder: string, mebibytes: number, keys: number, codec: Codec): Promise<string> {
  const directory = await mkdtemp(join(folder, 'compaction-'));
  const ports = await createNodePorts({
    dataDirs: [directory],
    logger: SILENT,
    ownsProcess: false,
    poolThreads: 4,
    isUrgent: () => false,
    fatal: (error) => {
      throw error;
    },
  });
  const store = await LogStore.open(ports, {
    nodeId: nodeId(1),
    tailCacheBytes: 0,
    minFreeBytes: 0,
    retentionCheckMs: 1e9,
    producerIdExpirationMs: () => 1e9,
    cleaner: () => ({ ...DEFAULT_CLEANER, enabled: false }),
    onAllOffline: console.error,
  });
  const config = { ...defaultLogConfig(), cleanupPolicy: 'compact', segmentBytes: 64 << 20 } as const;
  const log = await store.create('bench', uuid('AAAAAAAAAAAAAAAAAAAABQ'), 0, config);
  if (log === undefined) throw new Error('no directory');
  let seed = 1;
  let recordCount = 0;
  while (log.sizeBytes < mebibytes << 20) {
    const records = Array.from({ length: RECORDS }, () => {
      seed = (Math.imul(seed, 1103515245) + 12345) >>> 0;
      const value = Buffer.alloc(VALUE_BYTES, `${seed}`);
      return { timestamp: 1000, key: Buffer.from(String(seed % keys).padStart(16, 'k')), value };
    });
    recordCount += RECORDS;
    const batch = buildBatch({ baseOffset: 0, leaderEpoch: 0, codec, records }, codecs);
    if (batch === 'unavailable') throw new Error('a codec is missing');
    log.append(batch, [readBatchHeader(batch, 0) as BatchHeader], leaderEpoch(0));
    if (log.logEndOffset - log.durableOffset > 1_000_000) await durable(log);
  }
  await durable(log);
  log.roll();
  await log.checkpoint();
  const sizeBytes = log.sizeBytes;
  const state = await log.compaction.state(ports.clock.wall());
  if (state === undefined || state.range.dirtyBytes !== sizeBytes) throw new Error('nothing to compact');
  let lateMs = 0;
  let beatAt = performance.now();
  const beat = setInterval(() => {
    lateMs = Math.max(lateMs, performance.now() - beatAt - 1);
    beatAt = performance.now();
  }, 1);
  const cpu = process.cpuUsage();
  const from = performance.now();
  const throttle = new IoThrottle(ports.clock, Number.POSITIVE_INFINITY);
  const { range } = state;
  const dedupeBytes = DEFAULT_CLEANER.dedupeBytes;
  const result = await log.compaction.run({
    range,
    nowMs: 2000,
    seed: [1, 2],
    dedupeBytes,
    throttle,
    isCopied: () => false,
  });
  const seconds = (performance.now() - from) / 1000;
  const { user, system } = process.cpuUsage(cpu);
  clearInterval(beat);
  if (result?.cleanedTo === undefined) throw new Error('it was not compacted');
  const perSecond = sizeBytes / seconds / 1e6;
  await store.close();
  await rm(directory, { recursive: true, force: true });
  return [
    Object.keys(Codec)[Object.values(Codec).indexOf(codec)]?.toLowerCase().padEnd(6),
    String(keys).padStart(9),
    (sizeBytes / 1e6).toFixed(0).padStart(8),
    (log.sizeBytes / 1e6).toFixed(0).padStart(8),
    perSecond.toFixed(0).padStart(7),
    (recordCount / seconds / 1e6).toFixed(2).padStart(11),
    ((user + system) / 1e6 / seconds).toFixed(2).padStart(6),
    lateMs.toFixed(0).padStart(8),
  ].join('  ');
}

async function durable(log: { readonly logEndOffset: number; readonly durableOffset: number }): Promise<void> {
  while (log.durableOffset < log.logEndOffset) await new Promise((resolve) => setTimeout(resolve, 5));
}

const folder = process.argv[2] ?? tmpdir();
const mebibytes = Number(process.argv[3] ?? 256);
console.log('codec        keys  MB before  MB after   MB/s  M records/s   CPUs  stall ms');
for (const [keys, codec] of [
  [1000, Codec.None],
  [1_000_000, Codec.None],
  [1_000_000, Codec.Lz4],
] as const) {
  console.log(await measure(folder, mebibytes, keys, codec));
}
