import { describe, expect, it } from 'vitest';
import type { ReplicaKey } from '#model/voter';
import { DiskChecker } from '#sim/checkers/disk-checker';
import { RaftChecker } from '#sim/checkers/raft-checker';
import type { CoveragePoint } from '#sim/coverage';
import type { ViewHardState } from '#sim/node-view';
import {
  crc32c,
  entry,
  type FakeDisk,
  type FakeNode,
  type FakeView,
  fakeNode,
  replica,
  ruleBrokenBy,
} from './support.ts';

/** Three voters, of which the first leads epoch 1 by the votes of all; everything that a test does not spoil is right. */
class Quorum {
  readonly nodes = [fakeNode(1), fakeNode(2), fakeNode(3)] as const;
  readonly seen: CoveragePoint[] = [];
  readonly committed: number[] = [];
  /** Whose disk was replaced by an empty one. */
  replaced: FakeNode | undefined;
  readonly checker = new RaftChecker({
    crc32c,
    diskOf: (key) => this.#diskOf(key, (node) => node !== this.replaced),
    formerDiskOf: (key) => this.#diskOf(key, (node) => node === this.replaced),
    witnesses: () => this.nodes,
    sometimes: (point) => this.seen.push(point),
    proposed: () => {},
    committed: (_witness, index) => this.committed.push(index),
  });

  constructor() {
    for (const node of this.nodes) this.log(node, [1]);
    this.elect(this.nodes[0], 1);
  }

  /** Its log consists of entries of these epochs, durable. */
  log({ view }: FakeNode, epochs: readonly number[]): void {
    view.entries = epochs.map((epoch) => entry(epoch));
    view.durableIndex = view.lastIndex;
  }

  elect(node: FakeNode, epoch: number, voters: readonly FakeNode[] = this.nodes): void {
    for (const { disk, view } of voters) {
      disk.hardState = { epoch, votedFor: node.view.self };
      view.epoch = Math.max(view.epoch, epoch);
    }
    node.view.role = 'leader';
    node.view.epoch = epoch;
    this.look(node);
  }

  commit(node: FakeNode, index: number): void {
    this.change(node, (view) => {
      view.commitIndex = index;
    });
  }

  change(node: FakeNode, act: (view: FakeView) => void): void {
    act(node.view);
    this.look(node);
  }

  look(node: FakeNode): void {
    node.view.version += 1;
    this.checker.look(node);
  }

  #diskOf({ id, directoryId }: ReplicaKey, isOne: (node: FakeNode) => boolean): FakeDisk | undefined {
    const isOf = ({ self }: FakeView): boolean => self.id === id && self.directoryId === directoryId;
    return this.nodes.find((node) => isOne(node) && isOf(node.view))?.disk;
  }
}

describe('the checker of the metadata log', () => {
  it('has nothing to say of a quorum that elects, commits, is followed, and elects again', () => {
    const quorum = new Quorum();
    const [one, two, three] = quorum.nodes;
    for (const node of quorum.nodes) quorum.log(node, [1, 1]);
    quorum.commit(one, 2);
    quorum.commit(two, 1);
    quorum.commit(two, 2);
    one.view.role = 'follower';
    quorum.look(one);
    quorum.elect(two, 2, [two, three]);
    for (const node of [two, three]) quorum.log(node, [1, 1, 2]);
    quorum.commit(two, 3);
    quorum.checker.checkSurvival();
    expect(quorum.committed).toEqual([1, 2, 3]);
    expect(quorum.seen).toContain('leader elected after another');
    expect(quorum.checker.leaderCount).toBe(2);
  });

  it('looks no further while the version stands still', () => {
    const quorum = new Quorum();
    const [one] = quorum.nodes;
    one.view.commitIndex = 99;
    quorum.checker.look(one);
    expect(ruleBrokenBy(() => quorum.look(one))).toBe('R6');
  });

  it('R1: two leaders of one epoch', () => {
    const quorum = new Quorum();
    expect(ruleBrokenBy(() => quorum.elect(quorum.nodes[1], 1))).toBe('R1');
  });

  it('R2: two entries of one index and epoch', () => {
    const quorum = new Quorum();
    const [, two] = quorum.nodes;
    two.view.entries = [entry(1, 'something else')];
    expect(ruleBrokenBy(() => quorum.look(two))).toBe('R2');
  });

  it('R2: one entry behind two', () => {
    const quorum = new Quorum();
    const [one, two] = quorum.nodes;
    one.view.role = 'follower';
    one.view.epoch = 3;
    quorum.log(one, [1, 1, 3]);
    quorum.look(one);
    quorum.log(two, [1, 2, 3]);
    two.view.epoch = 3;
    expect(ruleBrokenBy(() => quorum.look(two))).toBe('R2');
  });

  it('R2: an entry behind one of a later epoch, and one of which its holder knows nothing', () => {
    const quorum = new Quorum();
    const [, two, three] = quorum.nodes;
    two.view.epoch = 2;
    quorum.log(two, [2, 1]);
    expect(ruleBrokenBy(() => quorum.look(two))).toBe('R2');
    three.view.entries = [undefined as never];
    expect(ruleBrokenBy(() => quorum.look(three))).toBe('R2');
  });

  it('R2: an entry of an epoch that its holder has not reached', () => {
    const quorum = new Quorum();
    const [, two] = quorum.nodes;
    quorum.log(two, [1, 2]);
    expect(ruleBrokenBy(() => quorum.look(two))).toBe('R2');
  });

  it('R3: two entries of one index committed', () => {
    const quorum = new Quorum();
    const [one, two, three] = quorum.nodes;
    for (const node of quorum.nodes) quorum.log(node, [1, 1]);
    quorum.commit(one, 2);
    for (const node of [two, three]) {
      quorum.log(node, [1, 2]);
      node.view.epoch = 2;
    }
    expect(ruleBrokenBy(() => quorum.commit(two, 2))).toBe('R3');
  });

  it('R3: a log that is cut below what its own node took for committed', () => {
    const quorum = new Quorum();
    const [one, two] = quorum.nodes;
    for (const node of quorum.nodes) quorum.log(node, [1, 1]);
    quorum.commit(one, 2);
    quorum.commit(two, 2);
    for (const left of [[1], []]) {
      quorum.log(two, left);
      expect(ruleBrokenBy(() => quorum.look(two))).toBe('R3');
    }
  });

  it('R4: a majority of disks that have lost what was committed', () => {
    const quorum = new Quorum();
    const [one, two, three] = quorum.nodes;
    quorum.commit(one, 1);
    two.disk.until = 0;
    quorum.checker.checkSurvival();
    three.disk.until = 0;
    expect(ruleBrokenBy(() => quorum.checker.checkSurvival())).toBe('R4');
  });

  it('R5: a leader that lacks what was committed before it', () => {
    const quorum = new Quorum();
    const [one, two, three] = quorum.nodes;
    for (const node of [one, two]) quorum.log(node, [1, 1]);
    quorum.commit(one, 2);
    expect(ruleBrokenBy(() => quorum.elect(three, 2))).toBe('R5');
  });

  it('R5: a leader that has something else in the place of what was committed before it', () => {
    const quorum = new Quorum();
    const [one, two, three] = quorum.nodes;
    for (const node of [one, two]) quorum.log(node, [1, 1]);
    quorum.commit(one, 2);
    quorum.log(three, [1, 2, 2]);
    expect(ruleBrokenBy(() => quorum.elect(three, 3))).toBe('R5');
  });

  it('R5: a leader that lacks what one of an earlier epoch commits after its election', () => {
    const quorum = new Quorum();
    const [one, two, three] = quorum.nodes;
    for (const node of [one, three]) quorum.log(node, [1, 1]);
    quorum.elect(two, 2, [two, three]);
    expect(ruleBrokenBy(() => quorum.commit(one, 2))).toBe('R5');
  });

  it('R5: a leader that drops what nobody has committed yet', () => {
    const quorum = new Quorum();
    const [one] = quorum.nodes;
    quorum.log(one, [1, 1]);
    quorum.look(one);
    quorum.log(one, [1]);
    expect(ruleBrokenBy(() => quorum.look(one))).toBe('R5');
  });

  it('R5: an entry of an older epoch committed by count', () => {
    const quorum = new Quorum();
    const [one, two] = quorum.nodes;
    quorum.log(one, [1, 1]);
    one.view.role = 'follower';
    quorum.look(one);
    quorum.log(two, [1, 1]);
    quorum.elect(two, 2);
    expect(ruleBrokenBy(() => quorum.commit(two, 2))).toBe('R5');
  });

  it('R6: a node that takes for durable what is not on its disk', () => {
    const quorum = new Quorum();
    const [, two] = quorum.nodes;
    quorum.log(two, [1, 1]);
    two.disk.until = 1;
    expect(ruleBrokenBy(() => quorum.look(two))).toBe('R6');
  });

  it('R6: a node that takes for committed what is not on its disk, or not even in its log', () => {
    const quorum = new Quorum();
    const [one, two] = quorum.nodes;
    for (const node of quorum.nodes) quorum.log(node, [1, 1]);
    quorum.commit(one, 2);
    two.view.durableIndex = 1;
    two.disk.until = 1;
    expect(ruleBrokenBy(() => quorum.commit(two, 2))).toBe('R6');
    expect(ruleBrokenBy(() => quorum.commit(one, 3))).toBe('R6');
  });

  it('R7: an epoch or a commit that goes back', () => {
    const quorum = new Quorum();
    const [one, two] = quorum.nodes;
    quorum.commit(one, 1);
    expect(ruleBrokenBy(() => quorum.commit(one, 0))).toBe('R7');
    quorum.look(two);
    expect(
      ruleBrokenBy(() =>
        quorum.change(two, (view) => {
          view.epoch = 0;
        }),
      ),
    ).toBe('R7');
  });

  it('R7: a leader for whom no majority of disks has a vote', () => {
    const quorum = new Quorum();
    const [one, two] = quorum.nodes;
    one.view.role = 'follower';
    quorum.look(one);
    expect(ruleBrokenBy(() => quorum.elect(two, 2, [two]))).toBe('R7');
  });

  it('R7: a leader of an epoch in which the others have voted for somebody else', () => {
    const quorum = new Quorum();
    const [one, two, three] = quorum.nodes;
    for (const { disk } of [one, three]) disk.hardState = { epoch: 2, votedFor: three.view.self };
    expect(ruleBrokenBy(() => quorum.elect(two, 2, [two]))).toBe('R7');
  });

  it('R8: a commit that is on the disks of a minority', () => {
    const quorum = new Quorum();
    const [one] = quorum.nodes;
    quorum.log(one, [1, 1]);
    expect(ruleBrokenBy(() => quorum.commit(one, 2))).toBe('R8');
  });

  it('R8: a disk that was replaced counts with what it had, and no more', () => {
    for (const [end, rule] of [
      [2, undefined],
      [1, 'R8'],
    ] as const) {
      const quorum = new Quorum();
      const [one, two] = quorum.nodes;
      for (const node of [one, two]) quorum.log(node, [1, 1]);
      two.disk.until = end;
      quorum.replaced = two;
      const commit = (): void => quorum.commit(one, 2);
      if (rule === undefined) commit();
      else expect(ruleBrokenBy(commit)).toBe(rule);
    }
  });

  it('R9: a snapshot of what nobody committed, and one that goes back', () => {
    const quorum = new Quorum();
    const [one, two] = quorum.nodes;
    for (const node of quorum.nodes) quorum.log(node, [1, 1]);
    quorum.commit(one, 2);
    const takeSnapshot = (index: number, epoch: number, committed: number) => () =>
      quorum.change(two, (view) => {
        view.entries = view.entries.slice(index - view.snapshotIndex);
        view.snapshotIndex = index;
        view.snapshotEpoch = epoch;
        view.commitIndex = committed;
      });
    expect(ruleBrokenBy(takeSnapshot(1, 7, 1))).toBe('R9');
    expect(ruleBrokenBy(takeSnapshot(2, 1, 1))).toBe('R9');
    takeSnapshot(2, 1, 2)();
    two.view.entries = [entry(1)];
    expect(ruleBrokenBy(takeSnapshot(1, 1, 2))).toBe('R9');
  });

  it('R9: a leader that loads a snapshot', () => {
    const quorum = new Quorum();
    const [one, two] = quorum.nodes;
    quorum.log(two, [1, 1, 1]);
    quorum.commit(two, 3);
    const load = (view: FakeView): void => {
      Object.assign(view, { entries: [], snapshotIndex: 3, snapshotEpoch: 1, commitIndex: 3, durableIndex: 3 });
    };
    expect(ruleBrokenBy(() => quorum.change(one, load))).toBe('R9');
  });

  it('R10: two voters that change at once, and a change before the one before it is committed', () => {
    const changes = (...sets: (readonly [index: number, voters: number[]])[]): void => {
      const quorum = new Quorum();
      const [one] = quorum.nodes;
      quorum.commit(one, 1);
      for (const [index, ids] of sets) {
        quorum.change(one, (view) => {
          view.votersIndex = index;
          view.voters = ids.map((id) => replica(id));
        });
      }
    };
    changes([2, [1, 2]]);
    expect(ruleBrokenBy(() => changes([2, [1]]))).toBe('R10');
    expect(ruleBrokenBy(() => changes([2, [1, 2, 4]]))).toBe('R10');
    expect(ruleBrokenBy(() => changes([2, [1, 2]], [3, [1, 2, 4]]))).toBe('R10');
  });
});

describe('the checker of a disk', () => {
  type State = ViewHardState | 'wiped' | undefined;
  const unvoted = (epoch: number): State => ({ epoch, votedFor: null });
  const voted = (epoch: number, id: number, disk?: string): State => ({ epoch, votedFor: replica(id, disk) });

  /** A disk that goes through these states. */
  function goThrough(...states: readonly State[]): void {
    const disk: { hardState: ViewHardState | undefined } = { hardState: undefined };
    const checker = new DiskChecker('n1', disk);
    for (const state of states) {
      if (state === 'wiped') checker.wiped();
      disk.hardState = state === 'wiped' ? undefined : state;
      checker.look();
    }
  }

  it('has nothing to say of epochs that rise, one vote in each, and of an empty disk that begins anew', () => {
    goThrough(unvoted(1), voted(1, 2), unvoted(3), 'wiped', unvoted(1));
  });

  it.each([
    ['an epoch that goes back', unvoted(2), unvoted(1)],
    ['a second vote in one epoch', voted(2, 1), voted(2, 3)],
    ['a second vote for another disk of the same node', voted(2, 1), voted(2, 1, 'B')],
    ['a vote that is taken back', voted(2, 1), unvoted(2)],
    ['a vote that is forgotten', unvoted(2), undefined],
  ])('R7: %s', (_, before, after) => {
    expect(ruleBrokenBy(() => goThrough(before, after))).toBe('R7');
  });
});
