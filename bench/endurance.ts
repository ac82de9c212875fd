/**
 * `make endurance`: three nodes on this machine under full produce load for MINUTES (10), then 200 consumers that ask and do not read, then
 * a flood of requests as large as they may be. Tells what moved that must not (elections, fenced brokers, in-sync replicas) and how much
 * memory each phase took; the exit status is 1 if anything moved, or if another client had to wait for its write.
 */
import { connect, type Socket } from 'node:net';
import { writeFetchRequest } from '#protocol/generated/fetch-request';
import { writeRequestHeader } from '#protocol/headers';
import { Writer } from '#protocol/writer';
import { kafkaAt } from '../test/support/acked-writer.ts';
import { ClusterProcesses } from '../test/support/cluster-processes.ts';
import { sleep } from '../test/support/process.ts';
import { temporaryFolder } from '../test/support/temporary-folder.ts';
import { findKafkaJars } from '../test/support/tool-chains.ts';
import { Loads } from './loads.ts';
import { residentMiB } from './measure.ts';

const TOPIC = 'load';
const PARTITIONS = 6;
const RECORDS_PER_RUN = 500_000;
const STALLED = 200;
const FLOODS = 40;
const FLOOD_BYTES = 90 << 20;
const FETCH = 1;
const FETCH_VERSION = 12;

/** Until a write of another client is acknowledged, its connections included, while the others ask for what they do not take or finish. */
const OTHERS_SERVED_MS_MAX = 1_000;

/** Counters that stand still while nothing fails. */
const STILL = ['odradek_elections_total', 'odradek_isr_shrinks_total', 'odradek_fenced_brokers'] as const;

const minutes = Number(process.env.MINUTES ?? 10);
const jars = await findKafkaJars();
using folder = temporaryFolder('endurance');
// The disk is to hold the last minutes, not all of them.
const settings = {
  'log.segment.bytes': String(64 << 20),
  'log.retention.bytes': String(256 << 20),
  'log.retention.check.interval.ms': '10000',
};
await using cluster = await ClusterProcesses.start({
  folder: folder.path,
  brokers: 3,
  racks: ['a', 'b', 'c'],
  settings,
});
const pids = cluster.ids.map((id) => cluster.node(id).pid);

/** Summed over the nodes. */
async function counted(name: string): Promise<number> {
  let sum = 0;
  for (const id of cluster.ids) {
    const answer = await fetch(`http://127.0.0.1:${cluster.optionsOf(id).httpPort}/metrics`);
    for (const [, value] of (await answer.text()).matchAll(new RegExp(`^${name}(?:{[^}]*})? (\\S+)$`, 'gm')))
      sum += Number(value);
  }
  return sum;
}

const resident = (field: 'VmRSS' | 'VmHWM'): string => pids.map((pid) => residentMiB(pid, field).toFixed(0)).join(', ');

async function load(): Promise<void> {
  const loads = new Loads(jars, { bootstrap: cluster.bootstrap, pids, startMs: 0, kill: () => cluster.killAll() });
  await loads.createTopic(TOPIC, PARTITIONS, 3);
  const before = await Promise.all(STILL.map(counted));
  const controller = await cluster.controller();
  const begun = performance.now();
  const rates: number[] = [];
  while (performance.now() - begun < minutes * 60_000)
    rates.push((await loads.produce(TOPIC, RECORDS_PER_RUN, 1024)).megabytesPerSecond);
  const took = (performance.now() - begun) / 60_000;
  const after = await Promise.all(STILL.map(counted));
  const moved = STILL.map((name, place) => `${name} +${(after[place] ?? 0) - (before[place] ?? 0)}`);
  const isStill = after.every((value, place) => value === before[place]) && (await cluster.controller()) === controller;
  console.log(`${took.toFixed(1)} minutes of 1 KiB records with acks=all: ${rates.length} runs of ${RECORDS_PER_RUN}`);
  console.log(`MB/s of the runs: ${rates.map((rate) => rate.toFixed(1)).join(', ')}`);
  console.log(`${moved.join(', ')}; the controller ${isStill ? 'is the same' : 'or one of these has moved'}`);
  console.log(`resident now ${resident('VmRSS')} MiB, at most ${resident('VmHWM')} MiB`);
  if (!isStill) process.exitCode = 1;
}

/** Connections over the nodes in turn, to each of which `bytes` are written once, and from which nothing is read. */
async function silent(count: number, bytes: Uint8Array): Promise<readonly Socket[]> {
  const sockets = Array.from({ length: count }, (_, place) => {
    const socket = connect(cluster.portOf(1 + (place % cluster.ids.length)), '127.0.0.1');
    // A node may close it: that is an answer too.
    socket.on('error', () => {});
    socket.pause();
    socket.write(bytes);
    return socket;
  });
  await sleep(20_000);
  return sockets;
}

async function stalledConsumers(): Promise<void> {
  const requests = Array.from({ length: 5 }, (_, correlationId) => fetchOfAll(correlationId));
  const sockets = await silent(STALLED, Buffer.concat(requests));
  console.log(`${STALLED} consumers that ask for 50 MiB five times and do not read: ${resident('VmRSS')} MiB`);
  await stillServes();
  for (const socket of sockets) socket.destroy();
}

function fetchOfAll(correlationId: number): Uint8Array {
  const writer = new Writer();
  writer.int32(0);
  writeRequestHeader(writer, { apiKey: FETCH, apiVersion: FETCH_VERSION, correlationId, clientId: 'stalled' });
  const partitions = Array.from({ length: PARTITIONS }, (_, partition) => ({
    partition,
    fetchOffset: 0,
    partitionMaxBytes: 50 << 20,
  }));
  const body = { maxWaitMs: 0, minBytes: 1, maxBytes: 50 << 20, topics: [{ topic: TOPIC, partitions }] };
  writeFetchRequest(writer, { ...body, forgottenTopicsData: [] }, FETCH_VERSION);
  writer.patchInt32(0, writer.sizeBytes - 4);
  return Buffer.concat(writer.chunks());
}

/** Frames of Produce that are all but their last byte there. */
async function flood(): Promise<void> {
  const frame = Buffer.alloc(4 + FLOOD_BYTES - 1);
  frame.writeInt32BE(FLOOD_BYTES, 0);
  const sockets = await silent(FLOODS, frame);
  console.log(
    `${FLOODS} requests of ${FLOOD_BYTES >> 20} MiB that never end: ${resident('VmRSS')} MiB, at most ${resident('VmHWM')} MiB`,
  );
  await stillServes();
  for (const socket of sockets) socket.destroy();
}

async function stillServes(): Promise<void> {
  const begun = performance.now();
  const producer = kafkaAt(cluster.bootstrap).producer();
  await producer.connect();
  await producer.send({ topic: TOPIC, acks: -1, messages: [{ value: 'still served' }] });
  const tookMs = performance.now() - begun;
  await producer.disconnect();
  console.log(`meanwhile another client connects and writes in ${tookMs.toFixed(0)} ms`);
  if (tookMs > OTHERS_SERVED_MS_MAX) process.exitCode = 1;
}

console.log(`resident before any load: ${resident('VmRSS')} MiB`);
await load();
await stalledConsumers();
await flood();
await sleep(5_000);
console.log(`resident afterwards: ${resident('VmRSS')} MiB`);
