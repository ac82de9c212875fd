/** `quorum-state`: what a voter must never forget. A few lines of text with a checksum; replaced as a whole, never changed in place. */
import type { Disk } from '#base/ports';
import { isUuid, nodeId, type Uuid } from '#model/ids';
import type { ReplicaKey } from '#model/voter';
import { readWhole, replaceFile } from './raft-log-files.ts';
import type { Crc32c } from './raft-log-format.ts';

export interface HardState {
  /** Never goes back. */
  readonly epoch: number;
  /** Whom this voter gave its vote in `epoch`. */
  readonly votedFor: ReplicaKey | null;
}

export interface QuorumState extends HardState {
  /** The directory that this log lies in: a copy of it in another directory is refused. */
  readonly directoryId: Uuid;
}

export const QUORUM_STATE_FILE = 'quorum-state';
const FIRST_LINE = 'odradek-quorum-state 1';

export function formatQuorumState(state: QuorumState, crc32c: Crc32c): string {
  const { votedFor } = state;
  const lines = [
    FIRST_LINE,
    `directory ${state.directoryId}`,
    `epoch ${state.epoch}`,
    `voted-for ${votedFor === null ? 'none' : `${votedFor.id} ${votedFor.directoryId}`}`,
    '',
  ];
  const body = lines.join('\n');
  return `${body}crc32c ${hex(crc32c(Buffer.from(body)))}\n`;
}

const SHAPE =
  /^(odradek-quorum-state 1\ndirectory (\S{22})\nepoch (\d{1,10})\nvoted-for (?:none|(\d{1,10}) (\S{22}))\n)crc32c ([0-9a-f]{8})\n$/;

/** Or undefined, if this is not what `formatQuorumState` writes. */
export function parseQuorumState(text: string, crc32c: Crc32c): QuorumState | undefined {
  const match = SHAPE.exec(text);
  if (match === null) return undefined;
  const [, body = '', directoryId = '', epoch, voterId, voterDirectoryId = '', sum] = match;
  if (hex(crc32c(Buffer.from(body))) !== sum || !isUuid(directoryId)) return undefined;
  if (voterId === undefined) return { directoryId, epoch: Number(epoch), votedFor: null };
  if (!isUuid(voterDirectoryId)) return undefined;
  const votedFor = { id: nodeId(Number(voterId)), directoryId: voterDirectoryId };
  return { directoryId, epoch: Number(epoch), votedFor };
}

/** Undefined if there is no such file, 'corrupt' if its content is not what was written. */
export async function readQuorumState(
  disk: Disk,
  folder: string,
  crc32c: Crc32c,
): Promise<QuorumState | 'corrupt' | undefined> {
  const bytes = await readWhole(disk, `${folder}/${QUORUM_STATE_FILE}`);
  if (bytes === undefined) return undefined;
  return parseQuorumState(Buffer.from(bytes).toString('latin1'), crc32c) ?? 'corrupt';
}

/** Durable when it resolves. */
export function writeQuorumState(disk: Disk, folder: string, state: QuorumState, crc32c: Crc32c): Promise<void> {
  return replaceFile(disk, folder, QUORUM_STATE_FILE, [Buffer.from(formatQuorumState(state, crc32c))]);
}

function hex(sum: number): string {
  return sum.toString(16).padStart(8, '0');
}
