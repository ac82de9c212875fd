import { assert } from '#base/assert';
import { check } from './violation.ts';

export interface KnownEntry {
  readonly epoch: number;
  readonly previousEpoch: number;
  readonly payloadCrc: number;
}

/** Indices and epochs of a simulated minute stay far below. */
const EPOCHS_MAX = 2 ** 20;

/**
 * Every entry that any replica ever held, and what of it was committed: once seen, never changed. Two logs that agree in (index, epoch)
 * agree in payload and in the epoch before; so, by induction, in everything before (R2).
 */
export class RaftHistory {
  readonly #entries = new Map<number, KnownEntry>();
  /** Epochs of committed entries, by index. */
  readonly #committed: number[] = [0];

  /** 0 before the first. */
  get committedIndex(): number {
    return this.#committed.length - 1;
  }

  /** Of an entry that is committed. */
  committedEpoch(index: number): number | undefined {
    return this.#committed[index];
  }

  entry(index: number, epoch: number): KnownEntry | undefined {
    return this.#entries.get(keyOf(index, epoch));
  }

  /** A replica holds it. `previousEpoch` is undefined if the replica has forgotten what was before. */
  seen(who: string, index: number, epoch: number, payloadCrc: number, previousEpoch: number | undefined): void {
    const known = this.entry(index, epoch);
    if (known === undefined) {
      if (previousEpoch === undefined) return;
      check(
        previousEpoch <= epoch,
        'R2',
        () => `${who} holds entry ${index} of epoch ${epoch} behind one of ${previousEpoch}`,
      );
      this.#entries.set(keyOf(index, epoch), { epoch, previousEpoch, payloadCrc });
      return;
    }
    check(known.payloadCrc === payloadCrc, 'R2', () => `${who} holds another entry ${index} of epoch ${epoch}`);
    check(
      previousEpoch === undefined || known.previousEpoch === previousEpoch,
      'R2',
      () =>
        `${who} holds entry ${index}/${epoch} behind one of ${previousEpoch}, others behind one of ${known.previousEpoch}`,
    );
  }

  /** A replica says that it is committed. True: nobody had said so before. */
  committed(who: string, index: number, epoch: number): boolean {
    const known = this.#committed[index];
    if (known !== undefined) {
      check(
        known === epoch,
        'R3',
        () => `${who} takes entry ${index} of epoch ${epoch} for committed, another took that of ${known}`,
      );
      return false;
    }
    assert(index === this.#committed.length, 'commits are told in order');
    this.#committed.push(epoch);
    return true;
  }
}

function keyOf(index: number, epoch: number): number {
  return index * EPOCHS_MAX + epoch;
}
