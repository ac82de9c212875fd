/** The scenario file's content: see docs/chaos.md. */
import type { Parsed } from '#base/parsed';
import { DELAY_MS_MAX } from '#faults/fault-orders';
import { type Fault, type NodeTarget, type Others, parseNodeTarget, RACK_LOSSES, type Sides } from './fault.ts';

export interface LoadOptions {
  readonly partitions: number;
  readonly recordsPerSecond: number;
  readonly recordBytes: number;
}

export type Step =
  | { readonly kind: 'wait'; readonly ms: number }
  /** Undefined: everything. */
  | { readonly kind: 'heal'; readonly node: number | undefined }
  | FaultStep;

export interface FaultStep {
  readonly kind: 'fault';
  readonly fault: Fault;
  /** Healed after so long; undefined: by a later step, or at the end. */
  readonly forMs: number | undefined;
  /** Of any partition, from the fault on until the next one. */
  readonly maxUnavailableMs: number | undefined;
}

export interface Scenario {
  readonly name: string;
  readonly load: LoadOptions;
  /** Of any partition, at any time. */
  readonly maxUnavailableMs: number | undefined;
  readonly steps: readonly Step[];
}

export const DEFAULT_LOAD: LoadOptions = { partitions: 6, recordsPerSecond: 600, recordBytes: 100 };

const PARTITIONS_MAX = 100;
const RECORDS_PER_SECOND_MAX = 100_000;
const RECORD_BYTES_MIN = 32;
const RECORD_BYTES_MAX = 100_000;
const STEPS_MAX = 1_000;
const DURATION_MS_MAX = 24 * 3_600_000;

type Fields = Readonly<Record<string, unknown>>;

/** What is wrong, said once, at the place where it was found. */
class Mistake extends Error {}

/** Of what a YAML or JSON file holds. */
export function parseScenario(value: unknown): Parsed<Scenario> {
  return withoutMistakes(() => {
    const fields = fieldsOf(value, 'a scenario', ['name', 'load', 'maxUnavailableMs', 'steps']);
    const { name = 'scenario', steps } = fields;
    if (typeof name !== 'string') throw new Mistake('name is a text');
    if (!Array.isArray(steps) || steps.length === 0) throw new Mistake('steps are a list, and not an empty one');
    if (steps.length > STEPS_MAX) throw new Mistake(`steps are at most ${STEPS_MAX}`);
    return {
      name,
      load: loadOf(fields.load ?? {}),
      maxUnavailableMs: optional(fields, 'maxUnavailableMs', 1, DURATION_MS_MAX),
      steps: steps.map((step: unknown, index) => within(`step ${index + 1}`, () => stepOf(step))),
    };
  });
}

/** `500ms`, `10s`, `2m`; a number is of seconds. In milliseconds. */
export function parseDuration(value: unknown): Parsed<number> {
  const [, amount, unit = 's'] = /^(\d+(?:\.\d+)?)\s*(ms|s|m)?$/.exec(String(value).trim()) ?? [];
  const ms = Number(amount) * { ms: 1, s: 1_000, m: 60_000 }[unit as 'ms' | 's' | 'm'];
  if (ms > 0 && ms <= DURATION_MS_MAX) return { value: ms };
  return { error: `"${value}" is no time: say 500ms, 10s or 2m, at most a day` };
}

function loadOf(value: unknown): LoadOptions {
  return within('load', () => {
    const fields = fieldsOf(value, 'it', ['partitions', 'recordsPerSecond', 'recordBytes']);
    return {
      partitions: optional(fields, 'partitions', 1, PARTITIONS_MAX) ?? DEFAULT_LOAD.partitions,
      recordsPerSecond:
        optional(fields, 'recordsPerSecond', 1, RECORDS_PER_SECOND_MAX) ?? DEFAULT_LOAD.recordsPerSecond,
      recordBytes: optional(fields, 'recordBytes', RECORD_BYTES_MIN, RECORD_BYTES_MAX) ?? DEFAULT_LOAD.recordBytes,
    };
  });
}

const FAULT_OPTIONS: Readonly<Record<Fault['kind'], readonly string[]>> = {
  kill: [],
  pause: [],
  'disk-full': [],
  delay: ['ms'],
  partition: ['oneWay', 'nodes', 'clients', 'refuse'],
  'lose-rack': ['how'],
};
const STEPS = ['wait', 'heal', ...Object.keys(FAULT_OPTIONS)];

function stepOf(value: unknown): Step {
  if (value === 'heal') return { kind: 'heal', node: undefined };
  const named = isFields(value) ? Object.keys(value).filter((key) => STEPS.includes(key)) : [];
  const [kind] = named;
  if (!isFields(value) || kind === undefined || named.length > 1) {
    throw new Mistake(`a step is one of ${STEPS.join(', ')}, as in "- kill: controller"`);
  }
  switch (kind) {
    case 'wait':
      fieldsOf(value, 'wait', ['wait']);
      return { kind, ms: duration(value.wait) };
    case 'heal':
      fieldsOf(value, 'heal', ['heal']);
      return { kind, node: healed(value.heal) };
    default:
      return faultStepOf(value, kind as Fault['kind']);
  }
}

function faultStepOf(value: Fields, kind: Fault['kind']): FaultStep {
  fieldsOf(value, kind, [kind, 'for', 'maxUnavailableMs', ...FAULT_OPTIONS[kind]]);
  return {
    kind: 'fault',
    fault: faultOf(value, kind),
    forMs: value.for === undefined ? undefined : duration(value.for),
    maxUnavailableMs: optional(value, 'maxUnavailableMs', 1, DURATION_MS_MAX),
  };
}

function faultOf(value: Fields, kind: Fault['kind']): Fault {
  switch (kind) {
    case 'kill':
    case 'pause':
    case 'disk-full':
      return { kind, node: nodeTarget(value[kind]) };
    case 'delay': {
      const ms = optional(value, 'ms', 1, DELAY_MS_MAX);
      if (ms === undefined) throw new Mistake('a delay has ms');
      return { kind, node: nodeTarget(value[kind]), ms };
    }
    case 'partition':
      return { kind, between: sidesOf(value), oneWay: flag(value, 'oneWay'), refuses: flag(value, 'refuse') };
    case 'lose-rack': {
      const { how = 'kill' } = value;
      const known = RACK_LOSSES.find((loss) => loss === how);
      if (known === undefined) throw new Mistake(`how is one of ${RACK_LOSSES.join(', ')}`);
      return { kind, rack: rackName(value[kind]), how: known };
    }
  }
}

/** `1`, `[1, 2]`, `rack a`. */
function sidesOf(value: Fields): Sides<NodeTarget> {
  const { partition: between } = value;
  const others = othersOf(flag(value, 'nodes'), flag(value, 'clients'));
  if (others.error !== undefined) throw new Mistake(others.error);
  if (Array.isArray(between)) {
    if (between.length !== 2) throw new Mistake('a partition is between two nodes, or cuts one off, or a rack');
    if (others.value !== 'all') throw new Mistake('nodes and clients are for one node or a rack');
    return { kind: 'two nodes', first: nodeTarget(between[0]), second: nodeTarget(between[1]) };
  }
  const rack = typeof between === 'string' ? /^rack (\S.*)$/.exec(between)?.[1] : undefined;
  if (rack !== undefined) return { kind: 'rack', rack, others: others.value };
  return { kind: 'node', node: nodeTarget(between), others: others.value };
}

/** Of the flags --nodes and --clients, neither of which is all. */
export function othersOf(nodes: boolean, clients: boolean): Parsed<Others> {
  if (nodes && clients) return { error: 'nodes only and clients only exclude each other; neither is both' };
  return { value: nodes ? 'nodes' : clients ? 'clients' : 'all' };
}

function nodeTarget(value: unknown): NodeTarget {
  return taken(parseNodeTarget(String(value)));
}

function healed(value: unknown): number | undefined {
  if (value === null || value === 'all') return undefined;
  const target = nodeTarget(value);
  if (target.kind === 'node') return target.id;
  throw new Mistake('heal takes the id of a node, or all');
}

function rackName(value: unknown): string {
  if (typeof value === 'number') return String(value);
  if (typeof value !== 'string' || value === '') throw new Mistake('a rack has a name');
  return value;
}

function duration(value: unknown): number {
  return taken(parseDuration(value));
}

function taken<T>(parsed: Parsed<T>): T {
  if (parsed.error !== undefined) throw new Mistake(parsed.error);
  return parsed.value;
}

function flag(fields: Fields, name: string): boolean {
  const { [name]: value = false } = fields;
  if (typeof value !== 'boolean') throw new Mistake(`${name} is true or false`);
  return value;
}

function optional(fields: Fields, name: string, min: number, max: number): number | undefined {
  const value = fields[name];
  if (value === undefined) return undefined;
  if (typeof value === 'number' && Number.isInteger(value) && value >= min && value <= max) return value;
  throw new Mistake(`${name} is a whole number from ${min} to ${max}`);
}

function fieldsOf(value: unknown, what: string, known: readonly string[]): Fields {
  if (!isFields(value)) throw new Mistake(`${what} has keys and values`);
  const unknown = Object.keys(value).find((key) => !known.includes(key));
  if (unknown !== undefined) throw new Mistake(`${what} has ${known.join(', ')}, not ${unknown}`);
  return value;
}

function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function within<T>(where: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    throw error instanceof Mistake ? new Mistake(`${where}: ${error.message}`) : error;
  }
}

function withoutMistakes<T>(read: () => T): Parsed<T> {
  try {
    return { value: read() };
  } catch (error) {
    if (error instanceof Mistake) return { error: error.message };
    throw error;
  }
}
