import { describe, expect, test } from 'vitest';
import type { AlterPartitionCommand } from '#metadata/alter-partition';
import type { MetadataImage } from '#metadata/image';
import { ErrorCode } from '#model/errors';
import { type NodeId, nodeId, offset, uuid, ZERO_UUID } from '#model/ids';
import type { PartitionView } from '#replication/leader-state';
import { IsrUpdates } from '#runtime/isr-updates';
import { Partition } from '#runtime/partition';
import { FakeClock } from './fake-clock.ts';
import { homeOf, ME, viewOf } from './replica-stage.ts';
import { StubLog } from './stub-log.ts';

const [B, C] = [nodeId(2), nodeId(3)];
const LAG_MS = 5000;

interface Asked {
  readonly isr: readonly number[];
  answer(errorCode: ErrorCode): Promise<void>;
  /** What the way to the controller says instead. */
  fail(why: unknown): Promise<void>;
}

/** One partition that this node leads, and a controller that answers when the test says so. */
class Stage {
  readonly clock = new FakeClock();
  readonly asked: Asked[] = [];
  readonly log = new StubLog('t', 0, uuid('AAAAAAAAAAAAAAAAAAAAAQ'));
  readonly partition: Partition;
  readonly updates: IsrUpdates;
  #epoch = 0;

  constructor(isr: readonly NodeId[]) {
    const events = { isrDue: (partition: Partition) => this.updates.due(partition) };
    this.partition = new Partition(
      homeOf(events, () => this.clock.now()),
      't',
      ZERO_UUID,
      0,
      this.log.asLog,
    );
    const brokers = new Map([ME, B, C].map((id) => [id, { fenced: false, draining: false, brokerEpoch: 10 + id }]));
    const submit = (_operation: string, command: unknown) =>
      new Promise((resolve) => {
        const { partitions } = command as AlterPartitionCommand;
        this.asked.push({
          isr: partitions[0]?.isr.map(({ id }) => id) ?? [],
          answer: async (errorCode) => {
            resolve({ errorCode: ErrorCode.None, message: null, partitions: partitions.map(() => ({ errorCode })) });
            for (let turns = 0; turns < 10; turns += 1) await undefined;
          },
          fail: async (why) => {
            resolve(why);
            for (let turns = 0; turns < 10; turns += 1) await undefined;
          },
        });
      });
    this.updates = new IsrUpdates({
      clock: this.clock,
      self: ME,
      image: { brokers } as unknown as MetadataImage,
      link: { submit } as never,
      brokerEpoch: () => 11,
      lagMaxMs: () => LAG_MS,
      partitions: () => [this.partition],
    });
    this.partition.lead(this.view(isr), 1);
  }

  view(isr: readonly NodeId[]): PartitionView {
    return viewOf(1, { replicas: [ME, B, C], isr, partitionEpoch: this.#epoch });
  }

  /** The metadata tell of another ISR. */
  decided(isr: readonly NodeId[]): void {
    this.#epoch += 1;
    this.partition.changed(this.view(isr), 1);
  }

  fetch(id: NodeId, isFull = false): void {
    const at = { fetchOffset: offset(0), durableOffset: offset(0), logStartOffset: 0 };
    this.partition.fetchedBy(id, { brokerEpoch: 10 + id, ...at, isFull });
    this.clock.advance(0);
  }

  get isr(): readonly (readonly number[])[] {
    return this.asked.map(({ isr }) => isr);
  }
}

describe('changes of an ISR', () => {
  test('are asked for when a follower has caught up', async () => {
    const stage = new Stage([ME, B]);
    stage.fetch(C);
    expect(stage.isr).toEqual([[1, 2, 3]]);
    await stage.asked[0]?.answer(ErrorCode.None);
    expect(stage.updates.expandCount).toBe(1);
  });

  test('that come up when the last one is decided, and not answered yet, are asked for after the answer', async () => {
    const stage = new Stage([ME]);
    stage.updates.start();
    stage.fetch(B);
    stage.decided([ME, B]);
    stage.fetch(C);
    // Everybody is looked at in between.
    stage.clock.advance(LAG_MS / 4);
    expect(stage.isr).toEqual([[1, 2]]);
    await stage.asked[0]?.answer(ErrorCode.None);
    stage.clock.advance(0);
    expect(stage.isr).toEqual([
      [1, 2],
      [1, 2, 3],
    ]);
  });

  test('that are refused for the state that they were made in are tried anew', async () => {
    const stage = new Stage([ME, B]);
    stage.fetch(C);
    await stage.asked[0]?.answer(ErrorCode.IneligibleReplica);
    stage.fetch(C);
    expect(stage.isr).toHaveLength(2);
  });

  test.each([
    ['that nobody answers', 'timeout'],
    ['of a process that the controller does not know', { errorCode: ErrorCode.StaleBrokerEpoch, partitions: [] }],
    [
      'to a controller that has seen less',
      { errorCode: ErrorCode.None, partitions: [{ errorCode: ErrorCode.NotController }] },
    ],
  ])('%s may have been made: they are asked for again, and their members count', async (_, failure) => {
    const stage = new Stage([ME, B]);
    stage.fetch(C);
    await stage.asked[0]?.fail(failure);
    expect(stage.partition.leadership?.isProposing).toBe(true);
    stage.clock.advance(100);
    expect(stage.isr).toEqual([
      [1, 2, 3],
      [1, 2, 3],
    ]);
  });

  test('that come too late wait for what the metadata say', async () => {
    const stage = new Stage([ME, B]);
    stage.fetch(C);
    await stage.asked[0]?.answer(ErrorCode.InvalidUpdateVersion);
    stage.fetch(C);
    expect(stage.isr).toHaveLength(1);
    stage.decided([ME]);
    stage.fetch(C);
    expect(stage.isr.at(-1)).toContain(3);
  });

  test('drop who has no room, as soon as something waits for it, and not again and again while that is decided', () => {
    const stage = new Stage([ME, B, C]);
    stage.fetch(C, true);
    expect(stage.isr).toEqual([]);
    stage.log.fill(3);
    stage.clock.advance(0);
    expect(stage.isr).toEqual([[1, 2]]);
    stage.fetch(C, true);
    stage.log.fill(3);
    stage.clock.advance(0);
    expect(stage.isr).toHaveLength(1);
  });

  test('drop who finds no room for what waits for it', () => {
    const stage = new Stage([ME, B, C]);
    stage.log.fill(3);
    stage.fetch(C, true);
    expect(stage.isr).toEqual([[1, 2]]);
  });

  test('drop who lags', () => {
    const stage = new Stage([ME, B, C]);
    stage.updates.start();
    stage.clock.advance(LAG_MS);
    expect(stage.isr).toEqual([]);
    stage.clock.advance(LAG_MS);
    expect(stage.isr).toEqual([[1]]);
  });

  test('give everybody the time that this node itself stood still, also when another follower asks to come in first', () => {
    const stage = new Stage([ME, B]);
    stage.updates.start();
    stage.clock.stall(2 * LAG_MS);
    stage.fetch(C);
    expect(stage.isr).toEqual([[1, 2, 3]]);
    stage.decided([ME, B, C]);
    stage.clock.advance(LAG_MS);
    expect(stage.isr).toHaveLength(1);
  });
});
