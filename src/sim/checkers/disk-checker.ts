import { isSameReplica } from '#model/voter';
import type { ViewHardState } from '../node-view.ts';
import type { DurableLog } from './raft-checker.ts';
import { check } from './violation.ts';

/** R7, on one machine's disk, whatever processes come and go: an epoch never goes back, and in an epoch there is one vote. */
export class DiskChecker {
  readonly #name: string;
  readonly #image: Pick<DurableLog, 'hardState'>;
  #last: ViewHardState | undefined;

  constructor(name: string, image: Pick<DurableLog, 'hardState'>) {
    this.#name = name;
    this.#image = image;
  }

  /** The disk was replaced by an empty one. */
  wiped(): void {
    this.#last = undefined;
  }

  look(): void {
    const state = this.#image.hardState;
    const last = this.#last;
    if (state === last) return;
    const name = this.#name;
    if (last !== undefined) {
      check(state !== undefined, 'R7', () => `the disk of ${name} has forgotten its vote in epoch ${last.epoch}`);
      check(
        state.epoch >= last.epoch,
        'R7',
        () => `the disk of ${name} went back from epoch ${last.epoch} to ${state.epoch}`,
      );
      check(
        state.epoch > last.epoch ||
          last.votedFor === null ||
          (state.votedFor !== null && isSameReplica(state.votedFor, last.votedFor)),
        'R7',
        () => `on the disk of ${name} a second vote stands in epoch ${last.epoch}`,
      );
    }
    this.#last = state;
  }
}
