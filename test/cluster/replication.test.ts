/** Partitions of three replicas on three processes, while those are killed: nothing that was acknowledged is lost, and writing goes on. */
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { AckedWriter, kafkaAt, readAll } from '../support/acked-writer.ts';
import type { ClusterProcesses } from '../support/cluster-processes.ts';
import { repositoryRoot } from '../support/odradek-process.ts';
import { sleep, until } from '../support/process.ts';
import { threeNodes } from './support.ts';

const TOPIC = 'orders';
const PARTITIONS = 3;
/** Three times what `make failover` is to show: the machine may have more to do. */
const LEADER_GAP_MS = 3_000;
const CONTROLLER_GAP_MS = 6_000;
const GRACEFUL_GAP_MS = 600;
const SOON_MS = 20_000;

async function orders(cluster: ClusterProcesses): Promise<void> {
  const admin = kafkaAt(cluster.bootstrap).admin();
  await admin.connect();
  await admin.createTopics({ topics: [{ topic: TOPIC, numPartitions: PARTITIONS }] });
  await admin.disconnect();
  await allInSync(cluster);
}

interface Led {
  readonly leader: number;
  readonly isr: readonly number[];
}

async function partitionsSeen(cluster: ClusterProcesses): Promise<readonly Led[]> {
  const admin = kafkaAt(cluster.awake.map((id) => `127.0.0.1:${cluster.portOf(id)}`).join()).admin();
  await admin.connect();
  const { topics } = await admin.fetchTopicMetadata({ topics: [TOPIC] });
  await admin.disconnect();
  return topics[0]?.partitions ?? [];
}

async function allInSync(cluster: ClusterProcesses): Promise<void> {
  await until('three replicas in sync of every partition', SOON_MS, async () => {
    const seen = await partitionsSeen(cluster);
    return seen.length === PARTITIONS && seen.every(({ leader, isr }) => leader > 0 && isr.length === 3)
      ? true
      : undefined;
  });
}

async function writing(cluster: ClusterProcesses): Promise<AckedWriter> {
  const writer = await AckedWriter.start(cluster.bootstrap, TOPIC, PARTITIONS);
  onTestFinished(() => writer.stop());
  await until('the first acknowledgements', SOON_MS, () => (writer.count > 50 ? true : undefined));
  writer.forgetGaps();
  return writer;
}

/** Everything acknowledged is read where it was acknowledged. */
async function nothingLost(cluster: ClusterProcesses, writer: AckedWriter): Promise<void> {
  const missing = (read: ReadonlyMap<number, ReadonlyMap<number, string>>): readonly string[] =>
    [...writer.acked].flatMap(([partition, values]) => {
      const found = read.get(partition);
      return [...values]
        .filter(([offset, value]) => found?.get(offset) !== value)
        .map(([offset, value]) => `${value} at ${partition}@${offset}: ${found?.get(offset)} of ${found?.size}`);
    });
  const read = await readAll(cluster.bootstrap, TOPIC, (so) => missing(so).length === 0, 2 * SOON_MS);
  expect(missing(read)).toEqual([]);
}

test('a leader is killed: others lead within three seconds, and it catches up when it is back', async () => {
  const cluster = await threeNodes();
  await orders(cluster);
  const writer = await writing(cluster);
  const controller = await cluster.controller();
  const [first] = (await partitionsSeen(cluster)).filter(({ leader }) => leader !== controller);
  const victim = first?.leader ?? 0;
  await cluster.kill(victim);
  await sleep(1_500);
  console.log(`gap after a leader's death: ${writer.longestGapMs.toFixed(0)} ms`);
  expect(writer.longestGapMs).toBeLessThan(LEADER_GAP_MS);
  expect((await partitionsSeen(cluster)).map(({ leader }) => leader)).not.toContain(victim);
  cluster.spawn(victim);
  await allInSync(cluster);
  await writer.stop();
  expect(writer.errorCount).toBe(0);
  await nothingLost(cluster, writer);
});

test('the controller, which leads partitions too, is killed: others decide and lead within six seconds', async () => {
  const cluster = await threeNodes();
  await orders(cluster);
  const writer = await writing(cluster);
  const victim = await cluster.controller();
  await cluster.kill(victim);
  await sleep(2_500);
  console.log(`gap after the controller's death: ${writer.longestGapMs.toFixed(0)} ms`);
  expect(writer.longestGapMs).toBeLessThan(CONTROLLER_GAP_MS);
  // Consumers' offsets need as many brokers as their topic shall have replicas.
  cluster.spawn(victim);
  await allInSync(cluster);
  await writer.stop();
  expect(writer.errorCount).toBe(0);
  await nothingLost(cluster, writer);
});

test('every node in turn is stopped and started: no write fails, and none waits for long', async () => {
  const cluster = await threeNodes();
  await orders(cluster);
  const writer = await writing(cluster);
  const gaps: number[] = [];
  for (const id of cluster.ids) {
    writer.forgetGaps();
    await cluster.restart(id);
    await allInSync(cluster);
    gaps.push(writer.longestGapMs);
  }
  await writer.stop();
  expect(writer.errorCount).toBe(0);
  console.log(`gaps of a rolling restart: ${gaps.map((gap) => `${gap.toFixed(0)} ms`).join(', ')}`);
  expect(Math.max(...gaps)).toBeLessThan(GRACEFUL_GAP_MS);
  await nothingLost(cluster, writer);
});

test('a replica with a damaged log is not served: it is fetched anew from who is in sync', async () => {
  const cluster = await threeNodes();
  await orders(cluster);
  const writer = await writing(cluster);
  await writer.stop();
  const victim = (await partitionsSeen(cluster))[0]?.leader ?? 0;
  // A clean stop: all of it was synced, and nothing of it may be missing or wrong.
  expect(await cluster.stop(victim)).toBe(0);
  const { dataDir } = cluster.optionsOf(victim);
  const log = join(dataDir, `${TOPIC}-0`, '00000000000000000000.log');
  const bytes = readFileSync(log);
  const place = Math.floor(bytes.length / 2);
  bytes[place] = bytes.readUInt8(place) ^ 1;
  writeFileSync(log, bytes);
  // What is clean is believed without a look at it.
  rmSync(join(dataDir, '.kafka_cleanshutdown'));
  cluster.spawn(victim);
  await cluster.logged(victim, /a log is quarantined/);
  await cluster.logged(victim, /a damaged log is set aside/);
  await allInSync(cluster);
  const healthy = cluster.ids.filter((id) => id !== victim);
  for (const id of healthy) await cluster.kill(id);
  for (const id of healthy) cluster.spawn(id);
  await allInSync(cluster);
  const copies = cluster.ids.map((id) => readFileSync(log.replace(dataDir, cluster.optionsOf(id).dataDir)));
  for (const copy of copies) expect(copy.equals(copies[0] as Buffer)).toBe(true);
  await nothingLost(cluster, writer);
});

const powerCut = [join(repositoryRoot, 'jepsen-like/crash/power-cut-main.ts')];

test.each([
  ['killed', {}],
  ['without power, which takes what was not synced', { main: powerCut }],
])(
  'all are %s at once and started again: every partition has a leader, and nothing acknowledged is lost',
  async (_, options) => {
    const cluster = await threeNodes(options);
    await orders(cluster);
    const writer = await writing(cluster);
    await sleep(300);
    await cluster.killAll();
    for (const id of cluster.ids) cluster.spawn(id);
    await cluster.allRegistered();
    await allInSync(cluster);
    await writer.stop();
    await nothingLost(cluster, writer);
  },
);
