import type { Mono, Timestamp } from '#base/ports';
import type { JoinGroupResponse, SyncGroupResponse } from './group-commands.ts';

/** The moment of a decision: `mono` for sessions and rebalances, `wall` for commit timestamps and retention. */
export interface Instant {
  readonly mono: Mono;
  readonly wall: Timestamp;
}

/** A record of __consumer_offsets, in Kafka's format; a null value is a tombstone. Owned by whoever receives it. */
export interface CoordinatorRecord {
  readonly key: Uint8Array;
  readonly value: Uint8Array | null;
}

/** Names a parked request. Chosen by the caller, unique within the shard until its one reply. */
export type RequestToken = number;

export type Reply =
  | { readonly kind: 'join'; readonly token: RequestToken; readonly response: JoinGroupResponse }
  | { readonly kind: 'sync'; readonly token: RequestToken; readonly response: SyncGroupResponse };

/**
 * What a decision asks for. The caller, before it makes the next decision, appends `records` as one batch and replays
 * each of them into the shard; if the append is refused it calls `refused` instead. `replies` (and responses) may be
 * sent only when everything replayed so far is durable, these records included: a decision may rest on earlier records.
 */
export interface Effects {
  readonly records: readonly CoordinatorRecord[];
  readonly replies: readonly Reply[];
  /** Why a part of the decision failed, which asks for nothing then: to be logged. */
  readonly failure?: unknown;
}

/** Effects, and the answer to the request that caused them. */
export interface Outcome<Response> extends Effects {
  readonly response: Response;
}

/** Effects while they are gathered. */
export interface Output {
  readonly records: CoordinatorRecord[];
  readonly replies: Reply[];
  failure?: unknown;
}

export function output(): Output {
  return { records: [], replies: [] };
}

export function outcome<Response>(out: Output, response: Response): Outcome<Response> {
  return { ...out, response };
}

/**
 * A part of a decision that changes nothing before it is replayed. Should it throw, for a broken invariant or a value
 * that no record can hold, nothing comes of it but `failed`: whoever asked hears of it, and all others go on.
 */
export function contained<Response>(out: Output, decide: (out: Output) => Response, failed: () => Response): Response {
  const found = output();
  try {
    const response = decide(found);
    out.records.push(...found.records);
    out.replies.push(...found.replies);
    return response;
  } catch (error) {
    out.failure = error;
    return failed();
  }
}
