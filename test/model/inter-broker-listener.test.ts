import { describe, expect, it } from 'vitest';
import { interBrokerListener } from '#model/listener';

const OUTSIDE = { name: 'OUTSIDE', host: 'broker.example', port: 9092 };
const INSIDE = { name: 'INSIDE', host: 'broker', port: 9095 };

describe('brokers reach one', () => {
  it.each(['INSIDE', 'inside', 'Inside'])('at the listener that inter.broker.listener.name=%s names', (name) => {
    expect(interBrokerListener([OUTSIDE, INSIDE], name)).toBe(INSIDE);
  });

  it('at the first listener where none is named, or one that it has not', () => {
    expect(interBrokerListener([OUTSIDE, INSIDE], undefined)).toBe(OUTSIDE);
    expect(interBrokerListener([OUTSIDE, INSIDE], 'ELSEWHERE')).toBe(OUTSIDE);
    expect(interBrokerListener([], 'INSIDE')).toBeUndefined();
  });
});
