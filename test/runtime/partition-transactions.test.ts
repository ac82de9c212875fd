import fc from 'fast-check';
import { expect, test } from 'vitest';
import { endMarkerBatch } from '#log/end-marker';
import type { Verification } from '#log/verifications';
import { ErrorCode } from '#model/errors';
import { leaderEpoch, nodeId, offset } from '#model/ids';
import type { BatchHeader } from '#protocol/record-batch';
import { ledPartition, ME, viewOf } from './replica-stage.ts';
import { batchOf, codecs, StubLog } from './stub-log.ts';

const FOLLOWER = nodeId(2);
const PRODUCERS = [11, 12, 13];

type Step =
  | {
      readonly kind: 'data';
      readonly producer: number;
      readonly count: number;
      readonly again: boolean;
      readonly stale: boolean;
    }
  | {
      readonly kind: 'marker';
      readonly producer: number;
      readonly aborted: boolean;
      readonly raises: boolean;
      readonly stale: boolean;
    }
  | { readonly kind: 'verify'; readonly producer: number }
  | { readonly kind: 'plain' }
  | { readonly kind: 'sync' | 'follow' | 'lead' };

const producer = fc.constantFrom(...PRODUCERS);
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant('data' as const),
      producer,
      count: fc.integer({ min: 1, max: 3 }),
      again: fc.boolean(),
      stale: fc.boolean(),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('marker' as const),
      producer,
      aborted: fc.boolean(),
      raises: fc.boolean(),
      stale: fc.boolean(),
    }),
  },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('verify' as const), producer }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('plain' as const) }) },
  { weight: 5, arbitrary: fc.record({ kind: fc.constantFrom('sync' as const, 'follow' as const, 'lead' as const) }) },
);

/** What is known of one producer, by somebody who has seen every append. */
interface Seen {
  epoch: number;
  nextSequence: number;
  /** The last batch, for duplicates: its first offset, sequence and count. */
  last: { readonly offset: number; readonly sequence: number; readonly count: number } | undefined;
  openAt: number | undefined;
  verification: Verification | undefined;
}

/** A leader with one follower, and a naive account of its transactions. */
class Run {
  readonly log = new StubLog();
  readonly partition = ledPartition(this.log.asLog);
  readonly seen = new Map<number, Seen>(
    PRODUCERS.map((id) => [
      id,
      { epoch: 0, nextSequence: 0, last: undefined, openAt: undefined, verification: undefined },
    ]),
  );
  /** Transactions by first offset and the offset of their marker. */
  readonly ended: { readonly from: number; readonly marker: number }[] = [];
  #epoch = 0;
  #stableBefore = 0;

  constructor() {
    this.#lead();
  }

  take(step: Step): void {
    switch (step.kind) {
      case 'data':
        this.#data(step);
        break;
      case 'marker':
        this.#marker(step);
        break;
      case 'verify': {
        const seen = this.#of(step.producer);
        const begun = this.partition.beginVerification(
          this.#batch(step.producer, seen.nextSequence, 1)[1][0] as BatchHeader,
          false,
        );
        if (typeof begun === 'object') seen.verification = begun;
        else expect(begun).toBe('open');
        break;
      }
      case 'plain':
        expect(this.partition.append(...batchOf(1)).error).toBe(ErrorCode.None);
        break;
      case 'sync':
        this.log.sync();
        break;
      case 'follow':
        this.partition.fetchedBy(FOLLOWER, {
          brokerEpoch: 1,
          fetchOffset: this.log.logEndOffset,
          durableOffset: this.log.durableOffset,
          logStartOffset: offset(0),
        });
        break;
      case 'lead':
        this.#lead();
        break;
    }
    this.#check();
  }

  #lead(): void {
    this.#epoch += 1;
    this.partition.lead(
      viewOf(this.#epoch, { leaderEpoch: leaderEpoch(this.#epoch), replicas: [ME, FOLLOWER], isr: [ME, FOLLOWER] }),
      1,
    );
    // What was verified for the leader before counts no more.
    for (const seen of this.seen.values()) seen.verification = undefined;
  }

  #data({ producer, count, again, stale }: Extract<Step, { kind: 'data' }>): void {
    const seen = this.#of(producer);
    if (again && seen.last !== undefined) {
      const { offset: first, sequence, count: had } = seen.last;
      const [bytes, headers] = this.#batch(producer, sequence, had);
      // T7: answered as the first time, whatever has happened since.
      expect(this.partition.append(bytes, headers)).toMatchObject({ error: ErrorCode.None, baseOffset: first });
      return;
    }
    if (stale && seen.epoch > 0) {
      const [bytes, headers] = this.#batch(producer, seen.nextSequence, count, seen.epoch - 1);
      // T3.
      expect(this.partition.append(bytes, headers, seen.verification).error).toBe(ErrorCode.InvalidProducerEpoch);
      return;
    }
    const [bytes, headers] = this.#batch(producer, seen.nextSequence, count);
    const end = this.log.logEndOffset;
    const outcome = this.partition.append(bytes, headers, seen.verification);
    if (seen.openAt === undefined && seen.verification === undefined) {
      expect(outcome.error).toBe(ErrorCode.InvalidTxnState);
      return;
    }
    expect(outcome).toMatchObject({ error: ErrorCode.None, baseOffset: end });
    seen.openAt ??= end;
    seen.verification = undefined;
    seen.last = { offset: end, sequence: seen.nextSequence, count };
    seen.nextSequence += count;
  }

  #marker({ producer, aborted, raises, stale }: Extract<Step, { kind: 'marker' }>): void {
    const seen = this.#of(producer);
    const epoch = stale ? seen.epoch - 1 : raises ? seen.epoch + 1 : seen.epoch;
    if (epoch < 0) return;
    const marker = { aborted, coordinatorEpoch: 0 };
    const { bytes, header } = endMarkerBatch({ producerId: producer, producerEpoch: epoch }, marker, 1_000, codecs);
    const end = this.log.logEndOffset;
    const outcome = this.partition.appendMarker(bytes, header, marker, false);
    if (stale && this.log.producers.knows(producer)) {
      expect(outcome.error).toBe(ErrorCode.InvalidProducerEpoch);
      return;
    }
    expect(outcome.error).toBe(ErrorCode.None);
    if (seen.openAt !== undefined) this.ended.push({ from: seen.openAt, marker: end });
    if (epoch !== seen.epoch) {
      seen.epoch = epoch;
      seen.nextSequence = 0;
      seen.last = undefined;
    }
    seen.openAt = undefined;
    seen.verification = undefined;
  }

  #check(): void {
    const { highWatermark, lastStableOffset } = this.partition;
    const open = [...this.seen.values()].flatMap(({ openAt }) => openAt ?? []);
    const undecided = this.ended.filter(({ marker }) => marker >= highWatermark).map(({ from }) => from);
    // T2.
    expect(lastStableOffset).toBe(Math.min(highWatermark, ...open, ...undecided));
    expect(lastStableOffset).toBeGreaterThanOrEqual(this.#stableBefore);
    this.#stableBefore = lastStableOffset;
  }

  #of(producer: number): Seen {
    const seen = this.seen.get(producer);
    if (seen === undefined) throw new Error('no such producer');
    return seen;
  }

  #batch(producerId: number, baseSequence: number, count: number, producerEpoch = this.#of(producerId).epoch) {
    return batchOf(count, { producerId, producerEpoch, baseSequence, transactional: true });
  }
}

test('T2, T3, T7: after any history the last stable offset is where the first undecided transaction begins, and never goes back; old epochs are fenced, duplicates answered', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const run = new Run();
      for (const each of steps) run.take(each);
    }),
    { numRuns: 300 },
  );
});
