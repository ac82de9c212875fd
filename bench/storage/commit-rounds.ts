/**
 * What acknowledging small batches costs on this disk, each log syncing for itself against the journal.
 * Run: node bench/storage/commit-rounds.ts [folder]. Each log has one batch in flight and appends the next when it is durable.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { leaderEpoch, nodeId, offset, uuid } from '#model/ids';
import { createCodecs } from '#platform/codecs';
import { createNodePorts } from '#platform/node-ports';
import { type BatchHeader, readBatchHeader } from '#protocol/record-batch';
import { buildBatch } from '#protocol/record-batch-builder';
import { defaultLogConfig } from '#storage/log-config';
import { LogStore } from '#storage/log-store';
import type { PartitionLog } from '#storage/partition-log';

const SECONDS = 4;
const POOL_THREADS = Number(process.env.UV_THREADPOOL_SIZE ?? 4);
const TOPIC_ID = uuid('AAAAAAAAAAAAAAAAAAAABQ');
const SILENT = { debug() {}, info() {}, warn() {}, error: console.error };
const codecs = createCodecs();

interface Outcome {
  readonly perSecond: number;
  readonly medianMs: number;
  readonly p99Ms: number;
}

async function measure(folder: string, logs: number, valueBytes: number, journalAbove: number): Promise<Outcome> {
  const directory = await mkdtemp(join(folder, 'commit-rounds-'));
  const ports = await createNodePorts({
    dataDirs: [directory],
    logger: SILENT,
    ownsProcess: false,
    poolThreads: POOL_THREADS,
    isUrgent: () => false,
    fatal: (error) => {
      throw error;
    },
  });
  const store = await LogStore.open(ports, {
    nodeId: nodeId(1),
    tailCacheBytes: 64 * 1024 * 1024,
    minFreeBytes: 0,
    retentionCheckMs: 1e9,
    producerIdExpirationMs: () => 1e9,
    journalAbove,
    onAllOffline: console.error,
  });
  const template = buildBatch(
    { baseOffset: 0, leaderEpoch: 0, records: [{ timestamp: 1000, key: null, value: new Uint8Array(valueBytes) }] },
    codecs,
  );
  const headers = [readBatchHeader(template, 0) as BatchHeader];
  const latencies: number[] = [];
  let running = true;
  const start = (log: PartitionLog): void => {
    let sentAt = 0;
    const send = (): void => {
      sentAt = performance.now();
      log.append(Uint8Array.from(template), headers, leaderEpoch(0));
    };
    log.listener = {
      written: () => {},
      durable(end) {
        if (end < log.logEndOffset) return;
        latencies.push(performance.now() - sentAt);
        if (running) send();
      },
      rejected: () => console.error('no room'),
      startSaved: () => {},
      rewound: () => {},
      failed: () => console.error('offline'),
    };
    send();
  };
  for (let index = 0; index < logs; index += 1) {
    const log = await store.create('bench', TOPIC_ID, index, defaultLogConfig());
    if (log !== undefined) start(log);
  }
  latencies.length = 0;
  const from = performance.now();
  await new Promise((resolve) => setTimeout(resolve, SECONDS * 1000));
  running = false;
  const elapsed = (performance.now() - from) / 1000;
  latencies.sort((a, b) => a - b);
  const at = (share: number): number => latencies[Math.floor(latencies.length * share)] ?? 0;
  const outcome = { perSecond: latencies.length / elapsed, medianMs: at(0.5), p99Ms: at(0.99) };
  await store.close();
  await rm(directory, { recursive: true, force: true });
  return outcome;
}

const folder = process.argv[2] ?? tmpdir();
console.log('logs  batch bytes  mode      batches/s  median ms   p99 ms');
for (const valueBytes of [100, 16_384]) {
  for (const logs of [1, 10, 100, 1000]) {
    for (const journalAbove of [Number.POSITIVE_INFINITY, 8]) {
      const { perSecond, medianMs, p99Ms } = await measure(folder, logs, valueBytes, journalAbove);
      console.log(
        `${String(logs).padStart(4)}  ${String(offset(valueBytes)).padStart(11)}  ${journalAbove === 8 ? 'journal' : 'direct '}  ` +
          `${perSecond.toFixed(0).padStart(10)}  ${medianMs.toFixed(2).padStart(9)}  ${p99Ms.toFixed(2).padStart(7)}`,
      );
    }
  }
}
