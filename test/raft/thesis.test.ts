/** Named after the sections of Ongaro's thesis "Consensus: Bridging Theory and Practice", and what our replicas have beside it. */
import { describe, expect, test } from 'vitest';
import { entriesOf, Lone } from './lone.ts';
import { bytesOf, ELECTION_TIMEOUT_MS, HEARTBEAT_MS, keyOf, nameOf, voterOf, votersPayload } from './support.ts';

const SILENCE_MS = 2 * ELECTION_TIMEOUT_MS;

describe('thesis §3.10: leadership transfer', () => {
  test('to the voter with the longest log, if it was heard of lately; nothing is proposed meanwhile, for a timeout at most', () => {
    const one = new Lone();
    one.elect();
    one.answer(2, 2);
    one.answer(3, 1);
    expect(one.raft.transfer(undefined, one.now)).toBe(true);
    expect(one.raft.propose(bytesOf('a'), one.now)).toBeUndefined();
    one.settle();
    expect(one.sent('takeOver').map(({ at }) => at)).toEqual([2]);
    const until = one.now + ELECTION_TIMEOUT_MS;
    while (one.now < until) {
      expect(one.raft.propose(bytesOf('a'), one.now)).toBeUndefined();
      one.expire();
      one.answer(2, 2, { round: one.sent('append').at(-1)?.round ?? 1 });
    }
    expect(one.raft.propose(bytesOf('a'), one.now)).toBe(3);
    expect(one.raft.transfer(voterOf(9).id, one.now)).toBe(false);
  });

  test('the wish of the leader is stronger than its lease', () => {
    const one = new Lone();
    one.append(2, 1);
    one.vote(3, 2);
    one.vote(3, 2, { transfer: true });
    expect(one.sent('voteResponse').map(({ granted }) => granted)).toEqual([false, true]);
  });

  test('a wish of an epoch that is over is not obeyed', () => {
    const one = new Lone({ epochs: [3] });
    one.receive(2, { kind: 'takeOver', epoch: 2, leader: keyOf(2), to: keyOf(1) });
    expect([one.raft.role, one.raft.epoch]).toEqual(['follower', 3]);
  });
});

describe('thesis §4.1 and its erratum: one change at a time', () => {
  const change = (...ids: readonly number[]): Uint8Array => bytesOf(votersPayload(ids.map((id) => voterOf(id))));

  test('none before the first entry of the leader’s epoch is committed, and none before the last one is', () => {
    const one = new Lone();
    one.elect();
    expect([one.raft.mayChangeVoters, one.raft.propose(change(1, 2), one.now)]).toEqual([false, undefined]);
    one.answer(2, 2);
    expect([one.raft.mayChangeVoters, one.raft.propose(change(1, 2), one.now)]).toEqual([true, 3]);
    expect([one.raft.mayChangeVoters, one.raft.propose(change(1), one.now)]).toEqual([false, undefined]);
    one.answer(2, 3);
    expect(one.raft.mayChangeVoters).toBe(true);
  });

  test('a set that was committed long ago is no reason to change it before the first entry of the epoch', () => {
    const voters = [1, 2, 3].map((id) => voterOf(id));
    const one = new Lone({ snapshot: { index: 10, epoch: 1, voters }, hardState: { epoch: 1, votedFor: null } });
    one.elect();
    expect([one.raft.role, one.raft.mayChangeVoters, one.raft.propose(change(1, 2), one.now)]).toEqual([
      'leader',
      false,
      undefined,
    ]);
    one.answer(2, 11);
    expect(one.raft.propose(change(1, 2), one.now)).toBe(12);
  });

  test('two at once break an invariant', () => {
    const one = new Lone();
    one.elect();
    one.answer(2, 2);
    expect(() => one.raft.propose(change(1, 2, 4, 5), one.now)).toThrow('more than one voter');
    expect(() => one.raft.propose(change(1, 2, 4), one.now)).toThrow('more than one voter');
  });
});

describe('thesis §4.2.1: a new replica catches up before it is a voter', () => {
  test('it has caught up when it had, within an election timeout, all that the leader had', () => {
    const one = new Lone();
    one.elect();
    one.answer(2, 2);
    const { id, directoryId } = voterOf(4);
    one.receive(4, { kind: 'join', epoch: 0, observer: voterOf(4), lastIndex: 0, lastEpoch: 0, wantsVote: true });
    const progress = (): unknown => one.raft.progress(one.now).find(({ key }) => key.id === 4);
    expect(progress()).toMatchObject({ key: { id, directoryId }, isVoter: false, wantsVote: true, isCaughtUp: false });
    one.answer(4, 2);
    expect(progress()).toMatchObject({ matchIndex: 2, isCaughtUp: true });
    one.now += ELECTION_TIMEOUT_MS;
    expect(progress()).toMatchObject({ isCaughtUp: false });
  });

  test('what it has counts for no commit', () => {
    const one = new Lone();
    one.elect();
    one.receive(4, { kind: 'join', epoch: 0, observer: voterOf(4), lastIndex: 0, lastEpoch: 0, wantsVote: false });
    one.answer(4, 2);
    expect(one.raft.commitIndex).toBe(0);
  });
});

describe('thesis §4.2.2: a leader that is removed', () => {
  test('does not count itself, leads until that is committed, then tells a successor and steps down', () => {
    const one = new Lone();
    one.elect();
    one.answer(2, 2);
    one.raft.propose(bytesOf(votersPayload([voterOf(2), voterOf(3)])), one.now);
    one.settle();
    one.answer(2, 3);
    expect([one.raft.role, one.raft.commitIndex]).toEqual(['leader', 2]);
    one.answer(3, 3);
    expect([one.raft.role, one.raft.commitIndex, one.sent('takeOver').length]).toEqual(['observer', 3, 1]);
  });
});

describe('thesis §4.2.3: servers that disturb', () => {
  test('who has heard of a leader within an election timeout neither votes nor follows into the epoch', () => {
    for (const pre of [true, false]) {
      const one = new Lone();
      one.append(2, 1);
      one.now += ELECTION_TIMEOUT_MS - 1;
      one.vote(3, 9, { pre });
      expect([one.sent('voteResponse')[0]?.granted, one.raft.epoch]).toEqual([false, 1]);
      one.now += 1;
      one.vote(3, 9, { pre });
      expect([one.sent('voteResponse')[0]?.granted, one.raft.epoch]).toEqual([true, pre ? 1 : 9]);
    }
  });

  test('nor does a leader, which steps down by itself when it has no majority', () => {
    const one = new Lone();
    one.elect();
    one.now += ELECTION_TIMEOUT_MS;
    one.vote(3, 9);
    expect([one.raft.role, one.raft.epoch]).toEqual(['leader', 1]);
    one.expire();
    expect(one.raft.role).toBe('follower');
  });

  test('the end of the connection with the leader ends its lease', () => {
    const one = new Lone();
    one.append(2, 1);
    one.raft.disconnected(voterOf(3).id, one.now);
    one.vote(3, 2, { pre: true });
    one.raft.disconnected(voterOf(2).id, one.now);
    one.vote(3, 2, { pre: true });
    expect(one.sent('voteResponse').map(({ granted }) => granted)).toEqual([false, true]);
    expect(one.raft.deadline - one.now).toBeLessThan(ELECTION_TIMEOUT_MS);
  });
});

describe('thesis §4.2.4: availability while voters change', () => {
  test('an entry that makes a voter is sent to it, and one that removes it as well', () => {
    const one = new Lone();
    one.elect();
    one.answer(2, 2);
    one.answer(3, 2);
    one.sent('append');
    one.raft.propose(bytesOf(votersPayload([1, 2, 3, 4].map((id) => voterOf(id)))), one.now);
    one.settle();
    expect(one.sent('append').map(({ at }) => at)).toContain(4);
    one.answer(2, 3);
    one.answer(3, 3);
    one.sent('append');
    one.raft.propose(bytesOf(votersPayload([1, 2, 4].map((id) => voterOf(id)))), one.now);
    one.settle();
    expect(one.sent('append').map(({ at }) => at)).toContain(3);
  });
});

describe('thesis §6.2: check-quorum', () => {
  test('a leader that hears of one of two others goes on; of none, it steps down after an election timeout', () => {
    const one = new Lone();
    one.elect();
    for (let count = 0; count < 30; count += 1) {
      one.expire();
      one.answer(3, 2, { round: one.sent('append').at(-1)?.round ?? 1 });
    }
    expect([one.raft.role, one.now > SILENCE_MS]).toEqual(['leader', true]);
    const since = one.now;
    while (one.raft.role === 'leader') one.expire();
    expect(one.now - since).toBeLessThanOrEqual(ELECTION_TIMEOUT_MS + 100);
  });

  test('an answer counts from when the question left, not from when it came', () => {
    const one = new Lone();
    one.elect();
    one.now += ELECTION_TIMEOUT_MS - 50;
    one.answer(2, 2, { round: 1 });
    one.now += 50;
    one.expire();
    expect(one.raft.role).toBe('follower');
  });
});

describe('thesis §6.4: linearizable reads', () => {
  test('wait for a round of heartbeats that began after they came, and see all that was committed then', () => {
    const one = new Lone();
    one.elect();
    one.answer(2, 2);
    one.sent('append');
    const ticket = one.raft.read();
    one.settle();
    const [asked] = one.sent('append');
    one.outputs = [];
    one.answer(2, 2, { round: (asked?.round ?? 0) - 1 });
    expect(one.outputs.flatMap(({ reads }) => reads)).toEqual([]);
    one.answer(3, 2, { round: asked?.round ?? 0 });
    expect(one.outputs.flatMap(({ reads }) => reads)).toEqual([{ ticket, index: 2 }]);
  });

  test('wait for the first entry of the epoch: before it is committed, the leader may not know all that is', () => {
    const one = new Lone({ epochs: [1] });
    one.elect();
    const ticket = one.raft.read();
    one.expire();
    one.answer(2, 2, { round: one.sent('append').at(-1)?.round ?? 1 });
    expect(one.outputs.flatMap(({ reads }) => reads)).toEqual([]);
    one.answer(2, 3);
    one.answer(2, 3, { round: one.sent('append').at(-1)?.round ?? 1 });
    expect(one.outputs.flatMap(({ reads }) => reads)).toEqual([{ ticket, index: 3 }]);
  });

  test('are refused by who does not lead, and by who ceases to', () => {
    const one = new Lone();
    const first = one.raft.read();
    one.elect();
    one.answer(2, 2);
    const second = one.raft.read();
    one.outputs = [];
    one.settle();
    one.append(2, 9);
    expect(one.outputs.flatMap(({ refusedReads }) => refusedReads)).toEqual([second]);
    expect(first).not.toBe(second);
  });

  test('no answer to a round that never was confirms one', () => {
    const one = new Lone();
    one.elect();
    one.answer(2, 2);
    one.raft.read();
    one.settle();
    one.outputs = [];
    one.answer(2, 2, { round: 1_000_000 });
    expect(one.outputs.flatMap(({ reads }) => reads)).toEqual([]);
  });
});

describe('thesis §9.6: pre-vote', () => {
  test('raises no epoch and promises nothing', () => {
    const one = new Lone();
    one.vote(2, 1, { pre: true });
    one.vote(3, 1, { pre: true });
    expect(one.sent('voteResponse').map(({ granted }) => granted)).toEqual([true, true]);
    expect(one.raft.hardState).toEqual({ epoch: 0, votedFor: null });
  });

  test('of two that ask each other, the lower id goes first; the higher one stands back', () => {
    const [low, high] = [new Lone({ id: 1 }), new Lone({ id: 2 })];
    low.expire();
    high.expire();
    low.vote(2, 1, { pre: true });
    high.vote(1, 1, { pre: true });
    expect([low.raft.role, low.sent('voteResponse')[0]?.granted]).toEqual(['prospective', false]);
    expect([high.raft.role, high.sent('voteResponse')[0]?.granted]).toEqual(['follower', true]);
  });

  test('who is refused, be it by one that has not seen the end of the leader yet, lets others go first, and asks again soon', () => {
    const low = new Lone({ id: 1 });
    low.expire();
    low.receive(2, { kind: 'voteResponse', epoch: 0, pre: true, voter: keyOf(2), granted: false });
    expect(low.raft.deadline - low.now).toBeLessThanOrEqual(2 * HEARTBEAT_MS);
    low.sent('voteRequest');
    low.expire();
    expect(low.sent('voteRequest').map(({ at, pre }) => [at, pre])).toEqual([
      [2, true],
      [3, true],
    ]);
    low.receive(2, { kind: 'voteResponse', epoch: 0, pre: true, voter: keyOf(2), granted: false });
    low.vote(2, 1, { pre: true });
    expect([low.raft.role, low.sent('voteResponse')[0]?.granted]).toEqual(['follower', true]);
  });

  test('who can reach nobody never raises the epoch', () => {
    const one = new Lone();
    for (let count = 0; count < 50; count += 1) one.expire();
    expect([one.raft.role, one.raft.epoch]).toEqual(['prospective', 0]);
  });
});

describe('KIP-853: a replica is its node and its disk', () => {
  test('what the new disk of a voter says is not taken for what the old one had, nor the other way round', () => {
    const one = new Lone();
    one.elect();
    const wiped = voterOf(2, 1);
    one.receive(2, { kind: 'join', epoch: 0, observer: wiped, lastIndex: 0, lastEpoch: 0, wantsVote: true });
    const { index, epoch } = { index: 2, epoch: 1 };
    one.receive(2, {
      kind: 'appendResponse',
      epoch,
      from: keyOf(2, 1),
      round: 1,
      prevIndex: index,
      success: true,
      lastIndex: index,
      lastEpoch: 1,
      durableIndex: index,
    });
    const progress = one.raft.progress(one.now).filter(({ key }) => key.id === 2);
    expect(progress.map(({ isVoter, matchIndex }) => [isVoter, matchIndex])).toEqual([
      [true, 0],
      [false, 2],
    ]);
    expect(one.raft.commitIndex).toBe(0);
  });

  test('a request, an entry or a chunk for the disk that this node had is not answered', () => {
    const one = new Lone();
    one.vote(2, 1, { voter: keyOf(1, 7) });
    one.append(2, 1, { to: keyOf(1, 7) });
    one.chunk(2, 1, { to: keyOf(1, 7) });
    one.receive(2, { kind: 'takeOver', epoch: 1, leader: keyOf(2), to: keyOf(1, 7) });
    const said = [...one.sent('voteResponse'), ...one.sent('appendResponse'), ...one.sent('snapshotResponse')];
    expect([said, one.raft.epoch, one.raft.leader]).toEqual([[], 0, undefined]);
  });
});

describe('a leader whose own disk stands still', () => {
  /** Active, with an entry that both others have on disk, and its own has not taken. */
  function outrun(): { one: Lone; save: () => void; hear: () => void } {
    const one = new Lone({ slow: true });
    const save = (): void => {
      for (const { hardState, append, generation } of one.outputs.splice(0)) {
        if (hardState !== undefined) one.raft.hardStateSaved(hardState, one.now);
        const last = append.at(-1);
        if (last !== undefined) one.raft.persisted(last.index, generation, one.now);
      }
      one.settle();
    };
    const hear = (): void => {
      one.expire();
      const round = one.sent('append').at(-1)?.round ?? 1;
      for (const id of [2, 3]) one.answer(id, one.raft.lastIndex, { round });
    };
    one.expire();
    for (const pre of [true, false]) {
      one.receive(2, { kind: 'voteResponse', epoch: 1, pre, voter: keyOf(2), granted: true });
      save();
    }
    for (const id of [2, 3]) one.answer(id, 2);
    one.raft.propose(bytesOf('a'), one.now);
    one.settle();
    hear();
    expect([one.raft.isActive, one.raft.commitIndex, one.raft.lastIndex]).toEqual([true, 2, 3]);
    return { one, save, hear };
  }

  test('for an election timeout hands over, where a majority has more on theirs', () => {
    const { one, hear } = outrun();
    const since = one.now;
    while (one.sent('takeOver').length === 0 && one.now - since < 3 * ELECTION_TIMEOUT_MS) hear();
    expect(one.now - since).toBeGreaterThanOrEqual(ELECTION_TIMEOUT_MS);
    expect(one.now - since).toBeLessThanOrEqual(ELECTION_TIMEOUT_MS + 2 * HEARTBEAT_MS);
    expect(one.raft.propose(bytesOf('b'), one.now)).toBeUndefined();
  });

  test('for less leads on, however far behind it is', () => {
    const { one, save, hear } = outrun();
    for (let count = 0; count < 40; count += 1) {
      hear();
      if (count % 5 !== 0) continue;
      save();
      one.raft.propose(bytesOf('b'), one.now);
      one.settle();
    }
    expect([one.raft.role, one.sent('takeOver')]).toEqual(['leader', []]);
  });
});

describe('a node that comes back with another disk, elsewhere', () => {
  test('is sent nothing at its former address any more: its connections would go to and fro', () => {
    const one = new Lone();
    one.elect();
    one.answer(2, 2);
    const observer = { ...voterOf(3, 1), host: 'elsewhere' };
    one.receive(3, { kind: 'join', epoch: 0, observer, lastIndex: 0, lastEpoch: 0, wantsVote: true });
    one.outputs = [];
    for (let round = 0; round < 6; round += 1) {
      one.expire();
      one.answer(2, 2, { round: one.sent('append').at(-1)?.round ?? 1 });
    }
    const sent = one.outputs.flatMap(({ messages }) => messages).filter(({ to }) => to.id === 3);
    const receivers = new Set(sent.map(({ message }) => 'to' in message && nameOf(message.to)));
    expect([receivers, new Set(sent.map(({ to }) => to.host))]).toEqual([new Set(['3', '3b']), new Set(['elsewhere'])]);
  });
});

describe('a disk without room', () => {
  test('an active leader asks the best of the others to take over: nobody waits for a timeout', () => {
    const one = new Lone();
    one.elect();
    one.answer(2, 1);
    one.answer(3, 2);
    expect(one.raft.isActive).toBe(true);
    one.raft.propose(bytesOf('a'), one.now);
    one.raft.diskFull(one.now);
    one.settle();
    expect([one.raft.role, one.sent('takeOver').map(({ at }) => at)]).toEqual(['follower', [3]]);
  });

  test('one that was never active asks nobody: it may have been asked by another without room', () => {
    const one = new Lone();
    one.elect();
    one.raft.diskFull(one.now);
    one.settle();
    expect([one.raft.role, one.sent('takeOver')]).toEqual(['follower', []]);
  });

  test('a leader steps down, and its log ends where it is on disk', () => {
    const one = new Lone({ slow: true, voters: [1] });
    one.raft.hardStateSaved(one.outputs.at(-1)?.hardState ?? one.raft.hardState, one.now);
    one.settle();
    expect([one.raft.role, one.raft.propose(bytesOf('a'), one.now)]).toEqual(['leader', 3]);
    one.settle();
    one.outputs = [];
    one.raft.diskFull(one.now);
    one.settle();
    expect(one.outputs).toMatchObject([{ truncateFrom: 2, append: [], commitIndex: 0 }]);
    expect([one.raft.role, one.log]).toEqual(['follower', '1/0']);
  });

  test('a candidate is not elected for a log of which it has lost the end', () => {
    const one = new Lone({ slow: true, hardState: { epoch: 1, votedFor: null } });
    one.append(2, 1, { entries: entriesOf(2, 1, 1) });
    one.expire();
    const granted = { kind: 'voteResponse', epoch: 2, voter: keyOf(3), granted: true } as const;
    one.receive(3, { ...granted, pre: true });
    one.raft.hardStateSaved(one.outputs.at(-1)?.hardState ?? one.raft.hardState, one.now);
    one.settle();
    const asked = one.sent('voteRequest').filter(({ pre }) => !pre);
    expect(asked).toMatchObject([{ lastIndex: 3 }, { lastIndex: 3 }]);
    one.raft.diskFull(one.now);
    one.receive(3, { ...granted, pre: false });
    expect([one.raft.role, one.log]).toEqual(['follower', '1/0']);
  });

  test('a follower speaks no more of what it had received, nor of the snapshot that it was taking', () => {
    const one = new Lone({ slow: true, hardState: { epoch: 1, votedFor: null } });
    one.append(2, 1, { entries: entriesOf(2, 1, 1) });
    one.chunk(2, 1, { last: true });
    one.sent('appendResponse');
    one.raft.diskFull(one.now);
    one.append(2, 1);
    expect(one.sent('appendResponse')).toMatchObject([{ success: true, lastIndex: 1, durableIndex: 1 }]);
    one.append(2, 1, { entries: entriesOf(2, 1) });
    expect(one.sent('appendResponse')).toMatchObject([{ success: true, lastIndex: 2, durableIndex: 1 }]);
  });

  test('an answer about writes that were dropped is not believed', () => {
    const one = new Lone({ slow: true });
    one.append(2, 1, { entries: entriesOf(2, 1, 1) });
    const generation = one.outputs.at(-1)?.generation ?? 0;
    one.raft.diskFull(one.now);
    one.append(2, 1, { entries: entriesOf(2, 1, 1) });
    one.raft.persisted(3, generation, one.now);
    expect(one.raft.durableIndex).toBe(1);
  });
});
