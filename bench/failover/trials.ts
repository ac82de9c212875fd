/** One kind of fault, again and again, on one cluster with the same producers. */
import { join } from 'node:path';
import { Cluster } from '../../test/support/cluster/cluster.ts';
import type { Site } from '../../test/support/cluster/sites.ts';
import type { System } from '../../test/support/cluster/systems.ts';
import { createTopic } from '../../test/support/cluster/view.ts';
import type { Kind } from './kinds.ts';
import { FreshClients, RunningProducer, type ToolChains } from './producers.ts';

export interface Plan {
  readonly trials: number;
  /** For the nodes' folders. */
  readonly folder: string;
  readonly sites: readonly Site[];
  readonly chains: ToolChains;
  /** How long after the fault the ends of gaps are looked for. */
  readonly windowMs: number;
  /** How long nothing happens before it. */
  readonly calmMs: number;
  readonly progress: (text: string) => void;
}

/** What one client saw of all trials. */
export interface Seen {
  readonly client: string;
  readonly gapsMs: readonly number[];
  /** The longest gap of each trial while nothing happened, before the fault: what the machine adds by itself. */
  readonly calmMs: readonly number[];
  /** From the victim's return until all is in sync and balanced again. */
  readonly returnMs: readonly number[];
  readonly errors: readonly string[];
}

export interface Result {
  readonly kind: Kind;
  readonly system: System['name'];
  readonly seen: readonly Seen[];
  readonly freshMs: readonly number[];
  /** Each client's version and settings. */
  readonly descriptions: readonly string[];
}

const TOPIC = 'events';
const PARTITIONS = 12;
export const PLAN: Pick<Plan, 'windowMs' | 'calmMs'> = { windowMs: 15_000, calmMs: 3_000 };
/** A gap is waited for that long: the defaults of both clients give up before. */
const PATIENCE_MS = 100_000;

/** Both clients; beside them, where only time-outs help, both with a short one. librdkafka's of that name is the broker's time. */
function producers(kind: Kind, chains: ToolChains, bootstrap: string): readonly RunningProducer[] {
  const topic = { bootstrap, topic: TOPIC, partitions: PARTITIONS };
  const usual = [RunningProducer.spawn('Java', chains, topic), RunningProducer.spawn('librdkafka', chains, topic)];
  if (kind.freshBoundMs === undefined) return usual;
  return [
    ...usual,
    RunningProducer.spawn('Java', chains, topic, ['request.timeout.ms=1500']),
    RunningProducer.spawn('librdkafka', chains, topic, ['socket.timeout.ms=1500']),
  ];
}

export async function measure(system: System, kind: Kind, plan: Plan): Promise<Result> {
  const { chains, trials, calmMs, windowMs, progress } = plan;
  const folder = join(plan.folder, `${system.name.replace(' ', '-').toLowerCase()}-${kind.name}`);
  await using cluster = Cluster.start(await system.prepare(folder, plan.sites));
  await cluster.registered();
  await cluster.ask('a topic', (at) => createTopic(at, TOPIC, PARTITIONS));
  await cluster.healthy(TOPIC);
  const clients = producers(kind, chains, cluster.bootstrapWithout());
  const seen = clients.map(({ name, errors }) => ({
    client: name,
    errors,
    gapsMs: [] as number[],
    calmMs: [] as number[],
    returnMs: [] as number[],
  }));
  const freshMs: number[] = [];
  /** A failure that is rare is to leave a trace. */
  const tellErrors = (before: readonly number[]): void => {
    for (const [index, { name, errors, complaints }] of clients.entries()) {
      const count = errors.length - (before[index] ?? 0);
      if (count > 0) progress(`${name} gave up ${count} writes and said\n${complaints}\n${cluster.logs}`);
    }
  };
  /** Into each client's own list. */
  const note = async (list: 'gapsMs' | 'calmMs' | 'returnMs', at: number, forMs: number): Promise<void> => {
    const gaps = await Promise.all(clients.map((client) => client.longestGap(at, forMs, PATIENCE_MS)));
    for (const [index, gap] of gaps.entries()) seen[index]?.[list].push(gap);
  };
  try {
    await Promise.all(clients.map((client) => client.ready()));
    // Their first seconds are those of a compiler.
    await Promise.all(clients.map((client) => client.longestGap(Date.now(), calmMs, PATIENCE_MS)));
    for (let trial = 0; trial < trials; trial += 1) {
      const errorsBefore = clients.map(({ errors }) => errors.length);
      await cluster.healthy(TOPIC);
      for (const client of clients) client.forget();
      await note('calmMs', Date.now(), calmMs);
      const victims = await kind.victims(cluster, await cluster.healthy(TOPIC), trial);

      const struckAt = Date.now();
      for (const victim of victims) kind.strike(cluster, victim);
      if (kind.freshBoundMs !== undefined) {
        const bootstrap = cluster.bootstrapWithout(victims);
        const fresh = new FreshClients(chains, { bootstrap, topic: TOPIC, partitions: PARTITIONS });
        freshMs.push(await fresh.written(struckAt, PATIENCE_MS));
      }
      await note('gapsMs', struckAt, windowMs);
      const longestMs = Math.max(...seen.map(({ gapsMs }) => gapsMs.at(-1) ?? 0));
      if (longestMs > (kind.boundMs ?? Number.POSITIVE_INFINITY))
        progress(`${longestMs.toFixed(0)} ms from ${new Date(struckAt).toISOString()} on\n${cluster.logs}`);

      const healedAt = Date.now();
      for (const client of clients) client.forget();
      for (const victim of victims) await cluster.heal(victim);
      await cluster.healthy(TOPIC);
      await note('returnMs', healedAt, Date.now() - healedAt + 500);
      tellErrors(errorsBefore);
      const last = seen.map(({ client, gapsMs }) => `${client} ${gapsMs.at(-1)?.toFixed(0)} ms`);
      const fresh = freshMs.length === 0 ? [] : [`fresh ${freshMs.at(-1)?.toFixed(0)} ms`];
      progress(`${system.name}, ${kind.name} ${trial + 1}/${trials}: ${[...last, ...fresh].join('; ')}`);
    }
    const descriptions = clients.map(({ description }) => description);
    return { kind, system: system.name, seen, freshMs, descriptions };
  } finally {
    await Promise.all(clients.map((client) => client.kill()));
  }
}
