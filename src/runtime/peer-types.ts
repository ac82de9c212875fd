import type { Endpoint } from '#base/ports';
import type { NodeId, Uuid } from '#model/ids';

/** Who a node says it is, first on every connection. */
export interface PeerHello {
  /** Null until the node belongs to a cluster. */
  readonly clusterId: Uuid | null;
  readonly id: NodeId;
  /** Of its metadata directory. */
  readonly directoryId: Uuid;
  /** New at every start of the process. */
  readonly incarnation: Uuid;
  /** Where other nodes reach its peer listener. */
  readonly endpoint: Endpoint;
  readonly roles: readonly string[];
}

/** 'out': the connection that this node dialled, and sends over; 'in': the one by which the peer's messages and requests come. */
export type PeerDirection = 'in' | 'out';

/**
 * How a connection was lost. 'end', 'reset': the peer's own doing, or its kernel's at the death of its process. 'error': the network's.
 * The others are this node's: it heard nothing for too long, could send nothing for too long, was sent nonsense, was greeted by a newer
 * connection of the same node, or was asked to (`forget`).
 */
export type PeerLoss = 'end' | 'reset' | 'error' | 'silence' | 'stall' | 'nonsense' | 'replaced' | 'forgotten';

/** What comes up from the peers. Called in turns of the network and the clock only, never inside a call to PeerNetwork but `forget`. */
export interface PeerEvents {
  /** Both have said hello. Comes before any message of the connection. */
  connected(peer: PeerHello, direction: PeerDirection): void;
  /** Follows each `connected` once, but for those still open at `close`. `peer` is what the lost connection's hello said: its incarnation. */
  disconnected(peer: PeerHello, direction: PeerDirection, cause: PeerLoss): void;
  /** A one-way message, in the order sent as far as none was lost. The receiver owns the bytes. */
  message(from: PeerHello, bytes: Uint8Array): void;
}

/**
 * 'unreachable', 'busy', 'refused': nothing was done; 'busy': a queue here or there is full, 'refused': asking again will not help
 * (too large, no such operation, or what the handler says). 'disconnected', 'timeout': it was sent, and may have been done.
 */
export type PeerFailure = 'unreachable' | 'busy' | 'refused' | 'disconnected' | 'timeout';

export type PeerAnswer =
  | { readonly body: unknown; readonly failure?: never }
  | { readonly failure: PeerFailure; readonly reason: string };

/** A request of a peer. It is answered exactly once, with `answer` or `refuse`, now or later. */
export interface PeerRequest {
  readonly from: PeerHello;
  /** Plain data (see PeerData); the handler owns it, and checks its shape. */
  readonly body: unknown;
  answer(body: unknown): void;
  /** `reason` is a sentence for the peer's log. */
  refuse(reason: string): void;
  /** `run` is called when nobody waits for the answer any more, at once if that is so already; not after the answer. */
  whenGone(run: () => void): void;
}

export type PeerHandler = (request: PeerRequest) => void;

/** 'timeout', 'error': nothing is known. 'refused': nobody listens there. */
export type ProbeResult = { readonly hello: PeerHello } | 'refused' | 'timeout' | 'error';
