/** What one seed is about: a cluster, a choice of faults, and when they strike. Swarm testing: what is left out matters as much as what is in. */
import { at } from '#base/assert';
import type { Random } from '#base/ports';
import { between } from './ports/sim-random.ts';

export const FAULT_KINDS = [
  'kill',
  'power cut',
  'blackout',
  'rack loss',
  'stop',
  'wipe',
  'bit rot',
  'disk swap',
  'stall',
  'one-way cut',
  'two-way cut',
  'partition',
  'isolation',
  'clog',
  'slow link',
  'refusal',
  'reset',
  'half-open',
  'wall clock',
  'drift',
  'slow disk',
  'slow sync',
  'disk error',
  'disk full',
] as const;

export type FaultKind = (typeof FAULT_KINDS)[number];

export interface Swarm {
  readonly nodeCount: number;
  readonly voterCount: number;
  readonly rackCount: number;
  readonly clientCount: number;
  /** Of what is sent, the share that is cut short. */
  readonly cutShare: number;
  /** Of the metadata log, between snapshots. */
  readonly snapshotBytes: number;
  readonly faults: readonly PlannedFault[];
}

export interface PlannedFault {
  readonly at: number;
  readonly kind: FaultKind;
}

export interface SwarmOptions {
  readonly durationMs: number;
  /** Of those drawn the cluster never has more. */
  readonly nodeCountMax: number;
  /** Instead of a drawn one. */
  readonly nodeCount?: number;
}

const FAULTS_MIN = 20;
const FAULTS_MAX = 60;
/** The cluster comes up undisturbed in some worlds, and in others not. */
const START_MS = 3000;

const NODE_COUNTS = [1, 2, 3, 3, 3, 3, 4, 5, 5, 7];

export function drawSwarm(random: Random, options: SwarmOptions): Swarm {
  const drawn = at(NODE_COUNTS, random.uint32() % NODE_COUNTS.length);
  const nodeCount = Math.min(options.nodeCountMax, options.nodeCount ?? drawn);
  const odd = nodeCount % 2 === 1 ? nodeCount : nodeCount - 1;
  const voterCount =
    nodeCount === 2 ? 1 + (random.uint32() % 2) : Math.min(5, odd, nodeCount >= 5 && random.uint32() % 2 === 0 ? 3 : 7);
  return {
    nodeCount,
    voterCount,
    rackCount: 1 + (random.uint32() % 3),
    clientCount: 1 + (random.uint32() % 3),
    cutShare: at([0, 0.1, 0.3, 0.9], random.uint32() % 4),
    snapshotBytes: at([1500, 4000, 20_000, 1_000_000], random.uint32() % 4),
    faults: drawFaults(random, options.durationMs),
  };
}

/** Times in bursts between quiet phases; kinds from a small choice. */
function drawFaults(random: Random, durationMs: number): PlannedFault[] {
  const kinds = drawKinds(random);
  const count = FAULTS_MIN + (random.uint32() % (FAULTS_MAX - FAULTS_MIN + 1));
  const start = random.uint32() % 3 === 0 ? 0 : START_MS;
  const phases = drawPhases(random, start, durationMs);
  const faults = Array.from({ length: count }, () => {
    const phase = at(phases, random.uint32() % phases.length);
    return { at: between(random, phase.from, phase.to), kind: at(kinds, random.uint32() % kinds.length) };
  });
  return faults.sort((a, b) => a.at - b.at);
}

function drawKinds(random: Random): FaultKind[] {
  const share = at([0.15, 0.3, 0.6, 1], random.uint32() % 4);
  const chosen = FAULT_KINDS.filter(() => random.uint32() / 2 ** 32 < share);
  return chosen.length > 0 ? chosen : [at(FAULT_KINDS, random.uint32() % FAULT_KINDS.length)];
}

function drawPhases(random: Random, start: number, end: number): { from: number; to: number }[] {
  const phases: { from: number; to: number }[] = [];
  for (let from = start; from < end; ) {
    const to = Math.min(end, from + between(random, 2000, 20_000));
    phases.push({ from, to });
    from = to + between(random, 0, 10_000);
  }
  return phases;
}
