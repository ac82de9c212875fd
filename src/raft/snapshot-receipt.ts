import type { SnapshotChunk } from './messages.ts';
import type { LogPosition } from './raft-types.ts';
import type { Replica } from './replica.ts';

interface Incoming {
  readonly covers: LogPosition;
  /** The chunk that is to come next; those before it are written. */
  nextPosition: number;
  /** A chunk is being written; the last one, and the snapshot takes the place of the log. */
  writing: 'no' | 'chunk' | 'last';
}

/** What has come of a leader's snapshot. One at a time: another one takes its place. */
export class SnapshotReceipt {
  readonly #replica: Replica;
  #incoming: Incoming | undefined;

  constructor(replica: Replica) {
    this.#replica = replica;
  }

  /** The log is being replaced on disk: it takes no entries now. */
  get isInstalling(): boolean {
    return this.#incoming?.writing === 'last';
  }

  get covers(): LogPosition | undefined {
    return this.#incoming?.covers;
  }

  get nextPosition(): number {
    return this.#incoming?.nextPosition ?? 0;
  }

  /** Whether the leader is to be told at once where this stands; else it is told when the chunk is written. */
  received(chunk: SnapshotChunk): boolean {
    const covers = { index: chunk.index, epoch: chunk.indexEpoch };
    if (this.#incoming?.writing === 'last') return false;
    const isSame = this.#incoming?.covers.index === covers.index && this.#incoming.covers.epoch === covers.epoch;
    if (!isSame) {
      // A chunk of another one may still be on its way to the disk: its answer must not be taken for one of this.
      if (this.#incoming?.writing === 'chunk') return false;
      this.#incoming = { covers, nextPosition: 0, writing: 'no' };
    }
    const incoming = this.#incoming;
    if (incoming === undefined || incoming.writing !== 'no') return false;
    if (chunk.position === 0) incoming.nextPosition = 0;
    if (chunk.position !== incoming.nextPosition) return true;
    incoming.writing = chunk.last ? 'last' : 'chunk';
    const { position, payload, last } = chunk;
    this.#replica.outbox.storeSnapshot.push({ ...covers, position, payload, last });
    return false;
  }

  /** Whether it was the chunk that was being written. */
  stored(position: number): boolean {
    const incoming = this.#incoming;
    if (incoming?.writing !== 'chunk' || incoming.nextPosition !== position) return false;
    incoming.writing = 'no';
    incoming.nextPosition += 1;
    return true;
  }

  /** Installed, failed, or superfluous because the log itself has come so far. */
  forget(): void {
    this.#incoming = undefined;
  }
}
