import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { CoordinatorRecord, Instant } from '#coordinator/effects';
import type { MarkerOrder, ProducerIdentity, TransactionEffects } from '#coordinator/transaction-commands';
import { RETRY_MS } from '#coordinator/transaction-config';
import { transactionRecord } from '#coordinator/transaction-records';
import { TransactionShard } from '#coordinator/transaction-shard';
import {
  EPOCH_MAX,
  isPrepared,
  NO_PARTITIONS,
  type Transaction,
  TransactionState,
} from '#coordinator/transaction-state';
import { ErrorCode } from '#model/errors';
import { transactionTestConfig } from './scripted-transactions.ts';

const ID = 't';
const TOPIC = 'orders';
const PARTITIONS = 3;
const TIMEOUT_MS = 5_000;
const INTERVAL_MS = 1_000;
const WALL_AT_START = 1_700_000_000_000;

const NEW: Transaction = {
  producerId: 7,
  previousProducerId: 7,
  nextProducerId: -1,
  producerEpoch: 0,
  nextProducerEpoch: -1,
  timeoutMs: TIMEOUT_MS,
  state: TransactionState.Empty,
  partitions: NO_PARTITIONS,
  updatedAt: 0,
  startedAt: -1,
  clientVersion: 0,
};

type Outcome = 'commit' | 'abort';

/** A process with the transactional id, as far as its answers tell it. */
interface Process {
  identity: ProducerIdentity | undefined;
  /** Of its open transaction: acknowledged to it. */
  written: number[];
  /** The answer to one of these counts; another is of a request that it has given up. */
  awaits: Request | undefined;
  isFenced: boolean;
}

/** On the wire: it may arrive late, or twice. */
type Request =
  | { readonly kind: 'init'; readonly by: Process; readonly expected: ProducerIdentity | undefined }
  | {
      readonly kind: 'write';
      readonly by: Process;
      readonly as: ProducerIdentity;
      readonly partition: number;
      readonly value: number;
    }
  /** The second half of a write: the partition's leader has asked the coordinator. */
  | {
      readonly kind: 'append';
      readonly by: Process;
      readonly as: ProducerIdentity;
      readonly partition: number;
      readonly value: number;
    }
  | {
      readonly kind: 'end';
      readonly by: Process;
      readonly as: ProducerIdentity;
      readonly outcome: Outcome;
      readonly written: readonly number[];
    }
  | {
      readonly kind: 'marker';
      readonly order: MarkerOrder;
      readonly partition: number;
      readonly coordinatorEpoch: number;
    };

/** What a partition's leader knows of the producer, and what became of each value. */
class ModelPartition {
  readonly #producers = new Map<
    number,
    { epoch: number; coordinatorEpoch: number; open: { epoch: number; values: number[] } | undefined }
  >();
  /** By value. */
  readonly outcomes = new Map<number, Outcome>();
  /** By producer and the epoch that its data had. */
  readonly ended = new Map<string, Outcome>();

  append({ producerId, producerEpoch }: ProducerIdentity, value: number): boolean {
    const producer = this.#producer(producerId);
    if (producerEpoch < producer.epoch) return false;
    producer.epoch = producerEpoch;
    producer.open ??= { epoch: producerEpoch, values: [] };
    expect(producer.open.epoch, 'a transaction has one epoch').toBe(producerEpoch);
    producer.open.values.push(value);
    return true;
  }

  /** As leaders check markers under transaction.version 2. */
  mark({ producerId, producerEpoch, isCommit }: MarkerOrder, coordinatorEpoch: number): ErrorCode {
    const producer = this.#producer(producerId);
    if (coordinatorEpoch < producer.coordinatorEpoch) return ErrorCode.TransactionCoordinatorFenced;
    const isRepeated = producer.open === undefined || producerEpoch === EPOCH_MAX;
    if (producerEpoch < producer.epoch || (producerEpoch === producer.epoch && !isRepeated))
      return ErrorCode.InvalidProducerEpoch;
    producer.epoch = producerEpoch;
    producer.coordinatorEpoch = coordinatorEpoch;
    if (producer.open === undefined) return ErrorCode.None;
    const outcome = isCommit ? 'commit' : 'abort';
    for (const value of producer.open.values) this.outcomes.set(value, outcome);
    this.ended.set(`${producerId}/${producer.open.epoch}`, outcome);
    producer.open = undefined;
    return ErrorCode.None;
  }

  get hasOpen(): boolean {
    return [...this.#producers.values()].some(({ open }) => open !== undefined);
  }

  #producer(producerId: number) {
    let producer = this.#producers.get(producerId);
    if (producer === undefined) {
      producer = { epoch: -1, coordinatorEpoch: -1, open: undefined };
      this.#producers.set(producerId, producer);
    }
    return producer;
  }
}

/** Processes with one transactional id, its coordinator, and partitions; invariants are checked at every answer. */
class World {
  readonly log: CoordinatorRecord[] = [];
  readonly wire: Request[] = [];
  readonly partitions = Array.from({ length: PARTITIONS }, () => new ModelPartition());
  readonly processes: Process[] = [];
  /** Values of which an application was told that they are committed, or aborted. */
  readonly told = new Map<number, Outcome>();
  /** `producer/epoch` of every commit that somebody asked for. */
  readonly commitsAsked = new Set<string>();
  /** `producer/epoch` of all that were told to somebody, and of those that have a successor. */
  readonly #given = new Set<string>();
  readonly #fenced = new Set<string>();
  #coordinatorEpoch = 0;
  #now = 1_000;
  #nextId = 100;
  #value = 0;
  #isRefusing = false;
  /** Partitions of the present order that have their marker. */
  #marked = new Set<number>();
  #order: MarkerOrder | undefined;
  readonly #orders: MarkerOrder[] = [];
  #shard = this.#newShard();

  constructor(firstEpoch: number) {
    if (firstEpoch === 0) return;
    // As if the transactional id had been in use for long.
    const known = { ...NEW, producerEpoch: firstEpoch, updatedAt: this.#instant().wall };
    this.log.push(transactionRecord(ID, known, 2));
    this.move();
  }

  spawn(): void {
    const process: Process = { identity: undefined, written: [], awaits: undefined, isFenced: false };
    this.processes.push(process);
    this.#send({ kind: 'init', by: process, expected: undefined });
  }

  /** `index` 0 is the newest process. */
  act(index: number, choice: 'write' | 'commit' | 'abort' | 'again' | 'recover'): void {
    const by = this.processes.at(-1 - (index % this.processes.length));
    if (by === undefined || by.isFenced) return;
    if (choice === 'again') {
      if (by.awaits !== undefined) this.wire.push(by.awaits);
      return;
    }
    const as = by.identity;
    if (as === undefined || by.awaits !== undefined) return;
    if (choice === 'recover') return this.#send({ kind: 'init', by, expected: as });
    if (choice === 'write') {
      this.#value += 1;
      return this.#send({ kind: 'write', by, as, partition: this.#value % PARTITIONS, value: this.#value });
    }
    if (choice === 'commit') this.commitsAsked.add(nameOf(as));
    this.#send({ kind: 'end', by, as, outcome: choice, written: by.written });
  }

  /** Some request arrives; `stays`: and will once more. */
  deliver(index: number, stays: boolean): void {
    if (this.wire.length === 0) return;
    const at = index % this.wire.length;
    const request = this.wire[at];
    if (!stays) this.wire.splice(at, 1);
    if (request !== undefined) this.#serve(request);
  }

  wait(ms: number): void {
    const until = this.#now + ms;
    for (;;) {
      const due = this.#shard.nextDeadline();
      if (due > until) break;
      this.#now = Math.max(this.#now, due);
      this.#carryOut(this.#shard.tick(this.#instant()));
    }
    this.#now = until;
    const described = this.#shard.describe(ID);
    if (described?.state !== TransactionState.Ongoing) return;
    const age = this.#instant().wall - described.startedAt;
    expect(age, 'T5: no transaction stays open for longer').toBeLessThanOrEqual(TIMEOUT_MS + INTERVAL_MS + RETRY_MS);
  }

  refuseOnce(): void {
    this.#isRefusing = true;
  }

  /** The coordinator moves; what the old one has sent may still arrive. */
  move(): void {
    const before = this.#shard.describe(ID);
    this.#coordinatorEpoch += 1;
    this.#shard = this.#newShard();
    for (const record of this.log) this.#shard.replay(record);
    if (before !== undefined) expect(this.#shard.describe(ID), 'T8: the log says it all').toEqual(before);
    this.#carryOut(this.#shard.loaded(this.#instant()));
  }

  /** Everything arrives, and time passes: nothing is left open, and everybody was told the truth. */
  settle(): void {
    this.#isRefusing = false;
    for (let rounds = 0; rounds < 20; rounds += 1) {
      for (let sent = 0; this.wire.length > 0 && sent < 1_000; sent += 1) this.deliver(0, false);
      this.wait(TIMEOUT_MS + INTERVAL_MS + RETRY_MS);
    }
    for (const partition of this.partitions) expect(partition.hasOpen, 'T5: nothing hangs').toBe(false);
    const state = this.#shard.describe(ID)?.state ?? TransactionState.Empty;
    expect(state === TransactionState.Ongoing || isPrepared(state), 'T5: nothing is left undone').toBe(false);
    for (const name of this.#given) expect(name.endsWith(`/${EPOCH_MAX}`), 'one epoch is kept for fencing').toBe(false);
    const outcomes = new Map<number, Outcome>();
    const byTransaction = new Map<string, Outcome>();
    for (const partition of this.partitions) {
      for (const [value, outcome] of partition.outcomes) outcomes.set(value, outcome);
      for (const [transaction, outcome] of partition.ended) {
        expect(byTransaction.get(transaction) ?? outcome, 'T4: one outcome per producer and epoch').toBe(outcome);
        byTransaction.set(transaction, outcome);
        if (outcome === 'commit') expect(this.commitsAsked, 'nobody commits unasked').toContain(transaction);
      }
    }
    for (const [value, outcome] of this.told) expect(outcomes.get(value), `what was told of ${value}`).toBe(outcome);
  }

  #send(request: Exclude<Request, { kind: 'append' | 'marker' }>): void {
    request.by.awaits = request;
    this.wire.push(request);
  }

  #serve(request: Request): void {
    switch (request.kind) {
      case 'init': {
        const { by, expected } = request;
        const command = { transactionalId: ID, timeoutMs: TIMEOUT_MS, expected };
        const outcome = this.#shard.initProducerId(command, this.#instant());
        if (expected !== undefined && this.#fenced.has(nameOf(expected)))
          expect(outcome.records, 'T3: nobody fenced changes anything').toEqual([]);
        const answer = this.#ask(outcome);
        if (answer === undefined) return;
        if (answer.errorCode === ErrorCode.None && expected === undefined) this.#succeed();
        if (answer.errorCode === ErrorCode.None) this.#given.add(nameOf(answer));
        if (by.awaits !== request) return;
        if (answer.errorCode === ErrorCode.None) {
          by.identity = answer;
          by.awaits = undefined;
          by.written = [];
        } else this.#judge(by, answer.errorCode);
        return;
      }
      case 'write': {
        const { as, partition, by } = request;
        const partitions = new Map([[TOPIC, new Set([partition])]]);
        const command = { transactionalId: ID, ...as, partitions, clientVersion: 2 };
        const error = this.#ask(this.#shard.addPartitions(command, this.#instant()));
        if (error === undefined) return;
        if (error === ErrorCode.None) {
          expect(this.#fenced, 'T3: nobody fenced takes part').not.toContain(nameOf(as));
          this.wire.push({ ...request, kind: 'append' });
        } else if (by.awaits === request) this.#judge(by, error);
        return;
      }
      case 'append': {
        const { as, partition, value, by } = request;
        const isTaken = this.partitions[partition]?.append(as, value) === true;
        const { awaits } = by;
        if (awaits?.kind !== 'write' || awaits.value !== value) return;
        by.awaits = undefined;
        // As a Java client: the transaction can only be aborted.
        if (isTaken) by.written = [...by.written, value];
        return;
      }
      case 'end': {
        const { as, outcome, by, written } = request;
        const command = { transactionalId: ID, ...as, isCommit: outcome === 'commit', clientVersion: 2 };
        const answer = this.#ask(this.#shard.endTransaction(command, this.#instant()));
        if (answer === undefined) return;
        if (answer.errorCode === ErrorCode.None) {
          expect(this.#fenced, 'T3: nobody fenced ends anything').not.toContain(nameOf(as));
          for (const value of written) this.told.set(value, outcome);
          this.#given.add(nameOf(answer));
        }
        if (by.awaits !== request) return;
        if (answer.errorCode === ErrorCode.None) {
          by.identity = answer;
          by.awaits = undefined;
          by.written = [];
        } else this.#judge(by, answer.errorCode);
        return;
      }
      case 'marker': {
        const { order, partition, coordinatorEpoch } = request;
        const error = this.partitions[partition]?.mark(order, coordinatorEpoch);
        // Whoever is the coordinator no more is told nothing.
        if (coordinatorEpoch !== this.#coordinatorEpoch || order !== this.#order) return;
        if (error === ErrorCode.TransactionCoordinatorFenced) return;
        this.#marked.add(partition);
        if (this.#marked.size === (order.partitions.get(TOPIC)?.size ?? 0)) this.#complete(order);
        return;
      }
    }
  }

  /** A new process has come: nobody before takes part any more. */
  #succeed(): void {
    for (const name of this.#given) this.#fenced.add(name);
  }

  #judge(by: Process, error: ErrorCode): void {
    switch (error) {
      case ErrorCode.ConcurrentTransactions:
      case ErrorCode.CoordinatorNotAvailable:
        if (by.awaits !== undefined) this.wire.push(by.awaits);
        return;
      default:
        // It gives up.
        by.awaits = undefined;
        by.isFenced = true;
    }
  }

  /** Undefined: the log has refused. */
  #ask<Response>(outcome: TransactionEffects & { readonly response: Response }): Response | undefined {
    return this.#carryOut(outcome) ? outcome.response : undefined;
  }

  #carryOut(effects: TransactionEffects): boolean {
    if (this.#isRefusing && effects.records.length > 0) {
      this.#isRefusing = false;
      this.#carryOut(this.#shard.refused(effects, ErrorCode.NotEnoughReplicas, this.#instant()));
      return false;
    }
    for (const record of effects.records) {
      this.log.push(record);
      this.#shard.replay(record);
    }
    for (const order of effects.markers) this.#write(order);
    return true;
  }

  /** Told of an order once more, or when it is of no interest any longer. */
  tellAgain(index: number): void {
    const order = this.#orders[index % Math.max(1, this.#orders.length)];
    if (order === undefined || order === this.#order) return;
    const isPresent = order.producerId === this.#order?.producerId && order.producerEpoch === this.#order.producerEpoch;
    const { records } = this.#shard.markersWritten(order, this.#instant());
    if (!isPresent) expect(records, 'an old order completes nothing').toEqual([]);
  }

  #write(order: MarkerOrder): void {
    this.#order = order;
    this.#orders.push(order);
    this.#marked = new Set();
    const partitions = [...(order.partitions.get(TOPIC) ?? [])];
    if (partitions.length === 0) return this.#complete(order);
    for (const partition of partitions)
      this.wire.push({ kind: 'marker', order, partition, coordinatorEpoch: this.#coordinatorEpoch });
  }

  #complete(order: MarkerOrder): void {
    this.#carryOut(this.#shard.markersWritten(order, this.#instant()));
  }

  #newShard(): TransactionShard {
    const shard = new TransactionShard({
      config: transactionTestConfig({ timeoutCheckIntervalMs: INTERVAL_MS }),
      transactionVersion: () => 2,
      takeProducerId: () => {
        this.#nextId += 1;
        return this.#nextId;
      },
    });
    if (this.log.length === 0) shard.loaded(this.#instant());
    return shard;
  }

  #instant(): Instant {
    return { mono: this.#now, wall: WALL_AT_START + this.#now };
  }
}

function nameOf({ producerId, producerEpoch }: ProducerIdentity): string {
  return `${producerId}/${producerEpoch}`;
}

const index = fc.nat(1_000);
const process = fc.oneof({ weight: 4, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: fc.nat(3) });
type Action = (world: World) => void;
const action: fc.Arbitrary<Action> = fc.oneof(
  { weight: 1, arbitrary: fc.constant<Action>((world) => world.spawn()) },
  {
    weight: 8,
    arbitrary: fc
      .tuple(
        process,
        fc.constantFrom(
          'write' as const,
          'write' as const,
          'commit' as const,
          'abort' as const,
          'again' as const,
          'recover' as const,
        ),
      )
      .map(
        ([by, choice]): Action =>
          (world) =>
            world.act(by, choice),
      ),
  },
  {
    weight: 16,
    arbitrary: fc.tuple(index, fc.nat(5)).map(
      ([at, stays]): Action =>
        (world) =>
          world.deliver(at, stays === 0),
    ),
  },
  {
    weight: 2,
    arbitrary: fc.constantFrom(100, 1_000, 6_000).map(
      (ms): Action =>
        (world) =>
          world.wait(ms),
    ),
  },
  {
    weight: 1,
    arbitrary: fc.constantFrom<Action>(
      (world) => world.move(),
      (world) => world.refuseOnce(),
    ),
  },
  {
    weight: 1,
    arbitrary: index.map(
      (order): Action =>
        (world) =>
          world.tellAgain(order),
    ),
  },
);

test.each([
  ['from the first epoch on', 0],
  ['where the epochs are used up', EPOCH_MAX - 3],
])('one outcome per producer and epoch, whatever is delayed, repeated or lost: %s', (_, firstEpoch) => {
  fc.assert(
    fc.property(fc.array(action, { minLength: 10, maxLength: 120, size: 'max' }), (actions) => {
      const world = new World(firstEpoch);
      world.spawn();
      for (const act of actions) act(world);
      world.settle();
    }),
    { numRuns: 300 },
  );
});
