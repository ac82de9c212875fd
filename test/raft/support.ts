import type { Random } from '#base/ports';
import { nodeId, type Uuid, uuidFromBytes } from '#model/ids';
import type { ReplicaKey, Voter } from '#model/voter';
import type { RaftEntry } from '#raft/messages';

export const ELECTION_TIMEOUT_MS = 1000;
export const HEARTBEAT_MS = 100;
export const LEADER_PAYLOAD = 'leads';

/** mulberry32. */
export function seededRandom(seed: number): Random {
  let state = seed >>> 0;
  return {
    uint32() {
      state = (state + 0x6d2b79f5) >>> 0;
      let t = Math.imul(state ^ (state >>> 15), state | 1);
      t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
      return (t ^ (t >>> 14)) >>> 0;
    },
    fork() {
      return seededRandom(this.uint32());
    },
    secret(into) {
      into.fill(7);
    },
  };
}

/** `disk` counts how often the node's disk has been wiped. */
export function directoryOf(id: number, disk = 0): Uuid {
  const bytes = new Uint8Array(16);
  bytes[0] = id;
  bytes[1] = disk;
  return uuidFromBytes(bytes);
}

export function voterOf(id: number, disk = 0): Voter {
  return { id: nodeId(id), directoryId: directoryOf(id, disk), host: `n${id}`, port: 9093 };
}

export function keyOf(id: number, disk = 0): ReplicaKey {
  return { id: nodeId(id), directoryId: directoryOf(id, disk) };
}

/** `2`, or `2b` for the second disk of node 2, `2c` for its third. */
export function nameOf({ id, directoryId }: ReplicaKey): string {
  const disk = Buffer.from(directoryId, 'base64url')[1] ?? 0;
  return disk === 0 ? `${id}` : `${id}${String.fromCharCode(97 + disk)}`;
}

function voterNamed(name: string): Voter {
  const [, id = '0', disk] = /^(\d+)([a-z]?)$/.exec(name) ?? [];
  return voterOf(Number(id), disk === undefined || disk === '' ? 0 : disk.charCodeAt(0) - 97);
}

/** The payload of a change of voters: `voters 1,2,3b`. */
export function votersPayload(voters: readonly ReplicaKey[]): string {
  return `voters ${voters.map(nameOf).join(',')}`;
}

export function votersInText(text: string): readonly Voter[] | undefined {
  return text.startsWith('voters ') ? text.slice(7).split(',').map(voterNamed) : undefined;
}

export function votersIn(payload: Uint8Array): readonly Voter[] | undefined {
  return payload[0] === 118 ? votersInText(textOf(payload)) : undefined;
}

export function bytesOf(text: string): Uint8Array {
  return new Uint8Array(Buffer.from(text));
}

export function textOf(payload: Uint8Array): string {
  return Buffer.from(payload.buffer, payload.byteOffset, payload.length).toString();
}

export function entryOf(index: number, epoch: number, text: string): RaftEntry {
  return { index, epoch, payload: bytesOf(text) };
}
