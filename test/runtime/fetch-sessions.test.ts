import { describe, expect, it } from 'vitest';
import type { Random } from '#base/ports';
import { ErrorCode } from '#model/errors';
import { ZERO_UUID } from '#model/ids';
import { type FetchContext, FetchSessions, type FetchTarget, serveLast } from '#runtime/fetch-sessions';

function counting(): Random {
  let next = 0;
  const random: Random = { uint32: () => ++next, fork: () => random, secret: () => {} };
  return random;
}

function target(partition: number, fetchOffset = 0): FetchTarget {
  return {
    topic: 't',
    topicId: ZERO_UUID,
    partition,
    fetchOffset,
    maxBytes: 1024,
    currentLeaderEpoch: -1,
    lastFetchedEpoch: -1,
    logStartOffset: -1,
    durableOffset: -1,
  };
}

function request(sessionId: number, sessionEpoch: number, targets: FetchTarget[], forgotten: number[] = []) {
  return {
    sessionId,
    sessionEpoch,
    usesTopicIds: false,
    isFollower: false,
    targets,
    forgotten: forgotten.map((partition) => ({ topic: 't', topicId: ZERO_UUID, partition })),
  };
}

function sessionOf(context: FetchContext) {
  if (context.kind === 'error' || context.session === undefined) throw new Error('no session');
  return context.session;
}

const partitionsOf = (context: FetchContext) =>
  [...sessionOf(context).partitions.values()].map((known) => known.target.partition);

describe('fetch sessions (KIP-227)', () => {
  it('keeps the partitions of the first request and adds, changes and forgets by later ones', () => {
    const sessions = new FetchSessions(10, counting());
    const { id } = sessionOf(sessions.open(request(0, 0, [target(0), target(1)]), 0));
    expect(partitionsOf(sessions.open(request(id, 1, []), 1))).toEqual([0, 1]);
    const later = sessions.open(request(id, 2, [target(2), target(0, 9)], [1]), 2);
    expect(later.kind).toBe('incremental');
    expect(
      [...sessionOf(later).partitions.values()].map(({ target: { partition, fetchOffset } }) => [
        partition,
        fetchOffset,
      ]),
    ).toEqual([
      [0, 9],
      [2, 0],
    ]);
  });

  it('refuses an unknown session and a wrong epoch with the codes that make a client start anew', () => {
    const sessions = new FetchSessions(10, counting());
    const { id } = sessionOf(sessions.open(request(0, 0, [target(0)]), 0));
    expect(sessions.open(request(77, 1, []), 0)).toMatchObject({ error: ErrorCode.FetchSessionIdNotFound });
    expect(sessions.open(request(id, 5, []), 0)).toMatchObject({ error: ErrorCode.InvalidFetchSessionEpoch });
  });

  it('refuses a session that changes from topic names to ids', () => {
    const sessions = new FetchSessions(10, counting());
    const { id } = sessionOf(sessions.open(request(0, 0, [target(0)]), 0));
    const byId = { ...request(id, 1, [target(1)]), usesTopicIds: true };
    expect(sessions.open(byId, 0)).toMatchObject({ error: ErrorCode.FetchSessionTopicIdError });
  });

  it('ends a session with epoch -1 and makes none for a sessionless request', () => {
    const sessions = new FetchSessions(10, counting());
    const { id } = sessionOf(sessions.open(request(0, 0, [target(0)]), 0));
    expect(sessions.open(request(id, -1, [target(0)]), 0)).toMatchObject({ kind: 'full', session: undefined });
    expect(sessions.count).toBe(0);
  });

  it('never holds more sessions than slots: a newcomer gets none until one is unused for two minutes', () => {
    const sessions = new FetchSessions(2, counting());
    const first = sessionOf(sessions.open(request(0, 0, [target(0)]), 0));
    sessions.open(request(0, 0, [target(0)]), 1);
    expect(sessions.open(request(0, 0, [target(0)]), 1000)).toMatchObject({ kind: 'full', session: undefined });
    expect(sessionOf(sessions.open(request(0, 0, [target(0)]), 120_000)).id).not.toBe(first.id);
    expect(sessions.count).toBe(2);
    expect(sessions.open(request(first.id, 1, []), 120_000)).toMatchObject({ error: ErrorCode.FetchSessionIdNotFound });
  });

  it('never holds more partitions than its bound: a newcomer gets no session, one that grows has to begin anew', () => {
    const sessions = new FetchSessions(10, counting(), 4);
    const first = sessionOf(sessions.open(request(0, 0, [target(0), target(1)]), 0));
    const second = sessionOf(sessions.open(request(0, 0, [target(0), target(1)]), 1));
    expect(sessions.open(request(0, 0, [target(0)]), 2)).toMatchObject({ kind: 'full', session: undefined });
    expect(sessions.open(request(second.id, 1, [target(2)], [0]), 3)).toMatchObject({ kind: 'incremental' });
    expect(sessions.partitionCount).toBe(4);
    const grown = sessions.open(request(first.id, 1, [target(2)]), 4);
    expect(grown).toMatchObject({ error: ErrorCode.FetchSessionIdNotFound });
    expect(sessions.partitionCount).toBe(2);
    expect(sessions.open(request(second.id, -1, []), 5)).toMatchObject({ kind: 'full' });
    expect(sessions.partitionCount).toBe(0);
  });

  it('gives a follower the place of a consumer, never that of another follower', () => {
    const sessions = new FetchSessions(2, counting());
    const open = (isFollower: boolean) => sessions.open({ ...request(0, 0, [target(0)]), isFollower }, 0);
    const first = sessionOf(open(true));
    const consumer = sessionOf(open(false));
    const second = sessionOf(open(true));
    expect(sessions.open(request(consumer.id, 1, []), 1)).toMatchObject({ error: ErrorCode.FetchSessionIdNotFound });
    expect(open(true)).toMatchObject({ kind: 'full', session: undefined });
    for (const { id } of [first, second]) expect(sessions.open(request(id, 1, []), 1).kind).toBe('incremental');
  });

  it('wraps the epoch to 1, never to 0', () => {
    const sessions = new FetchSessions(1, counting());
    const session = sessionOf(sessions.open(request(0, 0, [target(0)]), 0));
    session.nextEpoch = 0x7fff_ffff;
    sessions.open(request(session.id, 0x7fff_ffff, []), 0);
    expect(session.nextEpoch).toBe(1);
  });

  it('moves a partition that returned records behind the others', () => {
    const sessions = new FetchSessions(1, counting());
    const context = sessions.open(request(0, 0, [target(0), target(1), target(2)]), 0);
    serveLast(sessionOf(context), target(0));
    expect(partitionsOf(context)).toEqual([1, 2, 0]);
  });
});
