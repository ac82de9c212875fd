import { at } from '#base/assert';
import {
  type ClientLine,
  type CopyLine,
  type FaultLine,
  FUNCTIONS,
  type OperationFunction,
  OUTCOMES,
  type Outcome,
} from '#history/format';
import { bytes, floats, integers } from './columns.ts';

/** What a row of an operation tells; its subject is a version for Send and Read, a key for the others. */
export const Row = { Send: 0, Read: 1, Commit: 2, Committed: 3, Assign: 4 } as const;
export type Row = (typeof Row)[keyof typeof Row];

/** In place of a number that is not known, or of a writer that there is not. */
export const NONE = -1;
/** The event by which an operation ends that never did. */
export const NEVER = 2 ** 31 - 1;

/** What a member was told, by numbers of keys; `event` is the number of the line. */
export interface Rebalance {
  readonly event: number;
  /** The last line of its process before: it has asked for committed offsets since. */
  readonly since: number;
  readonly p: number;
  /** NONE if it was not told. */
  readonly generation: number;
  readonly assigned: ReadonlyMap<number, number>;
  readonly revoked: readonly number[];
}

/**
 * A history in memory, in columns. Operations are numbered in the order in which they ended; those of one process are therefore in its
 * order. A version is a value of a key. Events are lines: one that is less came before.
 */
export class History {
  name = '';
  /** The last line had no end. */
  torn = false;
  readonly keys: string[] = [];
  readonly clients = new Map<number, ClientLine>();
  readonly faults: FaultLine[] = [];
  readonly copies: CopyLine[] = [];
  readonly rebalances: Rebalance[] = [];
  /** Of operations: what its process was told since its operation before, until its end. */
  readonly rebalancesOf = new Map<number, Rebalance[]>();
  /** Of operations that commit as members. */
  readonly generationOf = new Map<number, number>();
  readonly errors = new Map<number, string>();

  readonly process = integers();
  /** Indices of FUNCTIONS and OUTCOMES. */
  readonly functions = bytes();
  readonly outcomes = bytes();
  readonly invokedAt = integers();
  readonly completedAt = integers();
  readonly invokedMs = floats();
  /** Infinite if it never ended. */
  readonly completedMs = floats();
  readonly firstRow = integers();

  readonly rowKind = bytes();
  readonly rowSubject = integers();
  readonly rowOffset = floats();

  readonly versionKey = integers();
  readonly versionValue = floats();
  /** The operation that sent it, or NONE. */
  readonly versionWriter = integers();

  /** Of sends that say what they copy: the row, and the key and offset of the record. */
  readonly copyRow = integers();
  readonly copyKey = integers();
  readonly copyOffset = floats();

  get operations(): number {
    return this.functions.length;
  }

  get versions(): number {
    return this.versionKey.length;
  }

  f(op: number): OperationFunction {
    return FUNCTIONS[this.functions.at(op)] as OperationFunction;
  }

  outcome(op: number): Outcome {
    return OUTCOMES[this.outcomes.at(op)] as Outcome;
  }

  keyName(key: number): string {
    return at(this.keys, key);
  }

  /** Its rows are those from `firstRow.at(op)` to before this one. */
  endRow(op: number): number {
    return op + 1 < this.operations ? this.firstRow.at(op + 1) : this.rowKind.length;
  }

  client(op: number): ClientLine | undefined {
    return this.clients.get(this.process.at(op));
  }

  readsCommitted(op: number): boolean {
    return this.client(op)?.isolation !== 'read_uncommitted';
  }
}
