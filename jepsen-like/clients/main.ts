/**
 * `make compat-chaos`: idempotent producers, groups of both protocols and a transactional copier of Apache Kafka and librdkafka run on
 * three nodes for DURATION_S (120) seconds, while brokers are killed, one at a time, the coordinators among them. Then what they were
 * promised is compared with what there is: nothing acknowledged is lost, nothing is copied twice, nothing passes a group by, and every
 * group goes on. SYSTEM=kafka runs it on Apache Kafka. The exit status is 1 if a promise was broken.
 */
import { Cluster, type Member } from '../../test/support/cluster/cluster.ts';
import { loopbackSites } from '../../test/support/cluster/sites.ts';
import { apacheKafka, odradek } from '../../test/support/cluster/systems.ts';
import {
  CoordinatorKind,
  controllerSeenAt,
  coordinatorSeenAt,
  createTopic,
  topicSeenAt,
} from '../../test/support/cluster/view.ts';
import { sleep, until } from '../../test/support/process.ts';
import { temporaryFolder } from '../../test/support/temporary-folder.ts';
import { findKafkaJars, findPython, toolChain } from '../../test/support/tool-chains.ts';
import { judge } from './verdict.ts';
import {
  type Clients,
  COPIER,
  Copier,
  type Gap,
  GROUPS,
  GroupMembers,
  PARTITIONS,
  readLog,
  SINK,
  SOURCE,
  Writers,
} from './workload.ts';

const durationMs = Number(process.env.DURATION_S ?? 120) * 1_000;
const jars = await toolChain('Java tools', findKafkaJars);
const python = await toolChain('Python clients', findPython);

/** Between a kill and the start of the same node; and between nodes that are in sync and the next kill. */
const DOWN_MS = 2_000;
const CALM_MS = 2_000;
const DRAIN_MS = 60_000;

type Finder = (at: Member) => Promise<number | undefined>;

/** Whose broker is killed, in turn. */
const victims: readonly (readonly [string, Finder])[] = [
  ['coordinator of the transactions', (at) => coordinatorSeenAt(at, CoordinatorKind.Transaction, COPIER)],
  ['coordinator of the classic group', (at) => coordinatorSeenAt(at, CoordinatorKind.Group, GROUPS.classic)],
  ['leader of a partition', async (at) => (await topicSeenAt(at, SOURCE))?.partitions[0]?.leader],
  ['coordinator of the KIP-848 group', (at) => coordinatorSeenAt(at, CoordinatorKind.Group, GROUPS.consumer)],
  ["coordinator of the copier's offsets", (at) => coordinatorSeenAt(at, CoordinatorKind.Group, COPIER)],
  ['controller', controllerSeenAt],
];

interface Kill {
  readonly whose: string;
  /** From the start of the node until everything is in sync. */
  readonly inSyncMs: number;
}

async function killOne(cluster: Cluster, turn: number): Promise<Kill> {
  const [whose, find] = victims[turn % victims.length] ?? ['', async () => undefined];
  const id = await cluster.ask(whose, find);
  cluster.signal(id, 'SIGKILL');
  await sleep(DOWN_MS);
  await cluster.heal(id);
  const startedAt = performance.now();
  await cluster.inSync();
  const inSyncMs = performance.now() - startedAt;
  console.error(`${whose}: node ${id} killed, in sync ${(inSyncMs / 1_000).toFixed(1)} s after its start`);
  await sleep(CALM_MS);
  return { whose, inSyncMs };
}

function report(kills: readonly Kill[], rows: readonly (readonly [string, string | number])[]): string {
  const lines = ['| killed | times | longest until in sync |', '| --- | --- | --- |'];
  for (const [whose] of victims) {
    const times = kills.filter((kill) => kill.whose === whose).map(({ inSyncMs }) => inSyncMs);
    if (times.length > 0) lines.push(`| ${whose} | ${times.length} | ${(Math.max(...times) / 1_000).toFixed(1)} s |`);
  }
  lines.push('', '| clients | |', '| --- | --- |', ...rows.map(([what, value]) => `| ${what} | ${value} |`));
  return lines.join('\n');
}

const seconds = ({ longestMs }: Gap): string => `${(longestMs / 1_000).toFixed(1)} s`;

async function run(cluster: Cluster, clients: Clients): Promise<readonly string[]> {
  const writers = new Writers(clients);
  const groups = { classic: new GroupMembers('classic', clients), 'KIP-848': new GroupMembers('consumer', clients) };
  const copier = new Copier(clients);
  const copied = copier.copyOn();
  // Looked at below; a failure before that is not to end the process with everything running.
  copied.catch(() => undefined);
  try {
    const endsAt = performance.now() + durationMs;
    await writers.started();
    for (const members of Object.values(groups)) {
      await until('the first records of a group', DRAIN_MS, () => members.reached > 0 || undefined);
    }
    await until('a first transaction', DRAIN_MS, () => copier.commits > 0 || undefined);
    const kills: Kill[] = [];
    while (performance.now() < endsAt) {
      // Now and then the transactional producer dies too, and its successor meets its open transaction. As the member of a classic group
      // it waits for the dead one's session, which is 45 s: no sooner than that is it killed again.
      if (kills.length % (2 * victims.length) === victims.length - 1) copier.kill();
      kills.push(await killOne(cluster, kills.length));
    }

    await writers.stop();
    copier.stop();
    const source = await readLog(clients, SOURCE, 'read_uncommitted');
    const written = source.flat().length;
    const stuck: string[] = [];
    for (const [name, members] of Object.entries(groups)) {
      await until(`the ${name} group at the end`, DRAIN_MS, () => members.reached >= written || undefined).catch(() => {
        stuck.push(`the ${name} group came to ${members.reached} of ${written} records and no further`);
      });
      await members.stop();
    }
    await copied.catch((failure: Error) => stuck.push(failure.message));
    const sink = await readLog(clients, SINK, 'read_committed');
    const seen = new Map(Object.entries(groups).map(([name, { runs }]) => [name, runs]));
    const givenUp = [...new Set(writers.refusals)].map((reason) => `a producer gave a record up: ${reason}`);
    const faults = [...stuck, ...givenUp, ...judge({ acknowledged: writers.acknowledged, source, sink, groups: seen })];
    const delivered = (name: keyof typeof groups): number =>
      groups[name].runs.reduce((sum, [, first, last]) => sum + last - first + 1, 0);
    console.log(
      report(kills, [
        ['records acknowledged', writers.acknowledged.size],
        ['given up by a producer', writers.refusals.length],
        ['longest without an acknowledgement', seconds(writers.gap)],
        ['copied, each in a transaction', sink.flat().length],
        ['copies begun, ended early', `${copier.runs}, ${copier.failures}`],
        ['transactions committed', copier.commits],
        ['longest without one', seconds(copier.gap)],
        ['delivered to the classic group', delivered('classic')],
        ['longest without a record there', seconds(groups.classic.gap)],
        ['delivered to the KIP-848 group', delivered('KIP-848')],
        ['longest without a record there', seconds(groups['KIP-848'].gap)],
        ['promises broken', faults.length],
      ]),
    );
    return faults;
  } finally {
    writers.kill();
    for (const members of Object.values(groups)) members.kill();
    copier.stop();
    copier.kill();
  }
}

/** Gives what was broken. */
async function chaos(chains: Omit<Clients, 'bootstrap'>): Promise<readonly string[]> {
  const system = process.env.SYSTEM === 'kafka' ? apacheKafka(chains.jars) : odradek;
  using folder = temporaryFolder('compat-chaos');
  await using cluster = Cluster.start(await system.prepare(folder.path, loopbackSites(3)));
  await cluster.registered();
  for (const topic of [SOURCE, SINK]) await cluster.ask(`topic ${topic}`, (at) => createTopic(at, topic, PARTITIONS));
  try {
    return await run(cluster, { ...chains, bootstrap: cluster.bootstrapWithout() });
  } catch (failure) {
    throw new Error(`${failure}\n${cluster.logs}`, { cause: failure });
  }
}

if (jars !== undefined && python !== undefined) {
  const faults = await chaos({ jars, python });
  for (const fault of faults) console.error(fault);
  process.exitCode = faults.length === 0 ? 0 : 1;
}
