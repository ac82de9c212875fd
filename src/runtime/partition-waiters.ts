import { Fifo } from '#base/fifo';
import { ErrorCode } from '#model/errors';
import type { Offset } from '#model/ids';

/** Called when what it waits for has moved, or the partition has changed its role or gone. */
export interface Watcher {
  advanced(): void;
}

/**
 * What a watcher waits for: more that is committed, or, as a follower, more that is written; less, at the start of replicas' logs; or that
 * this node leads.
 */
export type WatchedEnd = 'committed' | 'written' | 'trimmed' | 'led';

/** Of a batch that was appended: called once, with None when it is where it has to be. */
export type Acknowledge = (error: ErrorCode) => void;

interface PendingAck {
  /** Answered once everything up to it is durable, or committed. */
  readonly upTo: Offset;
  readonly done: Acknowledge;
}

/** Those who wait for something at one partition: acknowledgements of what was appended, and whoever watches one of its ends. */
export class PartitionWaiters {
  /** Bounded by the request memory of the connections, as `#commits`: each entry belongs to a request in flight. */
  readonly #acks = new Fifo<PendingAck>();
  readonly #commits = new Fifo<PendingAck>();
  readonly #watchers: Readonly<Record<WatchedEnd, Set<Watcher>>> = {
    committed: new Set(),
    written: new Set(),
    trimmed: new Set(),
    led: new Set(),
  };

  /** `upTo` does not descend from one call to the next. */
  whenDurable(upTo: Offset, done: Acknowledge): void {
    this.#acks.push({ upTo, done });
  }

  /** As whenDurable. */
  whenCommitted(upTo: Offset, done: Acknowledge): void {
    this.#commits.push({ upTo, done });
  }

  /** Everything below `end` is. */
  durable(end: Offset): void {
    settle(this.#acks, end);
  }

  /** Everything below `end` is. */
  committed(end: Offset): void {
    settle(this.#commits, end);
  }

  /** Nothing will be committed for the time being. */
  refuseCommits(error: ErrorCode): void {
    for (const { done } of this.#commits.drain()) done(error);
  }

  /** What was appended from `from` on is lost. */
  rejected(from: Offset): void {
    for (const queue of [this.#acks, this.#commits]) {
      for (const ack of queue.drain()) {
        if (ack.upTo < from) queue.push(ack);
        else ack.done(ErrorCode.KafkaStorageError);
      }
    }
  }

  /** The partition changes its role, or goes: whoever waits is told. */
  drop(error: ErrorCode): void {
    for (const queue of [this.#acks, this.#commits]) for (const ack of queue.drain()) ack.done(error);
    this.wake('committed');
    this.wake('written');
    this.wake('trimmed');
  }

  watch(watcher: Watcher, end: WatchedEnd): void {
    this.#watchers[end].add(watcher);
  }

  unwatch(watcher: Watcher, end: WatchedEnd): void {
    this.#watchers[end].delete(watcher);
  }

  wake(end: WatchedEnd): void {
    // A woken watcher may watch again: only those of now are woken.
    for (const watcher of [...this.#watchers[end]]) watcher.advanced();
  }
}

function settle(queue: Fifo<PendingAck>, end: Offset): void {
  for (let first = queue.peek(); first !== undefined && first.upTo < end; first = queue.peek())
    queue.shift().done(ErrorCode.None);
}
