/**
 * `make failover`: how long producers with default time-outs get no acknowledgement when nodes of a cluster die, stop, stand still or
 * are cut off; the same for Apache Kafka. TRIALS (100), KIND=name,… (all), SYSTEM=odradek|kafka|both, WINDOW_S (15) after a fault,
 * CALM_S (3) before it, MARKDOWN=FILE.
 * The exit status is 1 if Odradek misses what is asked of it.
 */
import { writeFileSync } from 'node:fs';
import { cpus, release, totalmem } from 'node:os';
import { Hosts, insideOwnNetwork } from '../../test/support/cluster/hosts.ts';
import { loopbackSites } from '../../test/support/cluster/sites.ts';
import { apacheKafka, odradek } from '../../test/support/cluster/systems.ts';
import { temporaryFolder } from '../../test/support/temporary-folder.ts';
import { findKafkaJars, findPython } from '../../test/support/tool-chains.ts';
import { KINDS } from './kinds.ts';
import { describeClients, isMet, table } from './report.ts';
import { measure, PLAN, type Result } from './trials.ts';

const names = process.env.KIND?.split(',') ?? KINDS.map(({ name }) => name);
const trials = Number(process.env.TRIALS ?? 100);
const windowMs = Number(process.env.WINDOW_S ?? PLAN.windowMs / 1_000) * 1_000;
const calmMs = Number(process.env.CALM_S ?? PLAN.calmMs / 1_000) * 1_000;
const chains = { jars: await findKafkaJars(), python: await findPython() };
const both = { odradek, kafka: apacheKafka(chains.jars) };
const named = process.env.SYSTEM ?? 'both';
const systems = named === 'both' ? Object.values(both) : [both[named as keyof typeof both]];
const kinds = names.map((name) => {
  const kind = KINDS.find((one) => one.name === name);
  if (kind === undefined) throw new Error(`there is no kind ${name}: ${KINDS.map((one) => one.name).join(', ')}`);
  return kind;
});

async function run(hosts: Hosts | undefined): Promise<readonly Result[]> {
  const results: Result[] = [];
  for (const kind of kinds) {
    if (kind.needsHosts && hosts === undefined) continue;
    const sites = kind.needsHosts && hosts !== undefined ? hosts.sites(kind.nodes) : loopbackSites(kind.nodes);
    for (const system of systems) {
      using folder = temporaryFolder('failover');
      const plan = { trials, windowMs, calmMs, folder: folder.path, sites, chains, progress: console.error };
      results.push(await measure(system, kind, plan));
    }
  }
  return results;
}

function tell(results: readonly Result[]): void {
  const [cpu] = cpus();
  const machine = `${cpus().length} × ${cpu?.model ?? 'unknown'}, ${(totalmem() / 2 ** 30).toFixed(0)} GiB, Linux ${release()}`;
  const report = `${[machine, table(results), describeClients(results)].join('\n\n')}\n`;
  console.log(report);
  if (process.env.MARKDOWN !== undefined) writeFileSync(process.env.MARKDOWN, report);
  process.exitCode = results.every(isMet) ? 0 : 1;
}

const outcome = kinds.some(({ needsHosts }) => needsHosts) ? await insideOwnNetwork() : 'not needed';
if (typeof outcome === 'number') {
  process.exitCode = outcome;
} else {
  const hosts = outcome === undefined ? await Hosts.create() : undefined;
  const skipped = hosts === undefined ? kinds.filter(({ needsHosts }) => needsHosts) : [];
  for (const { name } of skipped) console.error(`${name} is skipped: ${outcome}`);
  try {
    tell(await run(hosts));
  } finally {
    hosts?.close();
  }
}
