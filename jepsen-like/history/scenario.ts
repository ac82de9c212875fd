import type { ClientLine, Key, MicroOperation, OperationFunction, Outcome } from '#history/format';
import { Recorder } from '#history/recorder';
import { load } from './loader.ts';
import { judge, type Verdict } from './verdict.ts';

/** The processes of a scenario. */
export const A = 0;
export const B = 1;
export const C = 2;
/** It writes with acks=1. */
export const WEAK = 3;
/** It writes without idempotence. */
export const RETRYING = 4;
/** It reads what is uncommitted. */
export const UNCOMMITTED = 5;
/** Members of a group. */
export const M = 6;
export const N = 7;
/** It reads everything in the end. */
export const FINAL = 8;

const safe = { acks: 'all', idempotent: true, isolation: 'read_committed' } as const;
const member = { ...safe, group: 'group', protocol: 'classic' } as const;

const CLIENTS: readonly Omit<ClientLine, 't' | 'type'>[] = [
  { p: A, ...safe },
  { p: B, ...safe },
  { p: C, ...safe },
  { p: WEAK, ...safe, acks: 1 },
  { p: RETRYING, ...safe, idempotent: false },
  { p: UNCOMMITTED, ...safe, isolation: 'read_uncommitted' },
  { p: M, ...member },
  { p: N, ...member },
  { p: FINAL, isolation: 'read_committed', final: true },
];

/** A history in a few words, for tests. A line is a millisecond. */
export class Scenario {
  readonly #lines: string[] = [];
  readonly recorder: Recorder;

  constructor() {
    const append = (line: string): void => {
      this.#lines.push(line);
    };
    this.recorder = new Recorder({ append, nowMs: () => this.#lines.length }, 'a scenario');
    for (const client of CLIENTS) this.recorder.client(client);
  }

  begin(p: number, f: OperationFunction, ...ops: MicroOperation[]): this {
    this.recorder.invoke({ p, f, ops });
    return this;
  }

  end(p: number, outcome: Outcome, ...ops: MicroOperation[]): this {
    this.recorder.complete(outcome, { p, ops });
    return this;
  }

  /** An operation by itself; it is known from its beginning what becomes of it. */
  did(p: number, f: OperationFunction, outcome: Outcome, ...ops: MicroOperation[]): this {
    return this.begin(p, f, ...ops).end(p, outcome, ...ops);
  }

  sent(p: number, key: Key, value: number, offset: number): this {
    return this.did(p, 'send', 'ok', ['send', key, value, offset]);
  }

  polled(p: number, records: Readonly<Record<Key, readonly number[]>>): this {
    return this.did(p, 'poll', 'ok', ['poll', records]);
  }

  assigned(p: number, key: Key, offset: number): this {
    return this.did(p, 'assign', 'ok', ['assign', key, offset]);
  }

  /** A commit of a member, in a generation. */
  committed(p: number, generation: number, outcome: Outcome, key: Key, offset: number): this {
    this.recorder.invoke({ p, f: 'commit', ops: [['commit', key, offset]], generation });
    return this.end(p, outcome, ['commit', key, offset]);
  }

  rebalanced(p: number, generation: number, assigned: Readonly<Record<Key, number | null>>, ...revoked: Key[]): this {
    this.recorder.rebalance({ p, generation, assigned, revoked });
    return this;
  }

  get text(): string {
    return this.#lines.join('');
  }

  verdict(): Verdict {
    return judge(load(this.#lines.map((text) => ({ text, whole: true }))));
  }
}
