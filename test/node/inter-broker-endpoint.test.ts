import { describe, expect, it } from 'vitest';
import { interBrokerEndpoint } from '#node/inter-broker-endpoint';

const OUTSIDE = { name: 'OUTSIDE', host: 'broker.example', port: 9092 };
const INSIDE = { name: 'INSIDE', host: 'broker', port: 9095 };

describe('brokers reach one', () => {
  it.each(['INSIDE', 'inside', 'Inside'])('at the listener that inter.broker.listener.name=%s names', (name) => {
    expect(interBrokerEndpoint([OUTSIDE, INSIDE], name)).toBe(INSIDE);
  });

  it('at the first listener where none is named, or one that it has not', () => {
    expect(interBrokerEndpoint([OUTSIDE, INSIDE], undefined)).toBe(OUTSIDE);
    expect(interBrokerEndpoint([OUTSIDE, INSIDE], 'ELSEWHERE')).toBe(OUTSIDE);
    expect(interBrokerEndpoint([], 'INSIDE')).toBeUndefined();
  });
});
