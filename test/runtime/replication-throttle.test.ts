import { describe, expect, test } from 'vitest';
import { ReplicationThrottle } from '#runtime/replication-throttle';
import { ledPartition, ME } from './replica-stage.ts';
import { StubLog } from './stub-log.ts';

function throttleOf(rate: number, replicas: readonly string[] = ['*']) {
  const state = { now: 0, rate };
  const throttle = new ReplicationThrottle({
    clock: { now: () => state.now },
    self: ME,
    rate: () => state.rate,
    replicasOf: () => replicas,
  });
  return { state, throttle };
}

describe('a throttle of replication (KIP-73)', () => {
  test.each([
    [[], false],
    [['*'], true],
    [['3:1', '4:2'], true],
    [['3:2', '4:1'], false],
  ])('with %j applies to partition 3 of broker 1: %s', (replicas, applies) => {
    const { throttle } = throttleOf(1000, replicas);
    expect(throttle.applies(ledPartition(new StubLog('t', 3).asLog))).toBe(applies);
  });

  test('lets what was moved be paid for by time, and a second’s worth come at once after a pause', () => {
    const { state, throttle } = throttleOf(1000);
    state.now = 10_000;
    throttle.moved(3000);
    expect(throttle.delayMs).toBe(2000);
    state.now += 1500;
    expect(throttle.delayMs).toBe(500);
    state.now += 500;
    expect(throttle.delayMs).toBe(0);
  });

  test('asks for no pause longer than five seconds, also at no rate at all, and less once the rate is raised', () => {
    const { state, throttle } = throttleOf(0);
    throttle.moved(10_000);
    state.now = 60_000;
    expect(throttle.delayMs).toBe(5000);
    state.rate = 10_000;
    expect(throttle.delayMs).toBe(1000);
    state.now += 1000;
    expect(throttle.delayMs).toBe(0);
  });

  test('without a rate holds nothing back', () => {
    const { throttle } = throttleOf(Number.POSITIVE_INFINITY);
    throttle.moved(1e12);
    expect(throttle.delayMs).toBe(0);
  });
});
