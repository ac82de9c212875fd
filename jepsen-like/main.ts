/**
 * `make jepsen`: six nodes in three racks, each a process in a network namespace of its own; clients whose every operation is recorded;
 * one fault after the other, then a mix of them; and Jepsen's checker over what was recorded. docs/jepsen.md tells the faults.
 * FAULT=name,… and WORKLOAD=name,… choose; SEED draws the same schedule; FAULT_S (5) and CALM_S (1) are the length of a fault and the
 * time before and after it; LONG=1 goes on with further seeds for HOURS (8), to the end of the trial then under way, in an order that each
 * seed draws, and with more mixes; MARKDOWN=FILE for the table, which is written after every trial.
 * The exit status is 1 if an anomaly fails, the cluster does not become whole, or there was no trial; 2 if it was called wrongly.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { SimRandom } from '#sim/ports/sim-random';
import { Hosts, insideOwnNetwork } from '../test/support/cluster/hosts.ts';
import { loopbackSites } from '../test/support/cluster/sites.ts';
import { repositoryRoot } from '../test/support/odradek-process.ts';
import { findPython, toolChain } from '../test/support/tool-chains.ts';
import type { Fault } from './faults/fault.ts';
import { FAULTS } from './faults/table.ts';
import { hasFailed, type Summary, summary, table } from './report.ts';
import { round } from './round.ts';
import { longRound } from './schedule.ts';
import { findVerifiableClients } from './workloads/verifiable-client.ts';
import { type ToolChains, WORKLOADS, type Workload } from './workloads/workload.ts';

const NODES = 6;
const HOUR_MS = 3_600_000;

const { MARKDOWN, LONG } = process.env;

/** Of a variable of the environment; not set, or empty, it is the other one. */
function numberIn(name: string, otherwise: number): number {
  const text = process.env[name] || String(otherwise);
  const number = Number(text);
  if (!(number >= 0)) throw new Error(`${name} takes a number, not "${text}"`);
  return number;
}

/** Those that a variable of the environment names; all of them if it is not set, or empty. */
function named<T extends { readonly name: string }>(variable: string, all: readonly T[]): readonly T[] {
  const names = process.env[variable] ?? '';
  if (names === '') return all;
  return names.split(',').map((name) => {
    const found = all.find((one) => one.name === name);
    if (found === undefined)
      throw new Error(`${variable}: there is no ${name}, but ${all.map((one) => one.name).join(', ')}`);
    return found;
  });
}

/** Those that the workloads need, and are here or can be fetched. */
async function findToolChains(workloads: readonly Workload[]): Promise<ToolChains> {
  const needed = new Set(workloads.map(({ needs }) => needs));
  return {
    python: needed.has('python') ? await toolChain('workloads of librdkafka', findPython) : undefined,
    java: needed.has('java') ? await toolChain("workload of Java's clients", findVerifiableClients) : undefined,
  };
}

/** What the environment asks for; throws where that is nothing one can do. */
function settings() {
  return {
    faults: named('FAULT', FAULTS),
    workloads: named('WORKLOAD', WORKLOADS),
    firstSeed: numberIn('SEED', Date.now() % 1_000_000),
    calmMs: numberIn('CALM_S', 1) * 1_000,
    faultMs: numberIn('FAULT_S', 5) * 1_000,
    longMs: LONG === undefined ? 0 : numberIn('HOURS', 8) * HOUR_MS,
  };
}

type Settings = ReturnType<typeof settings>;

async function run(asked: Settings, hosts: Hosts | undefined, toolChains: ToolChains): Promise<readonly Summary[]> {
  const { firstSeed, calmMs, faultMs, longMs } = asked;
  const faults: Fault[] = [];
  for (const fault of asked.faults) {
    const missing = fault.needsHosts && hosts === undefined ? 'on loopback no packet is lost' : fault.missing?.(hosts);
    if (missing === undefined) faults.push(fault);
    else console.error(`${fault.name} is left out: ${missing}`);
  }
  const workloads = asked.workloads.filter(({ needs }) => needs === undefined || toolChains[needs] !== undefined);
  if (workloads.length === 0 || faults.length === 0) {
    console.error(`none of these ${workloads.length === 0 ? 'workloads' : 'faults'} can run here`);
    return [];
  }
  const folder = join(repositoryRoot, '.work/jepsen');
  const sites = hosts?.sites(NODES) ?? loopbackSites(NODES);
  const endsAt = performance.now() + longMs;
  const trials: Summary[] = [];
  for (let seed = firstSeed; seed === firstSeed || performance.now() < endsAt; seed += 1) {
    console.error(`SEED=${seed}`);
    const plan = {
      sites,
      links: hosts,
      faults: LONG === undefined ? faults : longRound(faults, new SimRandom(`${seed}-order`)),
      workloads,
      toolChains,
      seed: String(seed),
      folder,
      calmMs,
      faultMs,
    };
    for await (const done of round({ ...plan, progress: console.error })) {
      trials.push(summary(done));
      if (MARKDOWN !== undefined) writeFileSync(MARKDOWN, `${table(trials)}\n`);
      if (LONG !== undefined && performance.now() > endsAt) break;
    }
  }
  return trials;
}

async function main(): Promise<number> {
  let asked: Settings;
  try {
    asked = settings();
  } catch (wrong) {
    console.error((wrong as Error).message);
    return 2;
  }
  // In a network of its own there is no way to fetch them any more.
  const toolChains = await findToolChains(asked.workloads);
  const status = await insideOwnNetwork();
  if (typeof status === 'number') return status;
  if (status !== undefined) console.error(`on loopback: ${status}`);
  const hosts = status === undefined ? await Hosts.create() : undefined;
  try {
    const trials = await run(asked, hosts, toolChains);
    console.log(table(trials));
    return trials.length === 0 || trials.some(hasFailed) ? 1 : 0;
  } finally {
    hosts?.close();
  }
}

process.exitCode = await main();
