import { readFileSync } from 'node:fs';
import { parse as parseYaml } from 'yaml';
import type { ArgumentsCamelCase } from 'yargs';
import { type Fault, faultLabel } from '#chaos/fault';
import { Load } from '#chaos/load';
import { healedLine, runScenario } from '#chaos/run-scenario';
import { DEFAULT_LOAD, parseScenario, type Scenario } from '#chaos/scenario';
import { createCodecs } from '#platform/codecs';
import { NodeClock } from '#platform/node-clock';
import { NodeNetwork } from '#platform/node-network';
import { type ChaosArguments, durationFrom, faultFrom, healedFrom } from './chaos-arguments.ts';
import { ChaosCluster } from './chaos-cluster.ts';
import { doneLine, verdictJson, verdictText } from './chaos-words.ts';
import { UsageError } from './config-sources.ts';
import { FAILED, INTERRUPTED } from './exit-status.ts';

interface Arguments extends ChaosArguments {
  readonly dataDir: string;
  readonly output?: 'table' | 'json';
}

/** One command of `odradek chaos`; ends the process. */
export async function runChaos(name: string, given: ArgumentsCamelCase): Promise<void> {
  const args = given as ArgumentsCamelCase & Arguments;
  switch (name) {
    case 'heal': {
      const node = healedFrom(args);
      const cluster = await ChaosCluster.in(args.dataDir);
      const silent = await cluster.heal(node);
      process.stdout.write(`${healedLine(node, silent)}\n`);
      return process.exit(silent.length === 0 ? 0 : FAILED);
    }
    case 'run':
      return await runFile(args);
    default:
      return await strike(faultFrom(name as Fault['kind'], args), args);
  }
}

async function runFile(args: Arguments): Promise<void> {
  const scenario = scenarioIn(args.file ?? '');
  await judge(await ChaosCluster.in(args.dataDir), scenario, args);
}

async function strike(fault: Fault, args: Arguments): Promise<void> {
  const forMs = durationFrom(args);
  const cluster = await ChaosCluster.in(args.dataDir);
  if (forMs !== undefined) {
    const step = { kind: 'fault', fault, forMs, maxUnavailableMs: undefined } as const;
    const scenario = { name: faultLabel(fault), load: DEFAULT_LOAD, maxUnavailableMs: undefined, steps: [step] };
    return await judge(cluster, scenario, args);
  }
  const { fault: done } = await cluster.inject(fault, undefined);
  process.stdout.write(`${doneLine(done)}\n`);
  process.exit(0);
}

async function judge(cluster: ChaosCluster, scenario: Scenario, { output }: Arguments): Promise<void> {
  cluster.check(scenario.steps.flatMap((step) => (step.kind === 'fault' ? step.fault : [])));
  const say = (sentence: string): void => void process.stderr.write(`${sentence}\n`);
  const reserved = await cluster.reserve();
  const ports = { clock: new NodeClock(), network: new NodeNetwork(), codecs: createCodecs() };
  const load = await Load.start(ports, cluster.endpoints, topicName(), scenario.load);
  let isInterrupted = false;
  const { promise: interrupted, resolve: interrupt } = Promise.withResolvers<void>();
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.once(signal, () => {
      isInterrupted = true;
      say('odradek: everything is healed first; Ctrl-C again leaves it as it is');
      interrupt();
    });
  }
  const verdict = await runScenario(ports.clock, scenario, load, cluster, { say, interrupted });
  await reserved[Symbol.asyncDispose]();
  process.stdout.write(output === 'json' ? verdictJson(verdict) : verdictText(verdict));
  if (verdict.failures.length > 0) {
    say(`odradek: the topic ${load.topic} is kept, to be looked at`);
    process.exit(FAILED);
  }
  if (!(await load.deleteTopic())) say(`odradek: the topic ${load.topic} could not be deleted`);
  process.exit(isInterrupted ? INTERRUPTED : 0);
}

function scenarioIn(path: string): Scenario {
  let value: unknown;
  try {
    value = parseYaml(readFileSync(path, 'utf8'));
  } catch (error) {
    throw new UsageError(`the scenario cannot be read: ${(error as Error).message}`);
  }
  const scenario = parseScenario(value);
  if (scenario.error !== undefined) throw new UsageError(`${path}: ${scenario.error}`);
  return scenario.value;
}

function topicName(): string {
  return `odradek-chaos-${Date.now().toString(36)}`;
}
