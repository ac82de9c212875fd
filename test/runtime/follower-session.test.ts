import { describe, expect, test } from 'vitest';
import { uuid } from '#model/ids';
import { FollowerSession } from '#runtime/follower-session';

const TOPIC = uuid('AAAAAAAAAAAAAAAAAAAAAQ');
const ONE = { topicId: TOPIC, index: 1 };
const TWO = { topicId: TOPIC, index: 2 };
const NOTHING_FORGOTTEN: never[] = [];

describe('a follower’s session (KIP-227)', () => {
  test('begins with a full request and goes on in the session that the leader gave', () => {
    const session = new FollowerSession();
    expect(session.next()).toEqual({ sessionId: 0, sessionEpoch: 0, forgottenTopicsData: NOTHING_FORGOTTEN });
    expect(session.isOpen).toBe(false);
    session.answered(7);
    expect(session.isOpen).toBe(true);
    expect(session.next()).toMatchObject({ sessionId: 7, sessionEpoch: 1 });
    session.answered(7);
    expect(session.next()).toMatchObject({ sessionId: 7, sessionEpoch: 2 });
  });

  test('names once what has left it, unless it is back by then', () => {
    const session = new FollowerSession();
    session.enter(ONE);
    session.enter(TWO);
    session.answered(7);
    session.leave(ONE);
    session.leave(TWO);
    expect([session.has(TWO), session.isEmpty]).toEqual([false, true]);
    session.enter(ONE);
    expect(session.next().forgottenTopicsData).toEqual([{ topicId: TOPIC, partitions: [2] }]);
    session.leave(TWO);
    expect(session.next().forgottenTopicsData).toEqual(NOTHING_FORGOTTEN);
  });

  test('names what left it before the leader had said which session it is', () => {
    const session = new FollowerSession();
    session.enter(ONE);
    session.next();
    session.leave(ONE);
    session.answered(7);
    expect(session.next().forgottenTopicsData).toEqual([{ topicId: TOPIC, partitions: [1] }]);
  });

  test('is none where the leader has no room for one: each request is full, and forgets nothing', () => {
    const session = new FollowerSession();
    session.enter(ONE);
    session.leave(ONE);
    session.answered(0);
    for (let requests = 0; requests < 2; requests += 1)
      expect(session.next()).toEqual({ sessionId: 0, sessionEpoch: -1, forgottenTopicsData: NOTHING_FORGOTTEN });
  });

  test('begins anew with a new connection', () => {
    const session = new FollowerSession();
    session.enter(ONE);
    session.answered(7);
    session.leave(ONE);
    session.reset();
    expect([session.isOpen, session.isEmpty]).toEqual([false, true]);
    expect(session.next()).toEqual({ sessionId: 0, sessionEpoch: 0, forgottenTopicsData: NOTHING_FORGOTTEN });
  });
});
