/**
 * How long a node that becomes the coordinator of groups takes to read them: 1,000,000 committed offsets in one partition of
 * __consumer_offsets, from files that are in no cache of the node. Run: node bench/coordinator/loading.ts [records]
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { offsetRecord } from '#coordinator/group-records';
import { GroupShard } from '#coordinator/group-shard';
import { MetadataImage } from '#metadata/image';
import { leaderEpoch, nodeId, uuid, ZERO_UUID } from '#model/ids';
import { createNodePorts } from '#platform/node-ports';
import { coordinatorBatches } from '#runtime/coordinator-batches';
import { CoordinatorLoader, type LoadResult } from '#runtime/coordinator-loader';
import { defaultLogConfig } from '#storage/log-config';
import { LogStore } from '#storage/log-store';
import type { PartitionLog } from '#storage/partition-log';

const SILENT = { debug() {}, info() {}, warn() {}, error: console.error };
const UNDURABLE_MAX = 100_000;
const GROUPS = 1_000;
const PARTITIONS = 100;
const recordsWanted = Number(process.argv[2] ?? 1_000_000);

const groupConfig = {
  sessionTimeoutMsMin: 6_000,
  sessionTimeoutMsMax: 1_800_000,
  groupSizeMax: 1_000,
  initialRebalanceDelayMs: 0,
  offsetMetadataSizeMax: 4_096,
  offsetsRetentionMs: 7 * 86_400_000,
  offsetsRetentionCheckIntervalMs: 600_000,
  consumerGroupSizeMax: 1_000,
  consumerAssignors: ['uniform', 'range'],
  migrationPolicy: 'bidirectional' as const,
};

async function durable(log: PartitionLog): Promise<void> {
  while (log.durableOffset < log.logEndOffset) await new Promise((resolve) => setTimeout(resolve, 1));
}

/** One commit of a consumer is one batch, of as many records as it has partitions. */
async function measure(partitionsPerCommit: number): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'loading-'));
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
    onAllOffline: console.error,
  });
  const log = await store.create('__consumer_offsets', uuid('AAAAAAAAAAAAAAAAAAAABQ'), 0, defaultLogConfig());
  if (log === undefined) throw new Error('no directory');
  for (let made = 0; made < recordsWanted; ) {
    const commit = made / partitionsPerCommit;
    const round = Math.floor(commit / GROUPS);
    const records = Array.from({ length: partitionsPerCommit }, (_, index) => {
      const at = made + index;
      const partition = (round * partitionsPerCommit + index) % PARTITIONS;
      return offsetRecord(`application-${commit % GROUPS}`, 'orders.by-customer', partition, {
        offset: at,
        leaderEpoch: 3,
        metadata: '',
        committedAt: 1_700_000_000_000 + at,
        expiresAt: -1,
        topicId: ZERO_UUID,
      });
    });
    const batches = coordinatorBatches(records, 1_700_000_000_000, 1 << 20, ports.codecs);
    if (batches === 'too-large') throw new Error('too large');
    log.append(batches.bytes, batches.headers, leaderEpoch(0));
    made += partitionsPerCommit;
    if (log.logEndOffset - log.durableOffset > UNDURABLE_MAX) await durable(log);
  }
  await durable(log);
  const shard = new GroupShard({
    config: groupConfig,
    random: ports.random,
    topics: new MetadataImage(),
    configOf: () => ({ sessionTimeoutMs: 45_000, heartbeatIntervalMs: 5_000, assignmentIntervalMs: 0 }),
  });
  let lateMs = 0;
  let beatAt = performance.now();
  const beat = setInterval(() => {
    lateMs = Math.max(lateMs, performance.now() - beatAt - 1);
    beatAt = performance.now();
  }, 1);
  const from = performance.now();
  const result = await new Promise<LoadResult>((resolve) => new CoordinatorLoader(log, shard, ports, resolve).start());
  const ms = performance.now() - from;
  clearInterval(beat);
  const size = (log.sizeBytes / 2 ** 20).toFixed(0);
  await store.close();
  await rm(directory, { recursive: true });
  return `| ${partitionsPerCommit} | ${size} | ${typeof result === 'string' ? result : result.reason} | ${ms.toFixed(0)} | ${lateMs.toFixed(1)} |`;
}

console.log('| records per commit | MiB | | ms | longest turn, ms |\n| ---: | ---: | --- | ---: | ---: |');
for (const partitionsPerCommit of [1, 10, 100]) console.log(await measure(partitionsPerCommit));
