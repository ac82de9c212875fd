import type { NodeId, Uuid } from './ids.ts';

/** A node with its metadata directory: whoever comes back with a wiped disk is another replica (KIP-853). */
export interface ReplicaKey {
  readonly id: NodeId;
  readonly directoryId: Uuid;
}

export interface Voter extends ReplicaKey {
  /** Its peer listener. */
  readonly host: string;
  readonly port: number;
}

export function isSameReplica(a: ReplicaKey, b: ReplicaKey): boolean {
  return a.id === b.id && a.directoryId === b.directoryId;
}
