import type { Deadline, Deadlines } from '#base/deadlines';
import type { Clock, Codecs, Logger, Mono } from '#base/ports';
import type { CoordinatorRecord, Instant } from '#coordinator/effects';
import { coordinatorError } from '#coordinator/failures';
import type { Verification } from '#log/verifications';
import { ErrorCode, errorName } from '#model/errors';
import { type Offset, offset } from '#model/ids';
import { coordinatorBatches } from './coordinator-batches.ts';
import { CoordinatorLoader, type LoadedShard, type LoadFailure } from './coordinator-loader.ts';
import { LastRecords } from './last-records.ts';
import type { AppendOutcome, Partition } from './partition.ts';

/** What every decision gives, whatever else it wants. */
interface Decided {
  readonly records: readonly CoordinatorRecord[];
  /** Why a part of it failed, which asks for nothing. */
  readonly failure?: unknown;
}

/** A state machine over one partition of a coordinator's topic: GroupShard tells its life. */
export interface CoordinatorShard<Effects extends Decided> extends LoadedShard {
  loaded(now: Instant): Effects;
  /** When `tick` has something to do; Infinity if never. */
  nextDeadline(): Mono;
  tick(now: Instant, lateMs: number): Effects;
  /** The append was refused and none of it was replayed: what is to be done instead. */
  refused(effects: Effects, appendError: ErrorCode, now: Instant): Effects;
}

/** A transaction that records are part of: it has begun in the partition, or goes with what confirms it. */
export interface WithinTransaction {
  readonly producerId: number;
  readonly producerEpoch: number;
  readonly verification: Verification | 'waived' | undefined;
}

/** Sends an answer, or what stands in for it: the partition's error. Called once. */
export type Send = (error: ErrorCode) => void;

/** What a kind of coordinator adds to the driver. */
export interface CoordinatorKind<Shard, Effects> {
  /** What it coordinates, for log lines: 'groups'. */
  readonly what: string;
  newShard(): Shard;
  /** What the effects send when they are durable; asked once. */
  sends(effects: Effects): Send[];
  /** What else is done then, however late that is, as long as the shard is served; undefined: nothing. */
  follows?(effects: Effects): (() => void) | undefined;
  /** The shard is served from now on. */
  loaded(): void;
  /** The shard is not used again: what waits in it is answered with the error. */
  resigned(shard: Shard, error: ErrorCode): void;
}

export interface DriverWorld {
  readonly clock: Clock;
  readonly codecs: Codecs;
  readonly logger: Logger;
  readonly deadlines: Deadlines;
  /** How long an answer waits for durability. */
  commitTimeoutMs(): number;
  /** max.message.bytes of the partition's topic. */
  batchBytesMax(): number;
  /** The partition's log is damaged: if another replica can lead, it should. Told again as long as the partition is here. */
  damaged(reason: string): void;
}

/** How often it is looked whether enough replicas are in sync again. */
const UNDER_MIN_ISR_RETRY_MS = 200;

/** Between attempts to load a log that cannot be read: at first, and at most; each pause is twice the one before. */
const LOAD_RETRY_MS = 200;
const LOAD_RETRY_MS_MAX = 30_000;

/** 'failed': there is no log; nothing is served until the partition is opened again. */
type State = 'loading' | 'serving' | 'failed' | 'closed';

/**
 * Carries out what the shard of one partition decides: appends and replays its records, and sends each answer once all that was replayed
 * before it is durable, or of what is only read, all that it rests on. So nobody ever sees what a crash takes back.
 */
export class CoordinatorDriver<Shard extends CoordinatorShard<Effects>, Effects extends Decided> {
  readonly #partition: Partition;
  readonly #world: DriverWorld;
  readonly #kind: CoordinatorKind<Shard, Effects>;
  #state: State = 'loading';
  #shard: Shard;
  #loader: CoordinatorLoader | undefined;
  #loadRetryMs = LOAD_RETRY_MS;
  /** Why the last attempt to load failed, if it did. */
  #loadFailure: LoadFailure | undefined;
  /** The last record that the shard has seen. */
  #last: Offset | undefined;
  #lastOfKeys = new LastRecords(undefined);
  #wake: Deadline | undefined;

  /** Nothing happens before `open`. */
  constructor(partition: Partition, world: DriverWorld, kind: CoordinatorKind<Shard, Effects>) {
    this.#partition = partition;
    this.#world = world;
    this.#kind = kind;
    this.#shard = kind.newShard();
  }

  open(): void {
    this.#load();
  }

  /** The partition goes away; what waits for its log is answered by the partition. */
  close(): void {
    this.#resign('closed', ErrorCode.NotCoordinator);
  }

  /** What a request is told instead of an answer; None while the shard is served. */
  get error(): ErrorCode {
    if (this.#state === 'loading') return ErrorCode.CoordinatorLoadInProgress;
    return this.#state === 'serving' && this.#partition.log !== undefined ? ErrorCode.None : ErrorCode.NotCoordinator;
  }

  /** To be asked and looked at only while there is no error. */
  get shard(): Shard {
    return this.#shard;
  }

  /** Resolves with the shard's answer once it is committed, else with what `failed` makes of the error. */
  ask<Response>(
    decide: (shard: Shard, now: Instant) => Effects & { readonly response: Response },
    failed: (error: ErrorCode) => Response,
    transaction?: WithinTransaction,
  ): Promise<Response> {
    return new Promise((resolve) => {
      if (this.error !== ErrorCode.None) return resolve(failed(this.error));
      const outcome = decide(this.#shard, this.#now());
      const answer = (error: ErrorCode): void =>
        resolve(error === ErrorCode.None ? outcome.response : failed(coordinatorError(error)));
      this.#carryOut(outcome, answer, transaction);
    });
  }

  /** `append` writes the marker that ends a transaction; it is replayed, and told when it is committed. Only while there is no error. */
  endTransaction(producerId: number, aborted: boolean, append: () => AppendOutcome): Promise<ErrorCode> {
    const appended = append();
    if (appended.error !== ErrorCode.None) return Promise.resolve(appended.error);
    this.#written(this.#shard.replayMarker?.(producerId, aborted) ?? [], appended.lastOffset);
    this.#arm();
    return new Promise((resolve) => this.#sendOnce(this.#shard, appended.lastOffset, [resolve]));
  }

  /** As `ask`, of what changes nothing, and rests on the records of these keys alone; undefined: on all. */
  read<Response>(
    answer: (shard: Shard, now: Instant) => Response,
    failed: (error: ErrorCode) => Response,
    keys?: readonly string[],
  ): Promise<Response> {
    return new Promise((resolve) => {
      if (this.error !== ErrorCode.None) return resolve(failed(this.error));
      const response = answer(this.#shard, this.#now());
      const last = keys === undefined ? this.#last : this.#lastOfKeys.of(keys);
      const send = (error: ErrorCode): void =>
        resolve(error === ErrorCode.None ? response : failed(coordinatorError(error)));
      this.#sendOnce(this.#shard, last, [send]);
    });
  }

  /** For answers that need not be durable. */
  readNow<Response>(
    answer: (shard: Shard, now: Instant) => Response,
    failed: (error: ErrorCode) => Response,
  ): Response {
    if (this.error !== ErrorCode.None) return failed(this.error);
    const response = answer(this.#shard, this.#now());
    this.#arm();
    return response;
  }

  /** A decision whose answers are among its effects. Only while there is no error. */
  run(decide: (shard: Shard, now: Instant) => Effects): void {
    this.#carryOut(decide(this.#shard, this.#now()));
  }

  #load(): void {
    const { log } = this.#partition;
    if (log === undefined) {
      this.#state = 'failed';
      return;
    }
    const loader = new CoordinatorLoader(log, this.#shard, this.#world, (result) => {
      this.#loader = undefined;
      switch (result) {
        case 'loaded':
          this.#loaded(loader.end);
          return;
        case 'moved':
          this.#loadAgain();
          return;
        default:
          this.#loadLater(result);
      }
    });
    this.#loader = loader;
    loader.start();
  }

  #loaded(end: Offset): void {
    this.#state = 'serving';
    this.#loadRetryMs = LOAD_RETRY_MS;
    this.#loadFailure = undefined;
    this.#last = end === 0 ? undefined : offset(end - 1);
    this.#lastOfKeys = new LastRecords(this.#last);
    if (this.#last !== undefined) this.#watchFor(this.#shard, this.#last);
    this.#carryOut(this.#shard.loaded(this.#now()));
    this.#kind.loaded();
  }

  /** In a turn of its own: whoever reports a loss has not finished it yet. */
  #loadAgain(): void {
    this.#state = 'loading';
    this.#shard = this.#kind.newShard();
    this.#last = undefined;
    const shard = this.#shard;
    this.#world.clock.defer(() => {
      if (this.#shard === shard && this.#state === 'loading') this.#load();
    });
  }

  /** Clients wait meanwhile: no other node serves them as long as this one leads. A read that failed need not fail again. */
  #loadLater(failure: LoadFailure): void {
    const { topic, index } = this.#partition;
    const { reason, offset: at } = failure;
    if (reason !== this.#loadFailure?.reason || at !== this.#loadFailure.offset) {
      this.#world.logger.error(
        { topic, partition: index, offset: at, reason },
        `${this.#kind.what} cannot be loaded: their partition is not served, and the log is read again from time to time`,
      );
    }
    this.#loadFailure = failure;
    this.#wake = this.#world.deadlines.after(this.#loadRetryMs, () => {
      this.#wake = undefined;
      this.#loadAgain();
    });
    if (failure.isDamage) this.#world.damaged(`${reason} at offset ${at}`);
    this.#loadRetryMs = Math.min(2 * this.#loadRetryMs, LOAD_RETRY_MS_MAX);
  }

  /** `answer` is told when the response of these effects may be sent, or why it must not. */
  #carryOut(effects: Effects, answer?: Send, transaction?: WithinTransaction): void {
    const { failure } = effects;
    if (failure !== undefined) {
      const { topic, index } = this.#partition;
      const error = failure instanceof Error ? failure.stack : failure;
      this.#world.logger.error({ topic, partition: index, error }, `a decision about ${this.#kind.what} failed`);
    }
    const appendError = this.#append(effects.records, transaction);
    if (appendError === ErrorCode.None) {
      this.#settle(effects, answer);
    } else {
      answer?.(appendError);
      const instead = this.#shard.refused(effects, appendError, this.#now());
      const again = this.#append(instead.records);
      this.#settle(instead, undefined);
      // What stands in for refused records is refused as well: only the log knows the state now.
      if (again !== ErrorCode.None) this.#lost(this.#shard, again);
    }
    this.#arm();
  }

  /** Appends the records as one write and replays them. */
  #append(records: readonly CoordinatorRecord[], transaction?: WithinTransaction): ErrorCode {
    if (records.length === 0) return ErrorCode.None;
    const { clock, codecs } = this.#world;
    const producer = transaction && {
      producerId: transaction.producerId,
      producerEpoch: transaction.producerEpoch,
    };
    const writtenAt = clock.wall();
    const batches = coordinatorBatches(records, writtenAt, this.#world.batchBytesMax(), codecs, producer);
    if (batches === 'too-large') return ErrorCode.RecordListTooLarge;
    if (this.#partition.leadership?.isUnderMinIsr === true) return ErrorCode.NotEnoughReplicas;
    const appended = this.#partition.append(batches.bytes, batches.headers, transaction?.verification);
    if (appended.error !== ErrorCode.None) return appended.error;
    const keys = records.map((record) => this.#shard.replay(record, writtenAt, transaction?.producerId));
    this.#written(keys, appended.lastOffset);
    return ErrorCode.None;
  }

  /** The shard has seen records of these keys, which are in the log up to `last`. */
  #written(keys: readonly (string | undefined)[], last: Offset): void {
    this.#lastOfKeys.written(keys, last, this.#partition.highWatermark);
    this.#last = last;
  }

  /** Sends what the effects send when all that the shard has seen is durable; if it never will be, the shard begins anew from the log. */
  #settle(effects: Effects, answer: Send | undefined): void {
    const sends = this.#kind.sends(effects);
    if (answer !== undefined) sends.push(answer);
    const follow = this.#kind.follows?.(effects);
    const last = this.#last;
    const shard = this.#shard;
    if (effects.records.length > 0 || sends.length > 0) this.#sendOnce(shard, last, sends);
    if (follow !== undefined) this.#doOnce(shard, last, follow);
  }

  /** Sends when everything up to `last` is committed, or why nobody waits for that any longer. */
  #sendOnce(shard: Shard, last: Offset | undefined, sends: readonly Send[]): void {
    if (last === undefined) {
      for (const send of sends) send(ErrorCode.None);
      return;
    }
    let waiting = sends;
    let deadline: Deadline | undefined;
    let known = false;
    const finish = (error: ErrorCode): void => {
      const due = waiting;
      waiting = [];
      for (const send of due) send(error);
    };
    this.#partition.whenCommitted(last, (error) => {
      known = true;
      if (deadline !== undefined) this.#world.deadlines.cancel(deadline);
      if (isLoss(error)) this.#lost(shard, error);
      finish(error);
    });
    this.#watchFor(shard, last);
    if (!known && sends.length > 0) {
      deadline = this.#world.deadlines.after(this.#world.commitTimeoutMs(), () => finish(ErrorCode.RequestTimedOut));
    }
  }

  /** Goes on when everything up to `last` is committed, and the shard is still served then. */
  #doOnce(shard: Shard, last: Offset | undefined, follow: () => void): void {
    const isServed = (): boolean => this.#shard === shard && this.#state === 'serving';
    if (!isServed()) return;
    // In a turn of its own: it may decide more, and the log is in the middle of telling how far it is.
    const goOn = (): void =>
      this.#world.clock.defer(() => {
        if (isServed()) follow();
      });
    if (last === undefined) return goOn();
    this.#partition.whenCommitted(last, (error) => {
      if (error === ErrorCode.None) goOn();
      else if (isLoss(error)) this.#lost(shard, error);
      else this.#world.deadlines.after(UNDER_MIN_ISR_RETRY_MS, () => this.#doOnce(shard, last, follow));
    });
  }

  /** Hears it if a full disk takes back what the shard has seen, also when too few replicas are in sync for anybody to wait for its commit. */
  #watchFor(shard: Shard, last: Offset): void {
    this.#partition.whenDurable(last, (error) => {
      if (isLoss(error)) this.#lost(shard, error);
    });
  }

  /** Records that the shard has seen are not in the log. */
  #lost(shard: Shard, error: ErrorCode): void {
    if (this.#shard !== shard || this.#state !== 'serving') return;
    const { topic, index } = this.#partition;
    this.#world.logger.warn(
      { topic, partition: index, error: errorName(error) },
      `${this.#kind.what} lost records: they are loaded again from the log`,
    );
    this.#resign('failed', coordinatorError(error));
    if (this.#partition.log !== undefined) this.#loadAgain();
  }

  #resign(state: 'failed' | 'closed', error: ErrorCode): void {
    this.#state = state;
    this.#loader?.cancel();
    this.#loader = undefined;
    if (this.#wake !== undefined) this.#world.deadlines.cancel(this.#wake);
    this.#wake = undefined;
    this.#kind.resigned(this.#shard, error);
  }

  #arm(): void {
    if (this.#state !== 'serving') return;
    const { clock, deadlines } = this.#world;
    const next = this.#shard.nextDeadline();
    // One that comes too early costs a look; moving it at each heartbeat would cost more.
    if (next === Number.POSITIVE_INFINITY || (this.#wake !== undefined && this.#wake.at <= next)) return;
    if (this.#wake !== undefined) deadlines.cancel(this.#wake);
    // Never at once: a long piece of work is done in slices, with turns of others between them.
    const wake = deadlines.after(Math.max(1, next - clock.now()), () => {
      this.#wake = undefined;
      this.#carryOut(this.#shard.tick(this.#now(), Math.max(0, clock.now() - wake.at)));
    });
    this.#wake = wake;
  }

  #now(): Instant {
    return { mono: this.#world.clock.now(), wall: this.#world.clock.wall() };
  }
}

/** Whether records may be gone; those that too few replicas have are in the log, and wait for more. */
function isLoss(error: ErrorCode): boolean {
  return error !== ErrorCode.None && error !== ErrorCode.NotEnoughReplicasAfterAppend;
}
