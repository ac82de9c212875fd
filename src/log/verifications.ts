import { assert } from '#base/assert';
import { ErrorCode } from '#model/errors';
import { type BatchHeader, isTransactional } from '#protocol/record-batch';
import type { ProducerCheck, ProducerStates } from './producer-state.ts';

/** What of a batch tells of its producer. */
export type ProducedBatch = Pick<BatchHeader, 'producerId' | 'producerEpoch' | 'baseSequence'>;

/**
 * That somebody asks a producer's coordinator whether it has a transaction with this partition (KIP-890). It counts from when it was asked
 * for, as long as the partition's log sees no transactional batch and no marker of the producer: what ends a transaction makes
 * worthless whatever was found out before.
 */
export interface Verification {
  readonly producerId: number;
  readonly epoch: number;
  /** Of what was to be appended first: what follows it waits until it was. */
  readonly lowestSequence: number;
  /** The coordinator adds the partition (transaction.version 2): a producer that is not known here begins at sequence 0. */
  readonly adds: boolean;
}

/** Beyond it the oldest is forgotten, and its append refused: so many producers of one partition are not verified at once. */
const VERIFICATIONS_MAX = 10_000;

type Kept = { -readonly [key in keyof Verification]: Verification[key] };

/** What one leader of a partition has under verification. Memory only: after a restart, or a change of leaders, all begins anew. */
export class Verifications {
  /** By producer; one that has failed stays for those that come again. */
  readonly #kept = new Map<number, Kept>();

  /** Of the batch that is to be appended first; one for all that a producer has under way. */
  begin({ producerId, producerEpoch, baseSequence }: ProducedBatch, adds: boolean): Verification {
    assert(producerId >= 0, 'a transaction has a producer');
    const known = this.#kept.get(producerId);
    if (known !== undefined) {
      const isNewer = producerEpoch > known.epoch;
      if (isNewer) known.epoch = producerEpoch;
      if (isNewer || (producerEpoch === known.epoch && baseSequence < known.lowestSequence))
        known.lowestSequence = baseSequence;
      return known;
    }
    const kept: Kept = { producerId, epoch: producerEpoch, lowestSequence: baseSequence, adds };
    if (this.#kept.size >= VERIFICATIONS_MAX) this.#forgetOldest();
    this.#kept.set(producerId, kept);
    return kept;
  }

  /** `found` is what the producer's state says of the batch; `verification` goes with the append, or 'waived'. */
  check(
    header: BatchHeader,
    found: ProducerCheck,
    states: ProducerStates,
    verification: Verification | 'waived' | undefined,
  ): ProducerCheck {
    const { producerId, producerEpoch, baseSequence } = header;
    if (producerId < 0 || found.kind === 'duplicate') return found;
    if (found.kind === 'error' && found.code === ErrorCode.InvalidProducerEpoch) return found;
    const kept = this.#kept.get(producerId);
    if (isTransactional(header) && verification !== 'waived' && !states.hasOpenTransaction(producerId, producerEpoch)) {
      if (kept === undefined || kept !== verification) return { kind: 'error', code: ErrorCode.InvalidTxnState };
    }
    if (kept !== undefined && baseSequence >= 0) {
      const isGap =
        baseSequence > kept.lowestSequence || (kept.adds && baseSequence !== 0 && !states.knows(producerId));
      if (isGap) return { kind: 'error', code: ErrorCode.OutOfOrderSequenceNumber };
    }
    return found;
  }

  /** A transactional batch, or a marker, of the producer is in the log. */
  end(producerId: number): void {
    if (this.#kept.size > 0) this.#kept.delete(producerId);
  }

  clear(): void {
    this.#kept.clear();
  }

  #forgetOldest(): void {
    const oldest = this.#kept.keys().next().value;
    if (oldest !== undefined) this.#kept.delete(oldest);
  }
}
