import { mkdirSync, openSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Random } from '#base/ports';
import { type HistoryLine, VERSION } from '#history/format';
import type { Cluster } from '../test/support/cluster/cluster.ts';
import type { Links } from '../test/support/cluster/sites.ts';
import { controllerSeenAt, createTopic, topicSeenAt } from '../test/support/cluster/view.ts';
import { sleep } from '../test/support/process.ts';
import { brokenInvariants } from './broken-invariants.ts';
import type { Fault, Scene } from './faults/fault.ts';
import { load } from './history/loader.ts';
import { readLines } from './history/read-lines.ts';
import { judge, type Verdict } from './history/verdict.ts';
import { merge } from './merge.ts';
import { idleTopics, silentTopics } from './silence.ts';
import type { Client } from './workloads/client-process.ts';
import { askCommitted } from './workloads/committed-offsets.ts';
import { readEverything } from './workloads/final-read.ts';
import { recorderTo } from './workloads/recording.ts';
import { PROCESSES_MAX, type ToolChains, type Topic, type Workload } from './workloads/workload.ts';

export interface TrialPlan {
  readonly cluster: Cluster;
  readonly links: Links | undefined;
  readonly fault: Fault;
  readonly workloads: readonly Workload[];
  readonly toolChains: ToolChains;
  readonly random: Random;
  /** Stands in the names of topics; none of the round has the same. */
  readonly name: string;
  /** Of this trial alone. */
  readonly folder: string;
  readonly calmMs: number;
  readonly faultMs: number;
}

export interface Trial {
  readonly fault: string;
  /** By what it was done, if there is more than one way. */
  readonly means: string | undefined;
  readonly verdict: Verdict;
  /**
   * What failed beside the anomalies: clients that were refused what they were promised, topics in which nothing was acknowledged, a fault
   * that did not bite, and a cluster that did not become whole.
   */
  readonly complaints: readonly string[];
}

const READ_MS = 200_000;
const ASK_MS = 60_000;

/** It has failed, if the cluster is not in a state in which it could begin, or what was recorded is no history. */
export async function trial(plan: TrialPlan): Promise<Trial> {
  // Of an earlier round of the same seed.
  rmSync(plan.folder, { recursive: true, force: true });
  mkdirSync(plan.folder, { recursive: true });
  return await finished(plan).catch((failure: Error) => unfinished(plan, failure));
}

/** Nothing is known of it but why it did not come to its end. */
export function unfinished({ fault, links, name, folder }: TrialPlan, failure: Error): Trial {
  mkdirSync(folder, { recursive: true });
  const nothing = JSON.stringify({ type: 'history', version: VERSION, name } satisfies HistoryLine);
  const verdict = judge(load([{ text: nothing, whole: true }]));
  return { fault: fault.name, means: fault.means?.(links), verdict, complaints: [failure.message] };
}

async function finished(plan: TrialPlan): Promise<Trial> {
  const { cluster, links, fault, workloads, toolChains, random, name, folder, calmMs, faultMs } = plan;
  const topics = workloads.flatMap((workload) => workload.topics(name));
  for (const topic of topics) {
    await cluster.ask(`topic ${topic.name}`, (at) => createTopic(at, topic.name, topic.partitions));
  }
  await cluster.inSync();
  const own = join(folder, 'driver.jsonl');
  const recorder = recorderTo(openSync(own, 'w'), name);
  const scene: Scene = {
    cluster,
    links,
    random: random.fork('fault'),
    topics: topics.map((topic) => topic.name),
    record: (what, id, phase) => recorder.fault({ name: what, target: `node ${id}`, phase }),
  };
  const target = await drawTarget(fault, cluster, random.fork('target'), topics);
  await fault.prepare?.(scene, target);

  const bootstrap = cluster.members.map(({ host, port }) => ({ host, port }));
  const running = workloads.map((workload, index) =>
    workload.start({
      bootstrap,
      folder,
      toolChains,
      seed: String(random.uint32()),
      trial: name,
      firstProcess: (index + 1) * PROCESSES_MAX,
    }),
  );
  const clients = running.flat();
  try {
    const [begun] = await Promise.all([Promise.all(clients.map((client) => client.begun())), sleep(calmMs)]);
    const complaints = begun.flat();
    complaints.push(...(await strike(fault, scene, target, faultMs)), ...(await recovers(fault, scene, target)));
    await sleep(calmMs);
    complaints.push(...(await stopAll(running)));
    complaints.push(...(await readEverything(recorder, 0, bootstrap, topics, READ_MS)));
    const committed = workloads.flatMap((workload) => workload.commits?.(name) ?? []);
    for (const [index, commits] of committed.entries()) {
      complaints.push(...(await askCommitted(recorder, index + 1, bootstrap, commits, ASK_MS)));
    }
    const history = join(folder, 'history.jsonl');
    merge([own, ...clients.map((client) => client.history)], history, `${fault.name} ${name}`);
    const loaded = load(readLines(history));
    const verdict = judge(loaded);
    complaints.push(...silentTopics(topics, verdict), ...idleTopics(topics, loaded), ...brokenInvariants(cluster));
    await fault.tidy?.(scene, target);
    return { fault: fault.name, means: fault.means?.(links), verdict, complaints };
  } finally {
    for (const client of clients) client.kill();
  }
}

/** It is ended also where it could not be begun as a whole. */
async function strike(fault: Fault, scene: Scene, target: number, faultMs: number): Promise<readonly string[]> {
  scene.record(fault.name, target, 'begin');
  const lasts = async (): Promise<void> => {
    await fault.begin(scene, target);
    await sleep(faultMs * (fault.lengths ?? 1));
  };
  const complaints = [
    ...(await complaintOf('the fault could not be done', lasts())),
    ...(await complaintOf('the fault did not end', fault.end(scene, target))),
  ];
  scene.record(fault.name, target, 'end');
  return complaints;
}

async function recovers(fault: Fault, scene: Scene, target: number): Promise<readonly string[]> {
  const failed = await complaintOf('the cluster did not become whole', scene.cluster.inSync());
  if (failed.length > 0 || fault.recovered === undefined) return failed;
  return await complaintOf('the fault has left something', fault.recovered(scene, target));
}

async function complaintOf(what: string, work: Promise<void>): Promise<readonly string[]> {
  return await work.then(
    () => [],
    (failure: Error) => [`${what}: ${failure.message}`],
  );
}

/** Workloads side by side, the first client of each before its others. */
async function stopAll(running: readonly (readonly Client[])[]): Promise<readonly string[]> {
  const stopped = running.map(async ([first, ...others]) => {
    const complaints = (await first?.stop()) ?? [];
    return [complaints, ...(await Promise.all(others.map((client) => client.stop())))].flat();
  });
  return (await Promise.all(stopped)).flat();
}

/** The leader of a partition, the controller or any node. */
async function drawTarget(fault: Fault, cluster: Cluster, random: Random, topics: readonly Topic[]): Promise<number> {
  const ids = cluster.ids;
  const any = ids[random.uint32() % ids.length] ?? 1;
  const topic = topics[random.uint32() % topics.length];
  switch (fault.target ?? random.uint32() % 3) {
    case 0:
      return any;
    case 1:
      return await cluster.ask('a controller', controllerSeenAt);
    default: {
      const view = await cluster.ask('a leader', (at) => topicSeenAt(at, topic?.name ?? ''));
      return view.partitions[0]?.leader ?? any;
    }
  }
}
