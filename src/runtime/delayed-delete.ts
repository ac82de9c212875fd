import type { Deadline, Deadlines } from '#base/deadlines';
import { ErrorCode } from '#model/errors';
import type { NodeId } from '#model/ids';
import type { Partition } from './partition.ts';
import type { Watcher } from './partition-waiters.ts';

/** A partition whose leader here has deleted what lies below an offset. */
export interface DeletedBelow {
  readonly partition: Partition;
  readonly before: number;
}

/** How far that is so on every replica that counts; see Partition.lowWatermark. */
export interface DeletionOutcome {
  readonly error: ErrorCode;
  readonly lowWatermark: number;
}

const NO_LOW_WATERMARK = -1;

/** Whether a deletion waits for that replica of the partition: it lives, or may lead without having asked who leads now. */
export type CountsForDeletion = (partition: Partition, id: NodeId) => boolean;

/**
 * One DeleteRecords on its way: waits until the leader has saved where its log starts, and the followers that count have told with their
 * fetches that they have saved the same, at most `timeoutMs` (KIP-107). Until then a crash, or a leader to come, may bring the records
 * back.
 */
export class DelayedDelete implements Watcher {
  readonly #deleted: readonly DeletedBelow[];
  readonly #deadlines: Deadlines;
  readonly #counts: CountsForDeletion;
  readonly #done: (outcomes: readonly DeletionOutcome[]) => void;
  /** By the place of what was deleted; undefined while it is waited for. */
  readonly #outcomes: (DeletionOutcome | undefined)[];
  #deadline: Deadline | undefined;
  #isDone = false;

  /** `done` gets one outcome for each of `deleted`, at its place. */
  constructor(
    deleted: readonly DeletedBelow[],
    counts: CountsForDeletion,
    deadlines: Deadlines,
    done: (outcomes: readonly DeletionOutcome[]) => void,
  ) {
    this.#deleted = deleted;
    this.#counts = counts;
    this.#deadlines = deadlines;
    this.#done = done;
    this.#outcomes = deleted.map(() => undefined);
  }

  start(timeoutMs: number): void {
    this.advanced();
    if (this.#isDone) return;
    for (const { partition } of this.#deleted) partition.watch(this, 'trimmed');
    this.#deadline = this.#deadlines.after(Math.max(0, timeoutMs), () => this.giveUp());
  }

  advanced(): void {
    if (this.#isDone) return;
    for (const [place, { partition, before }] of this.#deleted.entries()) {
      if (this.#outcomes[place] !== undefined) continue;
      const lowWatermark = partition.lowWatermark((id) => this.#counts(partition, id));
      if (lowWatermark === undefined) {
        const error = partition.log === undefined ? ErrorCode.KafkaStorageError : ErrorCode.NotLeaderOrFollower;
        this.#outcomes[place] = { error, lowWatermark: NO_LOW_WATERMARK };
      } else if (lowWatermark >= before) this.#outcomes[place] = { error: ErrorCode.None, lowWatermark };
    }
    if (this.#outcomes.every((outcome) => outcome !== undefined)) this.#finish();
  }

  /** What is waited for still has timed out, or nobody waits any longer. */
  giveUp(): void {
    if (!this.#isDone) this.#finish();
  }

  #finish(): void {
    this.#isDone = true;
    if (this.#deadline !== undefined) this.#deadlines.cancel(this.#deadline);
    for (const { partition } of this.#deleted) partition.unwatch(this, 'trimmed');
    this.#done(
      this.#deleted.map(({ partition }, place) => {
        const lowWatermark = partition.lowWatermark((id) => this.#counts(partition, id)) ?? NO_LOW_WATERMARK;
        return this.#outcomes[place] ?? { error: ErrorCode.RequestTimedOut, lowWatermark };
      }),
    );
  }
}
