import { describe, expect, test } from 'vitest';
import { BrokerLiveness } from '#metadata/broker-liveness';
import type { RegisteredBroker } from '#metadata/records';
import { nodeId } from '#model/ids';
import { NO_PLANTED_BUGS, type PlantedBugs } from '#model/planted-bugs';
import { testUuid } from './support.ts';

const SESSION_MS = 2000;
const HEARTBEAT_MS = 200;

function broker(id: number, fenced = false): RegisteredBroker {
  const common = { rack: null, listeners: [], directories: [], features: [], draining: false };
  return { ...common, id: nodeId(id), incarnation: testUuid(id), brokerEpoch: 10 + id, fenced };
}

function start(
  count: number,
  view: Parameters<BrokerLiveness['activated']>[2] = {},
  planted: PlantedBugs = NO_PLANTED_BUGS,
) {
  const liveness = new BrokerLiveness({ sessionMs: SESSION_MS, heartbeatMs: HEARTBEAT_MS, planted });
  liveness.activated(
    Array.from({ length: count }, (_, index) => broker(index + 1)),
    0,
    view,
  );
  return liveness;
}

/** Everybody is heard of at `now`, and what was asked for before is done with. */
function allHeard(liveness: BrokerLiveness, count: number, now: number): void {
  for (let id = 1; id <= count; id += 1) liveness.heard(nodeId(id), 10 + id, now);
  liveness.takeOutput();
}

const fenced = (liveness: BrokerLiveness) => liveness.takeOutput().fence.map(({ id }) => id);

describe('a new controller', () => {
  test('gives each broker a whole session to be heard of', () => {
    const liveness = start(3);
    expect([liveness.sessionCount, liveness.deadline]).toEqual([3, SESSION_MS]);
    liveness.takeOutput();
    liveness.tick(SESSION_MS - 1, 0);
    expect(fenced(liveness)).toEqual([]);
    liveness.tick(SESSION_MS, 0);
    expect(fenced(liveness)).toEqual([1, 2, 3]);
    expect(liveness.deadline).toBe(Number.POSITIVE_INFINITY);
  });

  test('probes everyone but itself at once, the former controller’s broker first, and fences whoever refuses', () => {
    const liveness = start(3, { self: nodeId(2), former: { id: nodeId(3), heardAt: 0 } });
    expect(liveness.takeOutput().probe).toEqual([3, 1]);
    liveness.probed(nodeId(3), 'refused', 30);
    expect(liveness.takeOutput().fence).toEqual([{ id: 3, brokerEpoch: 13 }]);
    liveness.probed(nodeId(1), 'silent', 300);
    expect(fenced(liveness)).toEqual([]);
  });

  test('probes whoever says nothing again after a heartbeat’s time, unless it is heard of: a process that is just dying refuses then', () => {
    const liveness = start(3, { self: nodeId(2) });
    liveness.takeOutput();
    for (const id of [1, 3]) liveness.probed(nodeId(id), 'silent', 30);
    expect(liveness.deadline).toBe(30 + HEARTBEAT_MS);
    liveness.heard(nodeId(1), 11, 100);
    liveness.tick(30 + HEARTBEAT_MS, 0);
    expect(liveness.takeOutput().probe).toEqual([3]);
    liveness.tick(30 + 2 * HEARTBEAT_MS, 0);
    expect(liveness.takeOutput().probe).toEqual([]);
    liveness.probed(nodeId(3), 'refused', 40 + 2 * HEARTBEAT_MS);
    expect(fenced(liveness)).toEqual([3]);
  });

  test('is not made to suspect itself by suspicions of that very moment', () => {
    const liveness = start(3, { self: nodeId(2) });
    for (const id of [1, 3]) liveness.suspected(nodeId(id), 0);
    expect(liveness.takeOutput().probe).toEqual([1, 3]);
    liveness.probed(nodeId(3), 'refused', 30);
    expect(fenced(liveness)).toEqual([3]);
  });

  test('counts the former controller’s silence from when it was last heard of, but gives it two heartbeats', () => {
    const deadlineOf = (heardAt: number) => start(1, { former: { id: nodeId(1), heardAt } }).deadline;
    expect(deadlineOf(-1000)).toBe(1000);
    expect(deadlineOf(-5000)).toBe(2 * HEARTBEAT_MS);
    expect(deadlineOf(50)).toBe(SESSION_MS);
  });

  test('forgets what it knew when it was active before, and has no session of the fenced', () => {
    const liveness = start(3);
    liveness.suspected(nodeId(1), 10);
    liveness.activated([broker(1), broker(2, true)], 5000);
    expect([liveness.sessionCount, liveness.deadline]).toEqual([1, 5000 + SESSION_MS]);
    expect(liveness.takeOutput()).toEqual({ probe: [1], fence: [] });
  });

  test('PLANTED BUG fence-on-silence-at-activation fences whoever was not heard of yet', () => {
    const liveness = start(2, {}, new Set(['fence-on-silence-at-activation']));
    liveness.tick(0, 0);
    expect(fenced(liveness)).toEqual([1, 2]);
  });
});

describe('a session', () => {
  test('goes on with every heartbeat, and ends after a whole one of silence', () => {
    const liveness = start(2);
    allHeard(liveness, 2, 500);
    liveness.heard(nodeId(1), 11, 1500);
    expect(liveness.deadline).toBe(2500);
    liveness.tick(2500, 0);
    expect(liveness.takeOutput().fence).toEqual([{ id: 2, brokerEpoch: 12 }]);
    liveness.tick(3500, 0);
    expect(fenced(liveness)).toEqual([1]);
  });

  test('is of one registration: the next one’s is new', () => {
    const liveness = start(1);
    liveness.heard(nodeId(1), 99, 1000);
    liveness.tick(3000, 0);
    expect(liveness.takeOutput().fence).toEqual([{ id: 1, brokerEpoch: 99 }]);
  });

  test('ends with a fencing or an unregistration by others, and begins with an unfencing', () => {
    const liveness = start(3);
    liveness.takeOutput();
    liveness.changed(nodeId(1), broker(1, true), 100);
    liveness.changed(nodeId(2), undefined, 100);
    expect(liveness.sessionCount).toBe(1);
    liveness.changed(nodeId(1), broker(1), 700);
    liveness.changed(nodeId(3), broker(3), 700);
    liveness.tick(SESSION_MS, 0);
    expect(fenced(liveness)).toEqual([3]);
    expect(liveness.deadline).toBe(700 + SESSION_MS);
  });

  test('that could not be ended is ended again after a heartbeat’s time, unless the broker is heard of', () => {
    const liveness = start(1);
    liveness.tick(SESSION_MS, 0);
    const [command] = liveness.takeOutput().fence;
    if (command === undefined) throw new Error('fenced');
    liveness.notFenced(command, 2100);
    expect(liveness.deadline).toBe(2100 + HEARTBEAT_MS);
    liveness.tick(2300, 0);
    expect(liveness.takeOutput().fence).toEqual([command]);
    liveness.heard(nodeId(1), 11, 2350);
    liveness.notFenced(command, 2400);
    expect(liveness.deadline).toBe(2350 + SESSION_MS);
  });
});

describe('this node’s own lateness', () => {
  test('is granted to everyone: after a stall nobody is judged before two heartbeats could have come', () => {
    const liveness = start(2);
    allHeard(liveness, 2, 0);
    liveness.tick(3500, 1500);
    expect(fenced(liveness)).toEqual([]);
    expect(liveness.deadline).toBe(3500 + 2 * HEARTBEAT_MS);
    liveness.heard(nodeId(1), 11, 3600);
    liveness.tick(3900, 0);
    expect(fenced(liveness)).toEqual([2]);
  });

  test('of less than a heartbeat delays a fencing by no more than that', () => {
    const liveness = start(1);
    liveness.tick(SESSION_MS + 50, 50);
    expect(fenced(liveness)).toEqual([1]);
  });

  test('never lets anyone be heard of in the future', () => {
    const liveness = start(1);
    allHeard(liveness, 1, 3000);
    liveness.tick(3000, 3000);
    expect(liveness.deadline).toBe(3000 + SESSION_MS);
  });
});

describe('a suspicion', () => {
  test('is probed; the broker is fenced at once if it is refused', () => {
    const liveness = start(3);
    allHeard(liveness, 3, 10);
    liveness.suspected(nodeId(2), 100);
    expect(liveness.takeOutput()).toEqual({ probe: [2], fence: [] });
    liveness.probed(nodeId(2), 'refused', 125);
    expect(liveness.takeOutput()).toEqual({ probe: [], fence: [{ id: 2, brokerEpoch: 12 }] });
  });

  test('ends when the process is alive, and leaves the session to decide when nothing is known', () => {
    for (const outcome of ['alive', 'silent'] as const) {
      const liveness = start(3);
      allHeard(liveness, 3, 10);
      liveness.suspected(nodeId(2), 100);
      liveness.probed(nodeId(2), outcome, 125);
      expect(fenced(liveness)).toEqual([]);
      liveness.tick(2010, 0);
      expect(fenced(liveness)).toEqual([1, 2, 3]);
    }
  });

  test('during a probe asks for another one, if that one does not settle it', () => {
    const liveness = start(3);
    allHeard(liveness, 3, 10);
    liveness.suspected(nodeId(2), 100);
    liveness.suspected(nodeId(2), 110);
    expect(liveness.takeOutput().probe).toEqual([2]);
    liveness.probed(nodeId(2), 'alive', 120);
    expect(liveness.takeOutput().probe).toEqual([2]);
    liveness.probed(nodeId(2), 'refused', 140);
    expect(fenced(liveness)).toEqual([2]);
  });

  test('ends with a heartbeat: what the probe finds is older', () => {
    const liveness = start(3);
    allHeard(liveness, 3, 10);
    liveness.suspected(nodeId(2), 100);
    liveness.heard(nodeId(2), 12, 110);
    liveness.probed(nodeId(2), 'refused', 120);
    expect(fenced(liveness)).toEqual([]);
  });

  test('of a broker without a session is nothing', () => {
    const liveness = start(1);
    liveness.takeOutput();
    liveness.suspected(nodeId(7), 100);
    liveness.probed(nodeId(7), 'refused', 120);
    expect(liveness.takeOutput()).toEqual({ probe: [], fence: [] });
  });
});

describe('self-suspicion', () => {
  /** All are probed and refuse, in turn. */
  function refuse(liveness: BrokerLiveness, ids: readonly number[], now: number): void {
    for (const id of ids) liveness.suspected(nodeId(id), now);
    for (const id of ids) liveness.probed(nodeId(id), 'refused', now + 25);
  }

  test('of more than half of the brokers at once leaves it to their sessions', () => {
    const liveness = start(5);
    allHeard(liveness, 5, 0);
    refuse(liveness, [1, 2, 3], 100);
    expect(fenced(liveness)).toEqual([]);
    liveness.tick(SESSION_MS, 0);
    expect(fenced(liveness)).toEqual([1, 2, 3, 4, 5]);
  });

  test('does not come from half of them', () => {
    const liveness = start(4);
    allHeard(liveness, 4, 0);
    refuse(liveness, [1, 2], 100);
    expect(fenced(liveness)).toEqual([1, 2]);
  });

  test('counts those that were found gone within the last session', () => {
    const liveness = start(3);
    allHeard(liveness, 3, 0);
    refuse(liveness, [1], 100);
    expect(fenced(liveness)).toEqual([1]);
    for (const id of [2, 3]) liveness.heard(nodeId(id), 10 + id, 1000);
    refuse(liveness, [2], 1500);
    expect(fenced(liveness)).toEqual([]);
    // The first is long gone by then.
    liveness.heard(nodeId(3), 13, 2200);
    expect(fenced(liveness)).toEqual([2]);
  });

  test('is over when the others turn out to be alive: whoever refused is fenced then', () => {
    const liveness = start(3);
    allHeard(liveness, 3, 0);
    for (const id of [1, 2]) liveness.suspected(nodeId(id), 100);
    liveness.probed(nodeId(1), 'refused', 120);
    expect(fenced(liveness)).toEqual([]);
    liveness.probed(nodeId(2), 'alive', 130);
    expect(fenced(liveness)).toEqual([1]);
  });
});
