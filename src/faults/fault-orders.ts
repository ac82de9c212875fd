import type { Parsed } from '#base/parsed';
import type { LineFault } from './fault-line.ts';
import type { LineName } from './fault-network.ts';

/** What is to change in the faults of one node; what is not named stays. */
export interface FaultOrders {
  /** Undefined heals the line. */
  readonly lines: ReadonlyMap<LineName, LineFault | undefined>;
  readonly diskFull: boolean | undefined;
}

export const DELAY_MS_MAX = 60_000;
const WAYS = ['sent', 'received', 'both'] as const;

/** `{"lines": {"2": {"kind": "cut", "way": "both"}, "clients": null}, "diskFull": true}`: both may be left out. */
export function parseFaultOrders(value: unknown): Parsed<FaultOrders> {
  if (!isObject(value)) return { error: 'orders are an object' };
  const { lines = {}, diskFull, ...others } = value;
  const [unknown] = Object.keys(others);
  if (unknown !== undefined) return { error: `orders have lines and diskFull, not ${unknown}` };
  if (diskFull !== undefined && typeof diskFull !== 'boolean') return { error: 'diskFull is true or false' };
  if (!isObject(lines)) return { error: 'lines are an object, by node id or "clients"' };
  const parsed = new Map<LineName, LineFault | undefined>();
  for (const [text, given] of Object.entries(lines)) {
    const name = text === 'clients' ? text : /^\d{1,9}$/.test(text) ? Number(text) : undefined;
    if (name === undefined) return { error: `a line leads to a node or to "clients", not to "${text}"` };
    const fault: Parsed<LineFault | undefined> = given === null ? { value: undefined } : parseLineFault(given);
    if (fault.error !== undefined) return { error: `the line to ${text}: ${fault.error}` };
    parsed.set(name, fault.value);
  }
  return { value: { lines: parsed, diskFull } };
}

/** What parseFaultOrders reads. */
export function faultOrdersText({ lines, diskFull }: FaultOrders): string {
  const faults = [...lines].map(([name, fault]) => [name, fault ?? null] as const);
  return JSON.stringify({ lines: Object.fromEntries(faults), diskFull });
}

function parseLineFault(value: unknown): Parsed<LineFault> {
  if (!isObject(value)) return { error: 'a fault is an object, or null to heal it' };
  switch (value.kind) {
    case 'cut': {
      const way = WAYS.find((known) => known === value.way);
      return way === undefined ? { error: `a cut has a way: ${WAYS.join(', ')}` } : { value: { kind: 'cut', way } };
    }
    case 'refuse':
      return { value: { kind: 'refuse' } };
    case 'delay': {
      const { ms } = value;
      const isDelay = typeof ms === 'number' && ms > 0 && ms <= DELAY_MS_MAX;
      return isDelay
        ? { value: { kind: 'delay', ms } }
        : { error: `a delay has ms, more than 0 and at most ${DELAY_MS_MAX}` };
    }
    default:
      return { error: 'the kind of a fault is cut, refuse or delay' };
  }
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
