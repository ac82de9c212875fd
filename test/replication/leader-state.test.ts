import { describe, expect, test } from 'vitest';
import { leaderEpoch, type NodeId, nodeId, offset } from '#model/ids';
import { NO_PLANTED_BUGS } from '#model/planted-bugs';
import { LeaderState, type PartitionView } from '#replication/leader-state';

const [A, B, C] = [nodeId(1), nodeId(2), nodeId(3)];
const LAG_MS = 5000;
/** Broker epochs of the present processes. */
const EPOCHS = new Map([
  [A, 11],
  [B, 12],
  [C, 13],
]);
const everybody = (id: NodeId): number | undefined => EPOCHS.get(id);

function view(isr: readonly NodeId[], partitionEpoch = 7): PartitionView {
  return { leaderEpoch: leaderEpoch(4), partitionEpoch, replicas: [A, B, C], isr };
}

interface Given {
  readonly isr?: readonly NodeId[];
  readonly minIsr?: number;
  /** Where this epoch begins; everything below is durable here. */
  readonly start?: number;
  readonly highWatermark?: number;
}

/** A leads; B and C follow. */
class Stage {
  now = 0;
  end: number;
  readonly leader: LeaderState;

  constructor({ isr = [A, B, C], minIsr = 2, start = 0, highWatermark = 0 }: Given = {}) {
    this.end = start;
    this.leader = new LeaderState({
      self: A,
      view: view(isr),
      minIsr,
      epochStart: offset(start),
      durableOffset: offset(start),
      highWatermark: offset(highWatermark),
      now: 0,
      planted: NO_PLANTED_BUGS,
    });
  }

  /** The leader's log grows, and is synced. */
  append(count: number): this {
    this.end += count;
    this.leader.synced(offset(this.end));
    return this;
  }

  fetch(
    id: NodeId,
    fetchOffset: number,
    durable = fetchOffset,
    brokerEpoch = EPOCHS.get(id) ?? -1,
    logStartOffset = 0,
  ): this {
    const fetch = { brokerEpoch, fetchOffset: offset(fetchOffset), durableOffset: offset(durable), logStartOffset };
    this.leader.fetched(id, fetch, offset(this.end), this.now);
    return this;
  }

  /** As far as before, with no room for more. */
  fetchFull(id: NodeId, fetchOffset: number): this {
    const at = { fetchOffset: offset(fetchOffset), durableOffset: offset(fetchOffset), logStartOffset: 0 };
    const fetch = { brokerEpoch: EPOCHS.get(id) ?? -1, ...at, isFull: true };
    this.leader.fetched(id, fetch, offset(this.end), this.now);
    return this;
  }

  propose(active = everybody): readonly NodeId[] | undefined {
    return this.leader.propose(active, LAG_MS, this.now)?.isr.map(({ id }) => id);
  }

  get highWatermark(): number {
    return this.leader.highWatermark;
  }
}

describe('the high watermark', () => {
  test('is the least durable offset of those in sync', () => {
    const stage = new Stage().append(10).fetch(B, 10).fetch(C, 4);
    expect(stage.highWatermark).toBe(4);
    expect(stage.fetch(C, 10).highWatermark).toBe(10);
  });

  test('counts what a follower has synced, not what it has fetched', () => {
    const stage = new Stage().append(10).fetch(B, 10, 3).fetch(C, 10, 6);
    expect(stage.highWatermark).toBe(3);
  });

  test('counts what the leader has synced, not what it has appended', () => {
    const stage = new Stage();
    stage.end = 10;
    stage.fetch(B, 10).fetch(C, 10);
    expect(stage.highWatermark).toBe(0);
    stage.leader.synced(offset(8));
    expect(stage.highWatermark).toBe(8);
  });

  test('believes no follower that it has more on its disk than it has', () => {
    const stage = new Stage().append(10).fetch(B, 4, 10).fetch(C, 10);
    expect(stage.highWatermark).toBe(4);
  });

  test('waits for members of which nothing was heard', () => {
    expect(new Stage().append(10).fetch(B, 10).highWatermark).toBe(0);
  });

  test('does not wait for who is out of sync', () => {
    expect(new Stage({ isr: [A, B] }).append(10).fetch(B, 9).fetch(C, 2).highWatermark).toBe(9);
  });

  test('does not advance below min ISR (KIP-966)', () => {
    const stage = new Stage({ isr: [A] }).append(10);
    expect([stage.highWatermark, stage.leader.isUnderMinIsr]).toEqual([0, true]);
    stage.fetch(B, 10);
    stage.leader.changed(view([A, B], 8), 2, 0);
    expect([stage.highWatermark, stage.leader.isUnderMinIsr]).toEqual([10, false]);
  });

  test('asks for no more members than there are replicas', () => {
    const stage = new Stage({ isr: [A, B, C], minIsr: 5 }).append(3).fetch(B, 3).fetch(C, 3);
    expect(stage.highWatermark).toBe(3);
  });

  test('never goes back within an epoch', () => {
    const stage = new Stage().append(10).fetch(B, 10).fetch(C, 10).fetch(C, 5);
    expect(stage.highWatermark).toBe(10);
  });

  test('covers its own epoch before anything is served', () => {
    const stage = new Stage({ start: 20, highWatermark: 12 });
    expect(stage.leader.isReady).toBe(false);
    stage.fetch(B, 20).fetch(C, 15);
    expect([stage.highWatermark, stage.leader.isReady]).toEqual([15, false]);
    expect(stage.fetch(C, 20).leader.isReady).toBe(true);
  });
});

describe('a proposed ISR', () => {
  test('takes in who has everything that is committed', () => {
    const stage = new Stage({ isr: [A, B] }).append(10).fetch(B, 6).fetch(C, 5);
    expect(stage.propose()).toBeUndefined();
    expect(stage.fetch(C, 6).propose()).toEqual([A, B, C]);
  });

  test('takes nobody in who lacks what this epoch began with, whatever high watermark is known', () => {
    const stage = new Stage({ isr: [A, B], start: 20, highWatermark: 5 }).fetch(C, 19);
    expect(stage.leader.isCaughtUp(C)).toBe(false);
    expect(stage.propose()).toBeUndefined();
    expect(stage.fetch(C, 20).propose()).toEqual([A, B, C]);
  });

  test('takes nobody in whose log has what was deleted: it would bring it back', () => {
    const stage = new Stage({ isr: [A, B] }).append(10).fetch(B, 10).fetch(C, 10, 10, EPOCHS.get(C), 3);
    stage.leader.startsAt(offset(4));
    expect([stage.leader.isCaughtUp(C), stage.propose()]).toEqual([false, undefined]);
    expect(stage.fetch(C, 10, 10, EPOCHS.get(C), 4).propose()).toEqual([A, B, C]);
  });

  test('counts for the high watermark until its fate is known', () => {
    const stage = new Stage({ isr: [A, B] }).append(5).fetch(B, 5).fetch(C, 5);
    expect(stage.propose()).toEqual([A, B, C]);
    stage.append(5).fetch(B, 10);
    expect(stage.highWatermark).toBe(5);
    stage.leader.changed(view([A, B], 8), 2, 0);
    expect(stage.highWatermark).toBe(10);
  });

  test('outlives what changes nothing but the config', () => {
    const stage = new Stage({ isr: [A, B] }).append(5).fetch(B, 5).fetch(C, 5);
    expect(stage.propose()).toEqual([A, B, C]);
    stage.append(5).fetch(B, 10);
    stage.leader.changed(view([A, B]), 1, 0);
    expect([stage.highWatermark, stage.leader.isProposing]).toEqual([5, true]);
  });

  test('that is refused in the very state that it was made in counts no longer', () => {
    const stage = new Stage({ isr: [A, B] }).append(5).fetch(B, 5).fetch(C, 5);
    const proposal = stage.leader.propose(everybody, LAG_MS, 0);
    stage.append(5).fetch(B, 10);
    expect(proposal && stage.leader.refused(proposal)).toBe(true);
    expect(stage.highWatermark).toBe(10);
  });

  test('is not given up for the refusal of an earlier one', () => {
    const stage = new Stage({ isr: [A, B] }).append(5).fetch(B, 5).fetch(C, 5);
    const earlier = stage.leader.propose(everybody, LAG_MS, 0);
    stage.leader.changed(view([A, B], 8), 2, 0);
    expect(stage.propose()).toEqual([A, B, C]);
    stage.append(5).fetch(B, 10);
    expect(earlier && stage.leader.refused(earlier)).toBe(false);
    expect([stage.highWatermark, stage.leader.isProposing]).toEqual([5, true]);
  });

  test('still counts those who are to go', () => {
    const stage = new Stage().append(5).fetch(B, 5).fetch(C, 5);
    stage.append(5).fetch(B, 10);
    stage.now = LAG_MS + 1;
    stage.fetch(B, 10);
    expect(stage.propose()).toEqual([A, B]);
    expect(stage.highWatermark).toBe(5);
    stage.leader.changed(view([A, B], 8), 2, stage.now);
    expect(stage.highWatermark).toBe(10);
  });

  test('is one at a time', () => {
    const stage = new Stage({ isr: [A] }).fetch(B, 0);
    expect(stage.propose()).toEqual([A, B]);
    expect(stage.fetch(C, 0).propose()).toBeUndefined();
  });

  test('names the process that has fetched, and passes over another one of that broker', () => {
    const stage = new Stage({ isr: [A, B] }).fetch(C, 0, 0, 12);
    expect(stage.propose()).toBeUndefined();
    stage.fetch(C, 0);
    expect(stage.leader.propose(everybody, LAG_MS, 0)?.isr).toEqual([
      { id: A, brokerEpoch: 11 },
      { id: B, brokerEpoch: 12 },
      { id: C, brokerEpoch: 13 },
    ]);
  });

  test('takes in nobody who is fenced or drains', () => {
    const stage = new Stage({ isr: [A, B] }).fetch(C, 0);
    expect(stage.propose((id) => (id === C ? undefined : EPOCHS.get(id)))).toBeUndefined();
  });

  test('drops who was not caught up for replica.lag.time.max.ms', () => {
    const stage = new Stage().append(10).fetch(B, 10).fetch(C, 4);
    stage.now = LAG_MS;
    stage.fetch(B, 10);
    expect(stage.propose()).toBeUndefined();
    stage.now = LAG_MS + 1;
    expect(stage.propose()).toEqual([A, B]);
  });

  test('takes nobody back who has fallen silent, though nothing was written that it lacks', () => {
    const stage = new Stage().append(10).fetch(B, 10).fetch(C, 10);
    stage.now = LAG_MS + 1;
    stage.fetch(B, 10);
    expect(stage.propose()).toEqual([A, B]);
    stage.leader.changed(view([A, B], 8), 2, stage.now);
    expect([stage.leader.isCaughtUp(C), stage.propose()]).toEqual([true, undefined]);
    expect(stage.fetch(C, 10).propose()).toEqual([A, B, C]);
  });

  test('takes nobody back whose disk stands still, though nothing more is committed without it', () => {
    const stage = new Stage({ isr: [A, B], minIsr: 2 }).append(10).fetch(B, 10);
    for (stage.now = 0; stage.now <= LAG_MS + 10; stage.now += 10) stage.append(1).fetch(B, stage.end, 10);
    expect(stage.propose()).toEqual([A]);
    stage.leader.changed(view([A], 8), 2, stage.now);
    expect(stage.fetch(B, stage.end, 10).propose()).toBeUndefined();
    expect(stage.fetch(B, stage.end).propose()).toEqual([A, B]);
  });

  test('keeps a follower that is always a little behind', () => {
    const stage = new Stage();
    for (stage.now = 0; stage.now < 4 * LAG_MS; stage.now += 10) {
      stage.append(10);
      // What was written 20 ms ago is synced now.
      stage.fetch(B, stage.end, Math.max(0, stage.end - 20)).fetch(C, stage.end);
      expect(stage.propose()).toBeUndefined();
    }
  });

  test('drops a follower that fetches, but whose disk has come to a stand', () => {
    const stage = new Stage().append(10).fetch(B, 10).fetch(C, 10);
    for (stage.now = 0; stage.now <= LAG_MS + 10; stage.now += 10) {
      stage.append(1).fetch(B, stage.end).fetch(C, stage.end, 10);
    }
    expect(stage.propose()).toEqual([A, B]);
  });
});

describe('a follower without room', () => {
  test('leaves at once when what is on the disk of its leader waits for it', () => {
    const stage = new Stage().append(10).fetch(B, 10).fetchFull(C, 10);
    expect([stage.leader.isHeldUp, stage.propose()]).toEqual([false, undefined]);
    stage.append(1).fetch(B, 11);
    expect([stage.leader.isHeldUp, stage.propose(), stage.highWatermark]).toEqual([true, [A, B], 10]);
    stage.leader.changed(view([A, B], 8), 2, 0);
    expect([stage.leader.isHeldUp, stage.highWatermark]).toEqual([false, 11]);
  });

  test.each([
    ['the minimum of two', [A, C]],
    ['all others but one', [A, B, C]],
  ])('has as much time as others where writes would not go on without it: it is of %s', (_, isr) => {
    const stage = new Stage({ isr }).append(10).fetchFull(B, 4).fetchFull(C, 4);
    expect([stage.leader.isHeldUp, stage.propose()]).toEqual([true, undefined]);
    stage.now = LAG_MS + 1;
    expect(stage.propose()).toEqual([A]);
  });

  test('comes in when it has some, though it has all that is committed before', () => {
    const stage = new Stage({ isr: [A, B] }).append(10).fetch(B, 4).fetchFull(C, 4);
    expect([stage.highWatermark, stage.leader.isCaughtUp(C), stage.propose()]).toEqual([4, false, undefined]);
    expect(stage.fetch(C, 4).propose()).toEqual([A, B, C]);
  });
});

describe('a new process of a follower', () => {
  test('counts with what it has itself', () => {
    const stage = new Stage({ isr: [A, B] }).append(10).fetch(B, 10).fetch(C, 10);
    expect(stage.leader.isCaughtUp(C)).toBe(true);
    expect(stage.fetch(C, 3, 3, 14).leader.isCaughtUp(C)).toBe(false);
  });
});

describe('a leader without room', () => {
  test('is ready when everything that is left is committed', () => {
    const stage = new Stage({ isr: [A, B], start: 20, highWatermark: 12 }).fetch(B, 15);
    stage.leader.rejected(offset(15));
    expect(stage.leader.isReady).toBe(true);
  });
});
