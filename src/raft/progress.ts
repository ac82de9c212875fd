import { Fifo } from '#base/fifo';
import type { Mono } from '#base/ports';
import type { ReplicaKey } from '#model/voter';
import type { LogView } from './log-view.ts';
import type { AppendResponse, PeerAddress, RaftEntry, SnapshotResponse } from './messages.ts';
import type { LogPosition } from './raft-types.ts';

/** Of entries on their way to one replica's disk, which it holds in memory until then: payloads, and a little for each message. */
const IN_FLIGHT_BYTES_MAX = 1024 * 1024;
/** Of the entries in one message; one larger entry goes alone. */
const MESSAGE_BYTES_MAX = 256 * 1024;
const MESSAGE_OVERHEAD_BYTES = 256;

interface InFlight {
  readonly lastIndex: number;
  readonly bytes: number;
}

interface SnapshotSending {
  /** Of the snapshot being read, known from its first chunk on. */
  covers: LogPosition | undefined;
  position: number;
  /** 'wanted': to be asked of the driver. 'reading': the driver answers. 'sent': the replica answers. 'failed': to be tried again. */
  phase: 'wanted' | 'reading' | 'sent' | 'failed';
  since: Mono;
}

/**
 * What a leader knows of one replica, and how it goes on there. 'probe': it is not known where the logs part; one message at a time
 * finds out. 'replicate': messages follow each other without waiting, within a bound of bytes. 'snapshot': what it needs is not in
 * memory any more.
 */
export class Progress {
  readonly key: ReplicaKey;
  address: PeerAddress;
  wantsVote = false;
  /** When the last message that it answered was sent. */
  contactAt: Mono;
  caughtUpAt: Mono | undefined;
  /** The last round of heartbeats that it answered. */
  ackedRound = 0;
  #state: 'probe' | 'replicate' | 'snapshot' = 'probe';
  /** The first entry to send next. */
  #next: number;
  /** Received, as it says; it may lose what is not durable. */
  #match = 0;
  #durable = 0;
  readonly #inFlight = new Fifo<InFlight>();
  #inFlightBytes = 0;
  #probed = false;
  /** The leader's, as last sent. */
  #toldCommitIndex = 0;
  #sending: SnapshotSending | undefined;

  constructor(key: ReplicaKey, address: PeerAddress, next: number, now: Mono) {
    this.key = key;
    this.address = address;
    this.#next = next;
    this.contactAt = now;
  }

  /** Everything up to it is on its disk. */
  get durable(): number {
    return this.#durable;
  }

  get match(): number {
    return this.#match;
  }

  get sending(): SnapshotSending | undefined {
    return this.#sending;
  }

  /**
   * What is to be sent now: the entries that follow `after`; undefined for nothing more. Without entries only to probe or to tell of a
   * new commit index. May turn to the snapshot.
   */
  nextAppend(log: LogView, commitIndex: number): { after: LogPosition; entries: readonly RaftEntry[] } | undefined {
    const after = this.#after(log);
    if (after === undefined || (this.#state === 'probe' ? this.#probed : this.#inFlightBytes >= IN_FLIGHT_BYTES_MAX))
      return undefined;
    const entries = log.slice(this.#next, MESSAGE_BYTES_MAX);
    if (entries.length === 0 && this.#state === 'replicate' && this.#toldCommitIndex >= commitIndex) return undefined;
    this.#toldCommitIndex = commitIndex;
    if (this.#state === 'probe') this.#probed = true;
    else if (entries.length > 0) this.#sent(entries);
    return { after, entries };
  }

  /** A heartbeat looks whether the last entry sent has arrived. In a snapshot it says nothing of the log. */
  heartbeatAfter(log: LogView, commitIndex: number): LogPosition {
    const after = this.#after(log);
    if (after === undefined) return { index: 0, epoch: 0 };
    this.#toldCommitIndex = commitIndex;
    return after;
  }

  answered(response: AppendResponse, log: LogView): void {
    if (response.success) this.#succeeded(response);
    else this.#refused(response, log);
  }

  /** What was on its way is lost, perhaps. */
  disconnected(): void {
    this.#inFlight.drain();
    this.#inFlightBytes = 0;
    this.#toldCommitIndex = 0;
    if (this.#state === 'replicate') {
      this.#state = 'probe';
      this.#next = this.#match + 1;
    }
    this.#probed = false;
    if (this.#sending?.phase === 'sent') this.#sending.phase = 'wanted';
  }

  /** Asks again for what has not been answered for so long. */
  retrySnapshot(now: Mono, patienceMs: number): void {
    const sending = this.#sending;
    if (sending === undefined || sending.phase === 'reading' || now - sending.since < patienceMs) return;
    sending.phase = 'wanted';
  }

  /** Whether the chunk goes out; one read for an earlier state of affairs does not. */
  chunkRead(chunk: (LogPosition & { readonly position: number }) | undefined, now: Mono): boolean {
    const sending = this.#sending;
    if (sending?.phase !== 'reading') return false;
    sending.since = now;
    if (chunk === undefined) {
      sending.position = 0;
      sending.phase = 'failed';
      return false;
    }
    if (chunk.position !== sending.position) return false;
    if (chunk.position === 0) sending.covers = { index: chunk.index, epoch: chunk.epoch };
    sending.phase = 'sent';
    return true;
  }

  snapshotAnswered(response: SnapshotResponse, log: LogView): void {
    const sending = this.#sending;
    if (sending?.covers === undefined || response.index !== sending.covers.index) return;
    if (response.installed) {
      this.#match = Math.max(this.#match, response.index);
      this.#durable = Math.max(this.#durable, response.index);
      this.#next = this.#match + 1;
      this.#sending = undefined;
      this.#state = this.#match >= log.baseIndex ? 'replicate' : 'probe';
      this.#probed = false;
      return;
    }
    const next = response.nextPosition;
    if (sending.phase !== 'sent' || next > sending.position + 1 || next === sending.position) return;
    sending.position = next;
    sending.phase = 'wanted';
  }

  /** Where the next message begins; undefined, and the snapshot begins, if that is not in memory any more. */
  #after(log: LogView): LogPosition | undefined {
    if (this.#state === 'snapshot') return undefined;
    const index = this.#next - 1;
    const epoch = log.epochAt(index);
    if (epoch !== undefined) return { index, epoch };
    this.#state = 'snapshot';
    this.#inFlight.drain();
    this.#inFlightBytes = 0;
    this.#sending = { covers: undefined, position: 0, phase: 'wanted', since: Number.NEGATIVE_INFINITY };
    return undefined;
  }

  #sent(entries: readonly RaftEntry[]): void {
    const bytes = entries.reduce((sum, { payload }) => sum + payload.length, MESSAGE_OVERHEAD_BYTES);
    this.#next += entries.length;
    this.#inFlight.push({ lastIndex: this.#next - 1, bytes });
    this.#inFlightBytes += bytes;
  }

  #succeeded({ lastIndex, durableIndex }: AppendResponse): void {
    this.#match = Math.max(this.#match, lastIndex);
    this.#durable = Math.max(this.#durable, durableIndex);
    while ((this.#inFlight.peek()?.lastIndex ?? Number.POSITIVE_INFINITY) <= this.#durable)
      this.#inFlightBytes -= this.#inFlight.shift().bytes;
    if (this.#state === 'snapshot') return;
    this.#next = this.#state === 'probe' ? this.#match + 1 : Math.max(this.#next, this.#match + 1);
    this.#state = 'replicate';
  }

  #refused({ prevIndex, lastIndex, lastEpoch }: AppendResponse, log: LogView): void {
    // An answer to an earlier question: what is durable there has been found to fit since, and a probe asks one thing at a time.
    if (prevIndex <= this.#durable || this.#state === 'snapshot') return;
    if (this.#state === 'probe' && prevIndex !== this.#next - 1) return;
    this.#state = 'probe';
    this.#probed = false;
    this.#inFlight.drain();
    this.#inFlightBytes = 0;
    this.#next = Math.max(this.#durable, Math.min(prevIndex - 1, partingIndex(log, lastIndex, lastEpoch))) + 1;
    this.#match = Math.min(this.#match, this.#next - 1);
  }
}

/**
 * The last entry that may be the same in a log that has one of `epoch` at `index`: those of later epochs here cannot be there (§5.3).
 * Where that is older than what is in memory, the snapshot serves.
 */
export function partingIndex(log: LogView, index: number, epoch: number): number {
  return index < log.baseIndex ? index : log.lastIndexWithin(index, epoch);
}
