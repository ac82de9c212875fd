/**
 * How long three processes take to register, to go on without their controller, and to restart one after the other; and whether short
 * stalls move anything. Prints a Markdown table; the exit status is 1 if something was lost or moved that must not be.
 * Arguments choose among start, kill, stop, restart and stall; TRIALS takes the place of each one's own number.
 */
import { join } from 'node:path';
import { ClusterProcesses } from '../test/support/cluster-processes.ts';
import { clusterSeenAt, createTopic, quorumSeenAt } from '../test/support/fresh-client.ts';
import { sleep, until } from '../test/support/process.ts';
import { temporaryFolder } from '../test/support/temporary-folder.ts';

interface Row {
  readonly what: string;
  readonly tookMs: readonly number[];
  /** What issue and design ask for. */
  readonly asked: string;
  /** What went wrong; empty if nothing did. */
  readonly faults: readonly string[];
}

const TOPIC_MS = 60_000;
const given = Number(process.env.TRIALS ?? Number.NaN);
const count = (usual: number): number => (Number.isInteger(given) && given > 0 ? given : usual);

function three(folder: string): Promise<ClusterProcesses> {
  return ClusterProcesses.start({ folder, brokers: 3, racks: ['a', 'b', 'c'] });
}

async function withThree(row: (cluster: ClusterProcesses) => Promise<Row>): Promise<Row> {
  using folder = temporaryFolder('trials');
  await using cluster = await three(folder.path);
  return await row(cluster);
}

function progress(text: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${text}`);
}

/** Empty disks, all three processes at once, until each names three brokers. */
async function start(): Promise<Row> {
  using folder = temporaryFolder('trials');
  const tookMs: number[] = [];
  const trials = count(20);
  for (let trial = 1; trial <= trials; trial += 1) {
    await using cluster = await ClusterProcesses.prepare({ folder: join(folder.path, String(trial)), brokers: 3 });
    const startedAt = performance.now();
    for (const id of cluster.ids) cluster.spawn(id);
    for (const id of cluster.ids) {
      await until('three brokers', TOPIC_MS, async () =>
        (await clusterSeenAt(cluster.portOf(id)))?.brokers.length === 3 ? true : undefined,
      );
    }
    tookMs.push(performance.now() - startedAt);
    progress(`start ${trial}/${trials}: ${tookMs.at(-1)?.toFixed(0)} ms`);
  }
  return { what: 'three nodes, empty disks → all registered', tookMs, asked: '≤ 1 s', faults: [] };
}

/** What is done to the controller, and undone; between them a client that has just come creates a topic. */
async function failover(
  cluster: ClusterProcesses,
  name: string,
  trials: number,
  strike: (id: number) => Promise<void>,
  heal: (id: number) => void,
): Promise<Pick<Row, 'tookMs' | 'faults'>> {
  const outcome = { tookMs: [] as number[], faults: [] as string[] };
  for (let trial = 1; trial <= trials; trial += 1) {
    const controller = await cluster.controller();
    await strike(controller);
    const others = cluster.awake.map((id) => cluster.portOf(id));
    await create(others, `${name}-${trial}`, outcome);
    heal(controller);
    await cluster.allRegistered();
    progress(`${name} ${trial}/${trials}: ${outcome.tookMs.at(-1)?.toFixed(0)} ms`);
  }
  return { ...outcome, faults: [...outcome.faults, ...(await lost(cluster, name, trials))] };
}

/** The time is noted, or what was answered instead. */
async function create(
  ports: readonly number[],
  name: string,
  { tookMs, faults }: { readonly tookMs: number[]; readonly faults: string[] },
): Promise<void> {
  try {
    tookMs.push(await createTopic(ports, name, TOPIC_MS));
  } catch (failure) {
    faults.push((failure as Error).message);
  }
}

async function lost(cluster: ClusterProcesses, name: string, topics: number): Promise<readonly string[]> {
  const faults: string[] = [];
  for (const id of cluster.ids) {
    const known = (await cluster.seenAt(id))?.topics;
    for (let topic = 1; topic <= topics; topic += 1) {
      if (known?.has(`${name}-${topic}`) !== true) faults.push(`node ${id} does not know ${name}-${topic}`);
    }
  }
  return faults;
}

const kill = (): Promise<Row> =>
  withThree(async (cluster) => ({
    what: 'controller SIGKILL → a topic is created',
    asked: 'p99 ≤ 1 s',
    ...(await failover(
      cluster,
      'kill',
      count(50),
      (id) => cluster.kill(id),
      (id) => cluster.spawn(id),
    )),
  }));

const stop = (): Promise<Row> =>
  withThree(async (cluster) => ({
    what: 'controller SIGSTOP → a topic is created',
    asked: '≤ 4 s',
    ...(await failover(
      cluster,
      'stop',
      count(20),
      async (id) => cluster.pause(id),
      (id) => cluster.resume(id),
    )),
  }));

/** Each of the three in turn, again and again, while a client creates topics at the other two. */
const restart = (): Promise<Row> =>
  withThree(async (cluster) => {
    const outcome = { tookMs: [] as number[], faults: [] as string[] };
    const rounds = count(10);
    let topics = 0;
    for (let round = 1; round <= rounds; round += 1) {
      for (const id of cluster.ids) {
        const others = cluster.ids.filter((other) => other !== id).map((other) => cluster.portOf(other));
        let isBack = false;
        const back = cluster.restart(id).finally(() => {
          isBack = true;
        });
        while (!isBack) {
          topics += 1;
          await create(others, `restart-${topics}`, outcome);
        }
        await back;
        await cluster.allRegistered();
      }
      progress(`restart ${round}/${rounds}: ${topics} topics`);
    }
    const what = `${rounds} rolling restarts: each topic created meanwhile`;
    const faults = [...outcome.faults, ...(await lost(cluster, 'restart', topics))];
    return { what, tookMs: outcome.tookMs, asked: 'none lost', faults };
  });

/** 400 ms of every second, each node in turn; the time is that of a topic created right after the stall began. */
const stall = (): Promise<Row> =>
  withThree(async (cluster) => {
    const stallMs = 400;
    const seconds = count(30);
    const tookMs: number[] = [];
    const faults: string[] = [];
    const controller = await cluster.controller();
    const epoch = await epochSeenAt(cluster, controller);
    for (let second = 1; second <= seconds; second += 1) {
      const beganAt = performance.now();
      const victim = (second % cluster.ids.length) + 1;
      cluster.pause(victim);
      const others = cluster.awake.map((id) => cluster.portOf(id));
      const created = create(others, `stall-${second}`, { tookMs, faults });
      await sleep(stallMs);
      for (const id of cluster.awake) {
        const brokers = (await cluster.seenAt(id))?.brokers.length;
        if (brokers !== 3)
          faults.push(`second ${second}: node ${id} names ${brokers} brokers while ${victim} stands still`);
      }
      cluster.resume(victim);
      await created;
      await sleep(1000 - (performance.now() - beganAt));
      progress(`stall ${second}/${seconds}`);
    }
    const after = await epochSeenAt(cluster, await cluster.controller());
    if (after !== epoch) faults.push(`the epoch went from ${epoch} to ${after}`);
    const what = `${stallMs} ms stall of one node every second for ${seconds} s: a topic is created`;
    return { what, tookMs, asked: 'no election, no fencing', faults };
  });

async function epochSeenAt(cluster: ClusterProcesses, id: number): Promise<number> {
  const quorum = await quorumSeenAt(cluster.portOf(id));
  if (quorum === undefined) throw new Error(`node ${id} does not describe the quorum`);
  return quorum.epoch;
}

function percentile(sorted: readonly number[], share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.ceil(sorted.length * share) - 1)] ?? Number.NaN;
}

function line({ what, tookMs, asked, faults }: Row): string {
  const sorted = [...tookMs].sort((a, b) => a - b);
  const [p50, p99, max] = [0.5, 0.99, 1].map((share) => `${percentile(sorted, share).toFixed(0)} ms`);
  const result = faults.length === 0 ? asked : `${asked}: ${faults.length} faults`;
  return `| ${what} | ${sorted.length} | ${p50} | ${p99} | ${max} | ${result} |`;
}

const trials: Readonly<Record<string, () => Promise<Row>>> = { start, kill, stop, restart, stall };
const chosen = process.argv.length > 2 ? process.argv.slice(2) : Object.keys(trials);
const rows: Row[] = [];
for (const name of chosen) {
  const trial = trials[name];
  if (trial === undefined) throw new Error(`there is no trial ${name}: ${Object.keys(trials).join(', ')}`);
  rows.push(await trial());
}
progress('');
console.log('| trial | times | p50 | p99 | max | asked |\n| --- | --- | --- | --- | --- | --- |');
for (const row of rows) console.log(line(row));
for (const fault of rows.flatMap(({ faults }) => faults)) console.error(fault);
process.exitCode = rows.every(({ faults }) => faults.length === 0) ? 0 : 1;
