/**
 * `make bench`: Odradek (fsync before every acknowledgement) beside Apache Kafka (no fsync, its default), one broker each and then
 * three, in alternation on the same disk. ROUNDS (5), SCALE (1: 1 GB and 5,000,000 records), MARKDOWN=FILE, BENCH_DIR.
 */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, release, totalmem } from 'node:os';
import { join } from 'node:path';
import { sleep } from '../test/support/process.ts';
import { findKafkaJars } from '../test/support/tool-chains.ts';
import { Loads } from './loads.ts';
import { fileSystem, residentMiB, syncTimes } from './measure.ts';
import { type Comparison, type Metric, table } from './report.ts';
import { apacheKafka, odradek, type Running, type System } from './systems.ts';

const rounds = Number(process.env.ROUNDS ?? 5);
const scale = Number(process.env.SCALE ?? 1);
const folder = process.env.BENCH_DIR ?? join(import.meta.dirname, '../.work/bench');
const partitions = 6;
const idleMs = 5_000;

const more = (name: string, unit: string, digits = 0): Metric => ({ name, unit, digits, moreIsBetter: true });
const less = (name: string, unit: string, digits = 0): Metric => ({ name, unit, digits, moreIsBetter: false });

const metrics = {
  start: less('start to first metadata answer', 'ms'),
  idle: less('resident when idle', 'MiB'),
  kilobyte: more('produce 1 KiB', 'MB/s', 1),
  kilobyteCpu: less('produce 1 KiB, broker CPU', 's/GB', 2),
  kilobyteP99: less('produce 1 KiB, p99', 'ms'),
  consume: more('consume 1 KiB', 'MB/s', 1),
  consumeCpu: less('consume 1 KiB, broker CPU', 's/GB', 2),
  small: more('produce 100 B', 'records/s'),
  smallCpu: less('produce 100 B, broker CPU', 's/GB', 2),
  smallP99: less('produce 100 B, p99', 'ms'),
  peak: less('resident at its highest', 'MiB'),
  replicated: more('three brokers, RF 3: produce 1 KiB', 'MB/s', 1),
  replicatedCpu: less('three brokers, RF 3: produce 1 KiB, CPU of all brokers', 's/GB', 2),
  replicatedP99: less('three brokers, RF 3: produce 1 KiB, p99', 'ms'),
  endToEndMean: less('three brokers, RF 3: end to end, mean', 'ms', 2),
  endToEndP50: less('three brokers, RF 3: end to end, p50', 'ms', 1),
  endToEndP99: less('three brokers, RF 3: end to end, p99', 'ms', 1),
} as const;

type Sample = Record<keyof typeof metrics, number>;

type OneBroker = Omit<Sample, keyof ThreeBrokers>;
type ThreeBrokers = Pick<
  Sample,
  'replicated' | 'replicatedCpu' | 'replicatedP99' | 'endToEndMean' | 'endToEndP50' | 'endToEndP99'
>;

async function measure(system: System, jars: string): Promise<Sample> {
  const one = await on(system, 'run', (running) => measureOne(running, jars));
  return { ...one, ...(await on(system, 'runThree', (running) => measureThree(running, jars))) };
}

/** On empty folders, of which nothing is left. */
async function on<T>(system: System, run: 'run' | 'runThree', load: (running: Running) => Promise<T>): Promise<T> {
  const own = join(folder, system.name.replace(' ', '-').toLowerCase());
  rmSync(own, { recursive: true, force: true });
  mkdirSync(own, { recursive: true });
  const running = await system[run](own);
  try {
    return await load(running);
  } finally {
    await running.kill();
    rmSync(own, { recursive: true, force: true });
  }
}

async function measureThree(running: Running, jars: string): Promise<ThreeBrokers> {
  const loads = new Loads(jars, running);
  await loads.createTopic('replicated', partitions, 3);
  await loads.createTopic('latency', 1, 3);
  const produced = await loads.produce('replicated', Math.ceil(500_000 * scale), 1024);
  const latency = await loads.endToEnd('latency', Math.ceil(5_000 * scale), 100);
  return {
    replicated: produced.megabytesPerSecond,
    replicatedCpu: produced.cpuSecondsPerGb,
    replicatedP99: produced.p99Ms,
    endToEndMean: latency.meanMs,
    endToEndP50: latency.p50Ms,
    endToEndP99: latency.p99Ms,
  };
}

async function measureOne(running: Running, jars: string): Promise<OneBroker> {
  await sleep(idleMs);
  const idle = residentOf(running, 'VmRSS');
  const loads = new Loads(jars, running);
  await loads.createTopic('kilobyte', partitions);
  await loads.createTopic('small', partitions);
  const kilobytes = Math.ceil(1_000_000 * scale);
  const kilobyte = await loads.produce('kilobyte', kilobytes, 1024);
  const consumed = await loads.consume('kilobyte', kilobytes);
  const small = await loads.produce('small', Math.ceil(5_000_000 * scale), 100);
  return {
    start: running.startMs,
    idle,
    kilobyte: kilobyte.megabytesPerSecond,
    kilobyteCpu: kilobyte.cpuSecondsPerGb,
    kilobyteP99: kilobyte.p99Ms,
    consume: consumed.megabytesPerSecond,
    consumeCpu: consumed.cpuSecondsPerGb,
    small: small.recordsPerSecond,
    smallCpu: small.cpuSecondsPerGb,
    smallP99: small.p99Ms,
    peak: residentOf(running, 'VmHWM'),
  };
}

/** Of all brokers, in MiB. */
function residentOf({ pids }: Running, field: 'VmRSS' | 'VmHWM'): number {
  return pids.reduce((sum, pid) => sum + residentMiB(pid, field), 0);
}

function show(system: System, sample: Sample): void {
  const values = Object.entries(metrics).map(
    ([key, metric]) => `${metric.name} ${sample[key as keyof Sample].toFixed(metric.digits)} ${metric.unit}`,
  );
  console.log(`${system.name}: ${values.join('; ')}`);
}

mkdirSync(folder, { recursive: true });
const jars = await findKafkaJars();
const kafka = apacheKafka(jars);
const samples: Record<System['name'], Sample[]> = { Odradek: [], 'Apache Kafka': [] };
const sync = syncTimes(folder);
for (let round = 0; round < rounds; round += 1) {
  console.log(`round ${round + 1} of ${rounds}`);
  // Who goes first changes, so that neither always finds the disk or the processor warm.
  for (const system of round % 2 === 0 ? [odradek, kafka] : [kafka, odradek]) {
    const sample = await measure(system, jars);
    samples[system.name].push(sample);
    show(system, sample);
  }
}

const comparisons = Object.entries(metrics).map(([key, metric]): Comparison => {
  const of = (name: System['name']): readonly number[] => samples[name].map((sample) => sample[key as keyof Sample]);
  return { metric, odradek: of('Odradek'), kafka: of('Apache Kafka') };
});
const [cpu] = cpus();
const report = `${[
  `Median of ${rounds} alternations; ratio = Odradek / Apache Kafka in the same round, with its lowest and highest.`,
  `One broker, and three with three replicas, ${partitions} partitions, Java perf tools 4.3.1 on the same machine, acks=all, idempotence, batches of 128 KiB; ` +
    `${Math.ceil(1_000_000 * scale)} records of 1 KiB, ${Math.ceil(5_000_000 * scale)} of 100 B; ${Math.ceil(500_000 * scale)} of 1 KiB with three replicas; ${Math.ceil(5_000 * scale)} of 100 B, one at a time, end to end. ` +
    'Odradek acknowledges after fsync, Kafka before it (the defaults of both).',
  `${cpus().length} × ${cpu?.model ?? 'unknown'}, ${(totalmem() / 2 ** 30).toFixed(0)} GiB, Linux ${release()}, ` +
    `${fileSystem(folder)}, fdatasync of 4 KiB: p50 ${sync.p50Ms.toFixed(2)} ms, p99 ${sync.p99Ms.toFixed(2)} ms.`,
  table(comparisons),
].join('\n\n')}\n`;
console.log(`\n${report}`);
const markdown = process.env.MARKDOWN;
if (markdown !== undefined) writeFileSync(markdown, report);
