/** Named after the sections of "In Search of an Understandable Consensus Algorithm (Extended Version)". */
import { describe, expect, test } from 'vitest';
import { entriesOf, Lone } from './lone.ts';
import { bytesOf, ELECTION_TIMEOUT_MS, keyOf, voterOf, votersPayload } from './support.ts';

const SILENCE_MS = 2 * ELECTION_TIMEOUT_MS;

describe('paper §5.1: epochs are a logical clock', () => {
  test('a message of a later epoch makes a leader a follower of that epoch', () => {
    const one = new Lone();
    one.elect();
    expect([one.raft.role, one.raft.epoch]).toEqual(['leader', 1]);
    one.append(2, 5);
    expect([one.raft.role, one.raft.epoch, one.raft.leader?.id]).toEqual(['follower', 5, 2]);
  });

  test('a request of an earlier epoch is refused with the later one, and changes nothing', () => {
    const one = new Lone({ epochs: [3] });
    one.append(2, 2, { prevIndex: 1, entries: entriesOf(2, 2) });
    expect(one.sent('appendResponse')).toMatchObject([{ epoch: 3, success: false }]);
    one.chunk(2, 2, {});
    expect(one.sent('snapshotResponse')).toMatchObject([{ epoch: 3, installed: false }]);
    one.vote(2, 2);
    expect(one.sent('voteResponse')).toMatchObject([{ epoch: 3, granted: false }]);
    expect([one.log, one.raft.leader, one.raft.hardState]).toEqual([
      '1/0 2/3',
      undefined,
      { epoch: 3, votedFor: null },
    ]);
  });

  test('an epoch that an answer names is entered, with the vote free', () => {
    const one = new Lone();
    one.elect();
    one.receive(3, { kind: 'voteResponse', epoch: 9, pre: false, voter: keyOf(3), granted: false });
    expect([one.raft.role, one.raft.hardState]).toEqual(['follower', { epoch: 9, votedFor: null }]);
  });
});

describe('paper §5.2: leader election', () => {
  test('a vote leaves after it is on disk, never before', () => {
    const one = new Lone({ slow: true });
    one.vote(2, 1);
    expect(one.sent('voteResponse')).toEqual([]);
    const state = one.outputs.at(-1)?.hardState;
    expect(state).toEqual({ epoch: 1, votedFor: keyOf(2) });
    if (state !== undefined) one.raft.hardStateSaved(state, one.now);
    one.settle();
    expect(one.sent('voteResponse')).toMatchObject([{ epoch: 1, granted: true, at: 2 }]);
  });

  test('a hard state that was saved frees nothing that depends on a later one', () => {
    const one = new Lone({ slow: true });
    one.vote(2, 1);
    const first = one.outputs.at(-1)?.hardState;
    one.append(3, 2);
    const second = one.outputs.at(-1)?.hardState;
    if (first === undefined || second === undefined) throw new Error('two hard states are to be saved');
    one.raft.hardStateSaved(first, one.now);
    one.settle();
    expect([one.sent('voteResponse'), one.sent('appendResponse')]).toEqual([[], []]);
    one.raft.hardStateSaved(second, one.now);
    one.settle();
    expect([one.sent('voteResponse').length, one.sent('appendResponse').length]).toEqual([1, 1]);
  });

  test('a candidate asks nobody before its own vote is on disk', () => {
    const one = new Lone({ slow: true });
    one.expire();
    expect(one.sent('voteRequest').map(({ pre }) => pre)).toEqual([true, true]);
    one.receive(2, { kind: 'voteResponse', epoch: 1, pre: true, voter: keyOf(2), granted: true });
    expect([one.raft.role, one.sent('voteRequest')]).toEqual(['candidate', []]);
  });

  test('one vote in an epoch, first come first served, also after a restart; the same candidate gets it again', () => {
    const one = new Lone({ hardState: { epoch: 4, votedFor: keyOf(2) } });
    one.vote(3, 4);
    one.vote(2, 4);
    expect(one.sent('voteResponse').map(({ granted }) => granted)).toEqual([false, true]);
  });

  test('a vote counts once, however often it comes, and only from a voter', () => {
    const one = new Lone({ voters: [1, 2, 3, 4, 5] });
    one.expire();
    for (const pre of [true, false]) {
      for (const from of [2, 2, 9, 2]) {
        one.receive(from, { kind: 'voteResponse', epoch: 1, pre, voter: keyOf(from), granted: true });
        expect(one.raft.role).toBe(pre ? 'prospective' : 'candidate');
      }
      one.receive(3, { kind: 'voteResponse', epoch: 1, pre, voter: keyOf(3), granted: true });
    }
    expect(one.raft.role).toBe('leader');
  });

  test('a candidate follows a leader of its own epoch', () => {
    const one = new Lone();
    one.expire();
    one.receive(2, { kind: 'voteResponse', epoch: 1, pre: true, voter: keyOf(2), granted: true });
    one.append(3, 1);
    expect([one.raft.role, one.raft.leader?.id]).toEqual(['follower', 3]);
  });

  test('timeouts are drawn from one to two election timeouts', () => {
    const deadlines = [1, 2, 3].map((id) => new Lone({ id }).raft.deadline);
    expect(new Set(deadlines).size).toBe(3);
    for (const deadline of deadlines) {
      expect(deadline).toBeGreaterThanOrEqual(ELECTION_TIMEOUT_MS);
      expect(deadline).toBeLessThan(SILENCE_MS);
    }
  });

  test('an only voter elects itself once its vote is on disk', () => {
    const one = new Lone({ voters: [1] });
    expect([one.raft.role, one.raft.isActive, one.raft.commitIndex]).toEqual(['leader', true, 2]);
    expect(new Lone({ voters: [1], slow: true }).raft.role).toBe('candidate');
  });
});

describe('paper §5.3: log replication', () => {
  test('an entry is committed when a majority, the leader included, has it on disk', () => {
    const one = new Lone({ slow: true });
    one.expire();
    one.receive(2, { kind: 'voteResponse', epoch: 1, pre: true, voter: keyOf(2), granted: true });
    one.raft.hardStateSaved(one.outputs.at(-1)?.hardState ?? one.raft.hardState, one.now);
    one.receive(2, { kind: 'voteResponse', epoch: 1, pre: false, voter: keyOf(2), granted: true });
    one.answer(2, 2, { durableIndex: 1 });
    expect(one.raft.commitIndex).toBe(0);
    one.answer(2, 2);
    expect(one.raft.commitIndex).toBe(0);
    one.raft.persisted(2, one.outputs.at(-1)?.generation ?? 0, one.now);
    expect([one.raft.commitIndex, one.raft.isActive]).toEqual([2, true]);
  });

  test('entries leave before they are on the leader’s disk, one behind the other, without waiting for answers', () => {
    const one = new Lone();
    one.elect();
    one.answer(2, 2);
    one.sent('append');
    for (const text of ['a', 'b']) {
      one.raft.propose(bytesOf(text), one.now);
      one.settle();
    }
    const sent = one.sent('append').filter(({ at, entries }) => at === 2 && entries.length > 0);
    expect(sent.map(({ prevIndex, entries }) => [prevIndex, entries.length])).toEqual([
      [2, 1],
      [3, 1],
    ]);
  });

  test('what is in flight to one follower is bounded by bytes', () => {
    const one = new Lone();
    one.elect();
    one.answer(2, 2);
    one.sent('append');
    for (let count = 0; count < 40; count += 1) one.raft.propose(new Uint8Array(100 * 1024), one.now);
    one.settle();
    const toTwo = one.sent('append').filter(({ at }) => at === 2);
    const bytes = toTwo.flatMap(({ entries }) => entries).reduce((sum, { payload }) => sum + payload.length, 0);
    expect(toTwo.length).toBeGreaterThan(1);
    expect(bytes).toBeLessThan(1.5 * 1024 * 1024);
    one.answer(2, 6);
    expect(one.sent('append').filter(({ at }) => at === 2).length).toBeGreaterThan(0);
  });

  test('what a follower has not on its disk is bounded as well: that it has come makes no room for more', () => {
    const one = new Lone();
    one.elect();
    one.answer(2, 2);
    for (let count = 0; count < 40; count += 1) one.raft.propose(new Uint8Array(100 * 1024), one.now);
    one.settle();
    const toTwo = () => one.sent('append').filter(({ at }) => at === 2);
    const last = toTwo().at(-1)?.entries.at(-1)?.index ?? 0;
    one.answer(2, last, { durableIndex: 2 });
    expect([last > 2, toTwo()]).toEqual([true, []]);
    one.answer(2, last);
    expect(toTwo().length).toBeGreaterThan(0);
  });

  test('entries that are here stay when an old request comes late', () => {
    const one = new Lone({ epochs: [1, 1, 1] });
    one.append(2, 1, { prevIndex: 1, entries: entriesOf(2, 1) });
    expect(one.log).toBe('1/0 2/1 3/1 4/1');
  });

  test.each([
    { what: 'misses entries', epochs: [1], behind: [3, 1], sent: [3], fits: false, log: '1/0 2/1' },
    {
      what: 'has more of the same epoch',
      epochs: [1, 1, 1],
      behind: [2, 1],
      sent: [1],
      fits: true,
      log: '1/0 2/1 3/1 4/1',
    },
    { what: 'has others', epochs: [1, 2, 2], behind: [2, 1], sent: [3], fits: true, log: '1/0 2/1 3/3' },
    {
      what: 'has others also before them',
      epochs: [1, 2, 2],
      behind: [4, 1],
      sent: [3],
      fits: false,
      log: '1/0 2/1 3/2 4/2',
    },
  ] as const)('figure 7: a follower that $what', ({ epochs, behind: [prevIndex, prevEpoch], sent, fits, log }) => {
    const one = new Lone({ epochs, hardState: { epoch: 3, votedFor: null } });
    one.append(2, 3, { prevIndex, prevEpoch, entries: entriesOf(prevIndex + 1, ...sent) });
    expect([one.sent('appendResponse')[0]?.success, one.log]).toEqual([fits, log]);
  });

  test('entries that do not follow each other are never taken, whoever sends them', () => {
    const one = new Lone();
    one.append(2, 3, { entries: entriesOf(3, 1) });
    one.append(2, 3, { entries: entriesOf(2, 2, 1) });
    one.append(2, 3, { entries: entriesOf(2, 4) });
    expect([one.log, one.sent('appendResponse')]).toEqual(['1/0', []]);
  });

  test('an answer about what the leader does not have is not believed', () => {
    const one = new Lone();
    one.elect();
    one.answer(2, 9);
    one.answer(2, 2, { durableIndex: 9 });
    expect([one.raft.commitIndex, one.raft.progress(one.now)[1]?.matchIndex]).toEqual([0, 0]);
  });
});

describe('paper §5.4.1: election restriction', () => {
  test.each([
    [[1, 1], 3, 1, true],
    [[1, 1], 4, 1, true],
    [[1, 1], 2, 1, false],
    [[1, 2], 9, 1, false],
    [[1, 1], 2, 2, true],
  ] as const)(
    'a log that ends in epochs %j and a candidate’s last entry %i/%i: %s',
    (epochs, lastIndex, lastEpoch, granted) => {
      for (const pre of [true, false]) {
        const one = new Lone({ epochs });
        one.vote(2, 7, { lastIndex, lastEpoch, pre });
        expect(one.sent('voteResponse')).toMatchObject([{ granted }]);
      }
    },
  );
});

describe('paper §5.4.2: entries of earlier epochs', () => {
  test('are not committed by counting, but with the first of the own epoch (figure 8: transcripts/figure-8.txt)', () => {
    const one = new Lone({ epochs: [1, 2] });
    one.elect();
    one.answer(2, 3);
    expect([one.raft.lastIndex, one.raft.commitIndex]).toEqual([4, 0]);
    one.answer(2, 4);
    expect(one.raft.commitIndex).toBe(4);
  });
});

describe('paper §5.4.3 and §8: what the leader knows', () => {
  test('every leader begins with an entry of its own, and is not active before that is committed', () => {
    const one = new Lone({ epochs: [1, 1] });
    one.elect();
    expect([one.log, one.raft.isActive]).toEqual(['1/0 2/1 3/1 4/2', false]);
    one.answer(3, 4);
    expect(one.raft.isActive).toBe(true);
  });

  test('nothing committed is ever cut off: who asks for that breaks an invariant', () => {
    const one = new Lone({ epochs: [1, 1] });
    one.append(2, 1, { prevIndex: 3, prevEpoch: 1, commitIndex: 3 });
    expect(one.raft.commitIndex).toBe(3);
    expect(() => one.append(3, 2, { prevIndex: 1, entries: entriesOf(2, 2, 2, 2) })).toThrow('committed entry 2');
  });
});

describe('paper §6: replicas that are no voters', () => {
  test('a voter uses the latest voters in its log at once, and those before when that entry is cut off', () => {
    const one = new Lone();
    const entry = { index: 2, epoch: 1, payload: bytesOf(votersPayload([1, 2, 3, 4].map((id) => voterOf(id)))) };
    one.append(2, 1, { entries: [entry] });
    expect(one.raft.voters.map(({ id }) => id)).toEqual([1, 2, 3, 4]);
    one.append(3, 2, { entries: entriesOf(2, 2) });
    expect(one.raft.voters.map(({ id }) => id)).toEqual([1, 2, 3]);
  });

  test('it votes for a candidate that its own log does not know as a voter', () => {
    const one = new Lone();
    one.vote(9, 1);
    expect(one.sent('voteResponse')).toMatchObject([{ granted: true }]);
  });
});

describe('paper §7: snapshots', () => {
  const snapshot = { index: 10, epoch: 1, voters: [1, 2, 3].map((id) => voterOf(id)) };

  test('chunks are written one after the other; the last one replaces the log, and only then it is answered as installed', () => {
    const one = new Lone({ epochs: [1] });
    one.chunk(2, 3, {});
    one.chunk(2, 3, { position: 1 });
    const stored = (): readonly number[] =>
      one.outputs.splice(0).flatMap(({ storeSnapshot }) => storeSnapshot.map(({ position }) => position));
    expect([stored(), one.sent('snapshotResponse')]).toEqual([[0], []]);
    one.raft.snapshotStored(0);
    one.settle();
    expect(one.sent('snapshotResponse')).toMatchObject([{ nextPosition: 1, installed: false }]);
    one.chunk(2, 3, { position: 1, last: true });
    expect([stored(), one.log]).toEqual([[1], '1/0 2/1']);
    one.raft.snapshotInstalled(snapshot);
    one.settle();
    expect(one.sent('snapshotResponse')).toMatchObject([{ installed: true }]);
    expect([one.log, one.raft.commitIndex, one.raft.durableIndex, one.raft.voters.length]).toEqual(['', 10, 10, 3]);
  });

  test('a leader that begins again at the first chunk is followed', () => {
    const one = new Lone();
    for (let times = 0; times < 2; times += 1) {
      one.chunk(2, 3, {});
      one.raft.snapshotStored(0);
      one.settle();
    }
    const written = one.outputs.flatMap(({ storeSnapshot }) => storeSnapshot.map(({ position }) => position));
    expect([written, one.sent('snapshotResponse').map(({ nextPosition }) => nextPosition)]).toEqual([
      [0, 0],
      [1, 1],
    ]);
  });

  test('while it is being installed, no late chunk of another one calls it off, and no entry is taken', () => {
    const one = new Lone({ epochs: [1, 1] });
    one.append(2, 3, { prevIndex: 3, prevEpoch: 1, commitIndex: 2 });
    one.chunk(2, 3, { last: true });
    one.chunk(2, 3, { index: 2, last: true });
    one.chunk(2, 3, { index: 3, last: true });
    one.append(2, 3, { prevIndex: 3, prevEpoch: 1, entries: entriesOf(4, 3) });
    expect(one.log).toBe('1/0 2/1 3/1');
    one.raft.snapshotInstalled(snapshot);
    one.settle();
    expect(one.raft.lastIndex).toBe(10);
  });

  test('while it is being installed, a leader that knows nothing of it is not made to search the log for what fits', () => {
    const one = new Lone({ epochs: [1, 1] });
    one.append(2, 3, { prevIndex: 3, prevEpoch: 1, commitIndex: 2 });
    one.chunk(2, 3, { last: true });
    one.sent('appendResponse');
    one.append(3, 4, { prevIndex: 20, prevEpoch: 4, entries: entriesOf(21, 4) });
    one.append(3, 4, { prevIndex: 2, prevEpoch: 1, entries: entriesOf(3, 4) });
    const here = { success: true, lastIndex: 2, durableIndex: 2 };
    expect(one.sent('appendResponse')).toMatchObject([here, here]);
    expect(one.log).toBe('1/0 2/1 3/1');
    one.raft.snapshotInstalled(snapshot);
    one.append(3, 4, { prevIndex: 20, prevEpoch: 4, entries: entriesOf(21, 4) });
    expect(one.sent('appendResponse')).toMatchObject([{ success: false, lastIndex: 10 }]);
  });

  test('a snapshot of what is here already is answered, not written; also when the log is not yet on disk', () => {
    const one = new Lone({ epochs: [1, 1] });
    one.chunk(2, 3, { index: 3, indexEpoch: 1 });
    expect(one.sent('snapshotResponse')).toMatchObject([{ installed: true, index: 3 }]);
    const slow = new Lone({ slow: true });
    slow.append(2, 1, { entries: entriesOf(2, 1) });
    slow.sent('snapshotResponse');
    slow.chunk(2, 1, { index: 2, indexEpoch: 1 });
    expect(slow.sent('snapshotResponse')).toEqual([]);
  });

  test('it stands not for election while its log is being replaced', () => {
    const one = new Lone();
    one.chunk(2, 3, { last: true });
    one.now += SILENCE_MS;
    one.expire();
    one.receive(2, { kind: 'takeOver', epoch: 3, leader: keyOf(2), to: keyOf(1) });
    expect([one.raft.role, one.raft.epoch]).toEqual(['follower', 3]);
  });

  test('what precedes a snapshot stays in memory for slow followers, within 4 MiB', () => {
    const one = new Lone({ voters: [1] });
    const size = 256 * 1024;
    for (let count = 0; count < 40; count += 1) one.raft.propose(new Uint8Array(size), one.now);
    one.settle();
    one.raft.compacted({ index: 40, epoch: 1 });
    const oldest = Array.from({ length: 42 }, (_, index) => index + 1).find(
      (index) => one.raft.entry(index) !== undefined,
    );
    expect(oldest).toBe(25);
    expect([one.raft.snapshot.index, one.raft.lastIndex]).toEqual([40, 42]);
  });

  test('a replica begins where its snapshot ends, with the voters that the snapshot names', () => {
    const one = new Lone({ snapshot, epochs: [2] });
    expect([one.log, one.raft.commitIndex, one.raft.voters.length]).toEqual(['11/2', 10, 3]);
  });
});
