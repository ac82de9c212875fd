/** Nodes and disks that say what they are told to say. */
import { expect } from 'vitest';
import { MetadataImage } from '#metadata/image';
import { RecordCodec } from '#metadata/record-codec';
import type { MetadataRecord } from '#metadata/records';
import { nodeId, type Uuid } from '#model/ids';
import type { ReplicaKey, Voter } from '#model/voter';
import type { DurableLog, Witness } from '#sim/checkers/raft-checker';
import { Violation } from '#sim/checkers/violation';
import type { NodeView, ViewHardState, ViewRole } from '#sim/node-view';

export const crc32c = (bytes: Uint8Array): number => bytes.reduce((sum, byte) => (sum * 31 + byte) >>> 0, 7);

/** Twenty-two characters of base64, of which the last stands for two bits. */
export const uuid = (name: string): Uuid => `${name.padEnd(21, '_')}A` as Uuid;

export function replica(id: number, disk = 'A'): Voter {
  return { id: nodeId(id), directoryId: uuid(`disk-${disk}-of-node-${id}`), host: `n${id}`, port: 9093 };
}

const codec = new RecordCodec();
export const encoded = (...records: MetadataRecord[]): Uint8Array => codec.encode(records).slice();

/** Its payload says what it is by default. */
interface FakeEntry {
  readonly epoch: number;
  readonly payload: Uint8Array;
}

export function entry(epoch: number, content = `of epoch ${epoch}`): FakeEntry {
  return { epoch, payload: Buffer.from(content) };
}

export class FakeView implements NodeView {
  version = 0;
  role: ViewRole = 'follower';
  epoch = 1;
  leaderId: number | undefined;
  isActive = false;
  hardState: ViewHardState = { epoch: 1, votedFor: null };
  voters: readonly Voter[] = [replica(1), replica(2), replica(3)];
  votersIndex = 1;
  snapshotIndex = 0;
  snapshotEpoch = 0;
  durableIndex = 0;
  commitIndex = 0;
  appliedIndex = 0;
  image = new MetadataImage();
  entries: FakeEntry[] = [];
  readonly self: ReplicaKey;

  constructor(id: number) {
    this.self = replica(id);
  }

  get lastIndex(): number {
    return this.snapshotIndex + this.entries.length;
  }

  epochAt(index: number): number | undefined {
    return index === this.snapshotIndex ? this.snapshotEpoch : this.entries[index - this.snapshotIndex - 1]?.epoch;
  }

  payloadAt(index: number): Uint8Array | undefined {
    return this.entries[index - this.snapshotIndex - 1]?.payload;
  }
}

/** The disk holds whatever its node has in its log, until it is told otherwise. */
export class FakeDisk implements DurableLog {
  hardState: ViewHardState | undefined;
  /** Entries above are not on it. */
  until = Number.POSITIVE_INFINITY;
  readonly #view: FakeView;

  constructor(view: FakeView) {
    this.#view = view;
  }

  get lastIndex(): number {
    return Math.min(this.until, this.#view.lastIndex);
  }

  holds(index: number, epoch: number): boolean {
    return index <= this.#view.snapshotIndex || (index <= this.until && this.#view.epochAt(index) === epoch);
  }
}

export interface FakeNode extends Witness {
  readonly view: FakeView;
  readonly disk: FakeDisk;
}

export function fakeNode(id: number): FakeNode {
  const view = new FakeView(id);
  return { name: `n${id}`, view, disk: new FakeDisk(view) };
}

/** The rule that it breaks, which must be one. */
export function ruleBrokenBy(act: () => void): string {
  let broken: unknown;
  try {
    act();
  } catch (error) {
    broken = error;
  }
  expect(broken).toBeInstanceOf(Violation);
  return (broken as Violation).rule;
}
