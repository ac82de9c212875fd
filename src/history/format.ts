/**
 * The history of a trial: JSON lines, written as things happen, by the simulator as on a real cluster.
 * Times are milliseconds, with fractions, of one monotonic clock of the recorder; lines are in the order of their times.
 */

export const VERSION = 1;

/** A topic-partition, as `topic-0`. */
export type Key = string;

/** The first line. */
export interface HeaderLine {
  readonly type: 'history';
  readonly version: typeof VERSION;
  /** What was recorded, for whoever reads the verdict. */
  readonly name: string;
}

/** What a client was promised depends on how it was configured; it is said before its first operation. */
export interface ClientLine {
  readonly t: number;
  readonly type: 'client';
  readonly p: number;
  /** Where it runs, for whoever reads. */
  readonly host?: string;
  /** Of every client that sends. */
  readonly acks?: 0 | 1 | 'all';
  /** Of every client that sends: whether a retry is recognised by the broker. */
  readonly idempotent?: boolean;
  /** Of every client that polls. */
  readonly isolation?: 'read_committed' | 'read_uncommitted';
  readonly group?: string;
  /** Of a member of a group: the protocol by which it joins. */
  readonly protocol?: 'classic' | 'consumer';
  /** Of a static member: whoever has the same name is the same member. */
  readonly instance?: string;
  /** Of a member that begins with the first record of a partition for which nothing is committed. */
  readonly reset?: 'earliest';
  /** Of a member that is told of every rebalance before it is given any record after it. */
  readonly ordered?: true;
  /** Its operations are said to begin as early as they can have begun, not when they did. */
  readonly early?: true;
  /** It reads everything in the end: each partition from where it is assigned to its end, when nobody writes any more. */
  readonly final?: true;
  /** The process that this one goes on for, with the same client, after an outcome that is not known. */
  readonly after?: number;
}

export const FUNCTIONS = ['send', 'poll', 'txn', 'commit', 'committed', 'assign', 'subscribe', 'crash'] as const;
export type OperationFunction = (typeof FUNCTIONS)[number];

export const OUTCOMES = ['ok', 'fail', 'info'] as const;
/** `fail`: it has not happened and never will; `info`: it may have happened, or may yet. */
export type Outcome = (typeof OUTCOMES)[number];

/** Value by value; a value is unique in its key. The offset is told by the broker, in the completion. */
export type Send = readonly ['send', key: Key, value: number, offset?: number];
/** A send that says which record it copies. */
export type Copy = readonly ['copy', key: Key, value: number, from: Key, fromOffset: number, offset?: number];
/** For each key offset, value, offset, value, … in the order of delivery. */
export type Poll = readonly ['poll', records?: Readonly<Record<Key, readonly number[]>>];
/** The offset of the next record to be read, as committed for the client's group. */
export type Commit = readonly ['commit', key: Key, offset: number];
/** Asks what the client's group has committed; null is nothing. Pending offsets of transactions are waited for. */
export type Committed = readonly ['committed', key: Key, offset?: number | null];
/** From where on; null is wherever the client begins by itself. */
export type Assign = readonly ['assign', key: Key, offset: number | null];
export type Subscribe = readonly ['subscribe', topic: string];
export type MicroOperation = Send | Copy | Poll | Commit | Committed | Assign | Subscribe;

/** What is known when it begins; who copies has polled by then, and says what. */
export interface InvocationLine {
  readonly t: number;
  readonly type: 'invoke';
  readonly p: number;
  readonly f: OperationFunction;
  readonly ops: readonly MicroOperation[];
  /** With commits: the generation (the member epoch) in which they are sent. */
  readonly generation?: number;
}

/**
 * Without `ops` they are those of the invocation. In an `info` outside of a transaction a send with an offset is acknowledged, and one
 * without is not known.
 */
export interface CompletionLine {
  readonly t: number;
  readonly type: Outcome;
  readonly p: number;
  readonly ops?: readonly MicroOperation[];
  /** Why, for whoever reads it. */
  readonly error?: string;
}

/** A member's partitions change; what it was not told to give up it keeps. */
export interface RebalanceLine {
  readonly t: number;
  readonly type: 'rebalance';
  readonly p: number;
  /** If the client tells it. */
  readonly generation?: number;
  /** With the offset from which it will read, if it is known. */
  readonly assigned?: Readonly<Record<Key, number | null>>;
  readonly revoked?: readonly Key[];
}

/** A fault begins or ends. */
export interface FaultLine {
  readonly t: number;
  readonly type: 'fault';
  readonly name: string;
  readonly target: string;
  readonly phase: 'begin' | 'end';
}

/** Every record of one topic is to be copied to another exactly once, by transactions that commit the offsets of a group. */
export interface CopyLine {
  readonly t: number;
  readonly type: 'copy';
  readonly from: string;
  readonly to: string;
  readonly group: string;
}

export type HistoryLine =
  | HeaderLine
  | ClientLine
  | InvocationLine
  | CompletionLine
  | RebalanceLine
  | FaultLine
  | CopyLine;

/** The history cannot be what a recorder wrote. */
export class HistoryError extends Error {
  override readonly name = 'HistoryError';
  readonly code = 'ERR_HISTORY';
}

export function topicOf(key: Key): string {
  return key.slice(0, key.lastIndexOf('-'));
}
