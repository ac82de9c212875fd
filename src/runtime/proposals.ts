import { Fifo } from '#base/fifo';
import type { Mono } from '#base/ports';
import type { LogPosition } from '#raft/raft-types';

/**
 * Confirms a proposal once it is committed, replayed and published here. 'lost' (another entry was committed in its place, or this node
 * does not lead), 'full' (no room on the disk of the only voter), 'tooLarge' (for an entry): it is not committed, nor will be. 'unknown': it
 * may be.
 */
export type Proposed = (result: { readonly index: number } | 'lost' | 'full' | 'tooLarge' | 'unknown') => void;

export interface Proposal extends LogPosition {
  readonly at: Mono;
  readonly done: Proposed;
}

/** Entries that this node has appended as the leader, and whose fate is not known: ascending by index. */
export class Proposals {
  /** Its bound is that of the callers: the controller proposes one at a time. */
  #waiting = new Fifo<Proposal>();

  add(proposal: Proposal): void {
    this.#waiting.push(proposal);
  }

  /** That entry has been committed and replayed. Gives the proposal that it was, if it was one. */
  applied({ index, epoch }: LogPosition): Proposal | undefined {
    let found: Proposal | undefined;
    for (;;) {
      const proposal = this.#waiting.peek();
      if (proposal === undefined || proposal.index > index) return found;
      this.#waiting.shift();
      if (proposal.index === index && proposal.epoch === epoch) found = proposal;
      else proposal.done('lost');
    }
  }

  /** From that index on they are given up here. */
  giveUp(from: number, why: 'full' | 'unknown'): void {
    const proposals = this.#waiting.drain();
    for (const proposal of proposals) if (proposal.index < from) this.#waiting.push(proposal);
    for (const { index, done } of proposals) if (index >= from) done(why);
  }
}
