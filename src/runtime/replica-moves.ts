/** Replicas on their way from one data directory of this node to another (KIP-113). */
import type { Clock, Logger, Timer } from '#base/ports';
import { type Offset, offset, partitionName } from '#model/ids';
import { readBatchHeader } from '#protocol/record-batch';
import { replicatedBatches } from '#protocol/replicated-batches';
import type { LogDirectory } from '#storage/log-directory';
import type { LogStore } from '#storage/log-store';
import type { PartitionLog } from '#storage/partition-log';
import type { Partition } from './partition.ts';
import type { ReplicationThrottle } from './replication-throttle.ts';

export interface ReplicaMovesParts {
  readonly store: LogStore;
  readonly logger: Logger;
  readonly clock: Pick<Clock, 'timer'>;
  /** For all replicas that move; what is left when a replica stands still is copied at once. */
  readonly throttle: ReplicationThrottle;
  /**
   * Runs `replace` while nobody appends to the partition's log, which is given, and serves from what it resolves to; see PartitionTable.
   * False: not now.
   */
  replaceLog(partition: Partition, replace: (log: PartitionLog) => Promise<PartitionLog>): Promise<boolean>;
}

interface Move {
  readonly partition: Partition;
  readonly to: LogDirectory;
  /** The copy that an earlier run has left, until the move takes it. */
  left: PartitionLog | undefined;
  isCancelled: boolean;
}

/** In memory at a time, but for a single batch that is larger. */
const CHUNK_BYTES = 1024 * 1024;
/** From a try to take the replica's place to the next. */
const RETRY_MS = 20;
/** Until it is looked again whether a replica knows how far it is committed. */
const UNKNOWN_MS = 500;

/**
 * Moves one replica after the other. A copy grows in the other directory, batch by batch and checked, up to what is committed, while the
 * replica goes on; then the replica stands still for as long as the rest takes, and goes on with the copy. Whatever goes wrong before
 * leaves the replica where it is; after a restart the copy grows on, unless it is none of the log any more.
 */
export class ReplicaMoves {
  readonly #parts: ReplicaMovesParts;
  /** By partition name, at most one for each replica here; the first is under way. */
  readonly #moves = new Map<string, Move>();
  #isMoving = false;
  #isStopped = false;
  readonly #pause: Timer;
  #endPause: (() => void) | undefined;

  constructor(parts: ReplicaMovesParts) {
    this.#parts = parts;
    this.#pause = parts.clock.timer(() => this.#endPause?.());
  }

  /** In place of any other move of the replica that is not done. */
  begin(partition: Partition, to: LogDirectory): void {
    const name = partitionName(partition.topic, partition.index);
    const known = this.#moves.get(name);
    if (known?.partition === partition && known.to === to) return;
    this.cancel(partition);
    this.#begin(partition, to, undefined);
  }

  /** Goes on with the move that a restart has cut short, if there was one. */
  resume(partition: Partition, log: PartitionLog): void {
    const left = this.#parts.store.claimFuture(log);
    if (left !== undefined) this.#begin(partition, left.directory, left);
  }

  #begin(partition: Partition, to: LogDirectory, left: PartitionLog | undefined): void {
    const name = partitionName(partition.topic, partition.index);
    this.#moves.set(name, { partition, to, left, isCancelled: false });
    if (this.#isMoving) return;
    this.#isMoving = true;
    to.supervise('the moves of replicas', this.#moveAll());
  }

  /** The replica stays where it is. */
  cancel({ topic, index }: Partition): void {
    const name = partitionName(topic, index);
    const move = this.#moves.get(name);
    if (move === undefined) return;
    move.isCancelled = true;
    this.#moves.delete(name);
    const { left, to } = move;
    move.left = undefined;
    if (left !== undefined) to.supervise('the end of a move', this.#parts.store.dropFuture(left));
    this.#endPause?.();
  }

  /** The node stops: copies stay as they are, for the next start. */
  stop(): void {
    this.#isStopped = true;
    this.#endPause?.();
  }

  async #moveAll(): Promise<void> {
    try {
      for (let [first] = this.#moves; first !== undefined && !this.#isStopped; [first] = this.#moves) {
        const [name, move] = first;
        if (isTooEarly(move)) {
          // Others may go first.
          this.#moves.delete(name);
          this.#moves.set(name, move);
          await this.#wait(UNKNOWN_MS);
          continue;
        }
        const failure = await this.#move(move);
        if (this.#isStopped) return;
        if (this.#moves.get(name) === move) this.#moves.delete(name);
        const about = { partition: name, to: move.to.disk.path };
        if (failure === undefined) this.#parts.logger.info(about, 'a replica has moved to another data directory');
        else this.#parts.logger.warn({ ...about, reason: failure }, 'a replica stays in its data directory');
      }
    } finally {
      this.#isMoving = false;
    }
  }

  /** Why it has not moved. */
  async #move(move: Move): Promise<string | undefined> {
    const { store } = this.#parts;
    const { partition, to } = move;
    const { log } = partition;
    const { left } = move;
    move.left = undefined;
    if (log === undefined || move.isCancelled) {
      if (left !== undefined && !this.#isStopped) await store.dropFuture(left);
      return 'the replica is gone';
    }
    const copy = new Copy(log, this.#parts);
    let failure = left !== undefined && (await copy.resume(left)) ? undefined : await copy.begin(to);
    for (let isDone = false; !isDone && failure === undefined; ) {
      failure = await this.#catchUp(move, log, copy);
      if (failure !== undefined) break;
      let outcome: string | undefined = 'the replica is gone';
      isDone = await this.#parts.replaceLog(partition, async (present) => {
        outcome = move.isCancelled || present !== log ? 'the replica has begun anew' : await copy.complete();
        if (outcome !== undefined) return present;
        const made = await store.promote(present, copy.future);
        if (made === undefined) outcome = 'the other data directory does not take it';
        return made ?? present;
      });
      if (isDone) failure = outcome;
      else await new Promise<void>((resolve) => to.clock.timer(() => resolve()).arm(RETRY_MS));
    }
    if (failure !== undefined && !this.#isStopped) await copy.drop();
    return failure;
  }

  /** Copies what is committed. Why it failed. */
  async #catchUp(move: Move, log: PartitionLog, copy: Copy): Promise<string | undefined> {
    const { partition } = move;
    for (let end: Offset | undefined; end !== copy.end; ) {
      await this.#whenAllowed();
      if (this.#isStopped) return 'the node stops';
      if (move.isCancelled) return 'another directory was asked for';
      if (partition.log !== log) return 'the replica has begun anew, or is gone';
      end = copy.end;
      const failure = await copy.advance(partition.highWatermark);
      if (failure !== undefined) return failure;
    }
    return undefined;
  }

  /** Until the throttle lets more be copied, or a move is cancelled. */
  async #whenAllowed(): Promise<void> {
    const { delayMs } = this.#parts.throttle;
    if (delayMs > 0) await this.#wait(delayMs);
  }

  async #wait(delayMs: number): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#endPause = resolve;
      this.#pause.arm(delayMs);
    });
    this.#endPause = undefined;
    this.#pause.disarm();
  }
}

/**
 * After a start nobody knows how far a replica is committed before its leader does; until then all that its copy lacks would be copied
 * while it stands still.
 */
function isTooEarly({ partition: { log, highWatermark }, left }: Move): boolean {
  return log !== undefined && left !== undefined && highWatermark < Math.min(left.logEndOffset, log.logEndOffset);
}

/** A log and its copy. Methods resolve to why they failed; then the copy is of no use. */
class Copy {
  readonly #log: PartitionLog;
  readonly #parts: ReplicaMovesParts;
  #future: PartitionLog | undefined;
  /** The copy's directory has no room or has failed. */
  #isRefused = false;
  #wake: (() => void) | undefined;

  constructor(log: PartitionLog, parts: ReplicaMovesParts) {
    this.#log = log;
    this.#parts = parts;
  }

  get future(): PartitionLog {
    if (this.#future === undefined) throw new Error('the copy has begun');
    return this.#future;
  }

  get end(): Offset {
    return this.future.logEndOffset;
  }

  /** The copy begins with the batch that holds the log's start. */
  async begin(to: LogDirectory): Promise<string | undefined> {
    const { logStartOffset, logEndOffset } = this.#log;
    const first = await this.#read(logStartOffset, logEndOffset, 1);
    if (first === undefined && this.#log.logStartOffset > logStartOffset) return await this.begin(to);
    if (first === undefined) return 'its first batch cannot be read';
    const start = offset(Math.min(baseOffsetOf(first) ?? logStartOffset, logStartOffset));
    this.#future = await this.#parts.store.createFuture(this.#log, to, start);
    if (this.#future === undefined) return 'the other data directory does not take it';
    this.#listen(this.#future);
    return undefined;
  }

  /** Whether `left`, a copy that has grown before, is part of the log still; it is dropped if it is not. */
  async resume(left: PartitionLog): Promise<boolean> {
    this.#future = left;
    this.#listen(left);
    const { logStartOffset, logEndOffset } = this.#log;
    const meets = left.logEndOffset >= logStartOffset && left.logEndOffset <= logEndOffset;
    if (meets && !left.directory.isOffline && this.#isPrefix()) return true;
    await this.drop();
    this.#future = undefined;
    return false;
  }

  #listen(future: PartitionLog): void {
    const wake = (): void => this.#wake?.();
    const refuse = (): void => {
      this.#isRefused = true;
      wake();
    };
    const nothing = (): void => {};
    const moves = { written: nothing, durable: wake, rejected: refuse, startSaved: nothing, rewound: nothing };
    future.listener = { ...moves, failed: refuse };
  }

  /**
   * Copies some batches more, if there are any that end below `upTo`; durable when it resolves. A copy that ends below the log's start by
   * now begins anew there.
   */
  async advance(upTo: Offset): Promise<string | undefined> {
    const { future } = this;
    const log = this.#log;
    const from = offset(Math.max(future.logEndOffset, log.logStartOffset));
    const bytes = await this.#read(from, upTo, CHUNK_BYTES);
    if (log.logStartOffset > from) return await this.advance(upTo);
    if (bytes === undefined) return 'it cannot be read where the copy ends';
    if (bytes.length === 0 && from < log.logEndOffset) return undefined;
    if (from > future.logEndOffset && baseOffsetOf(bytes) !== future.logEndOffset) {
      await this.drop();
      return await this.begin(future.directory);
    }
    if (bytes.length === 0) return undefined;
    const epoch = this.#log.epochs.latest()?.epoch ?? 0;
    if (!this.#parts.store.isGrowing(future)) return 'the node stops';
    const batches = replicatedBatches(bytes, future.logEndOffset, epoch, future.directory.codecs);
    if (batches.kind === 'damaged') return batches.reason;
    if (batches.kind === 'straddling' || batches.headers.length === 0) return 'the copy ends within a batch';
    if (typeof future.appendReplicated(batches.bytes, batches.headers) === 'string') return 'there is no room';
    this.#parts.throttle.moved(batches.bytes.length);
    while (!this.#isRefused && future.durableOffset < future.logEndOffset)
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    return this.#isRefused ? 'there is no room' : undefined;
  }

  /** Nothing is appended to the log any more: the copy becomes all that it is. */
  async complete(): Promise<string | undefined> {
    const log = this.#log;
    if (!this.#isPrefix()) return 'it was cut below the end of the copy';
    while (this.end < log.logEndOffset) {
      const { end } = this;
      const failure = await this.advance(log.logEndOffset);
      if (failure !== undefined) return failure;
      if (this.end === end) return 'its end cannot be read';
    }
    this.future.deleteRecordsBefore(log.logStartOffset);
    return undefined;
  }

  async drop(): Promise<void> {
    if (this.#future !== undefined) await this.#parts.store.dropFuture(this.#future);
  }

  /** Two logs that have an epoch's offset in common have all before it in common. */
  #isPrefix(): boolean {
    const { epochs, logEndOffset } = this.future;
    const last = epochs.latest();
    if (last === undefined) return true;
    const end = this.#log.epochs.endOffsetFor(last.epoch, this.#log.logEndOffset);
    return end !== undefined && end.epoch === last.epoch && end.endOffset >= logEndOffset;
  }

  /** The caller's own copy of some whole batches; undefined if they cannot be read. */
  #read(from: Offset, upTo: Offset, maxBytes: number): Promise<Uint8Array | undefined> {
    return new Promise((resolve) => {
      this.#log.read(from, upTo, maxBytes, true, (result) => {
        if (typeof result === 'string') return resolve(undefined);
        const bytes = Buffer.concat(result.chunks);
        result.lease?.release();
        resolve(bytes);
      });
    });
  }
}

/** Of the first batch; undefined if there is none. */
function baseOffsetOf(bytes: Uint8Array): number | undefined {
  const header = readBatchHeader(bytes, 0);
  return typeof header === 'object' ? header.baseOffset : undefined;
}
