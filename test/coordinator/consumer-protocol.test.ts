import fc from 'fast-check';
import { expect, test } from 'vitest';
import { subscriptionTopics } from '#coordinator/consumer-protocol';
import { subscription } from './fixtures.ts';

test('the topics of a subscription are read whatever its version and whatever follows them', () => {
  fc.assert(
    fc.property(fc.array(fc.string()), fc.nat(3), fc.uint8Array(), (topics, version, rest) => {
      const bytes = Buffer.concat([subscription(topics), rest]);
      bytes.writeInt16BE(version);
      expect(subscriptionTopics(bytes)).toEqual(topics);
    }),
  );
});

test('bytes that are no subscription give undefined and cost nothing: cut, a count or a length beyond them, a negative version', () => {
  const whole = subscription(['orders', 'payments']).subarray(0, -4);
  for (let length = 0; length < whole.length; length += 1) {
    expect(subscriptionTopics(whole.subarray(0, length)), `${length} bytes`).toBeUndefined();
  }
  expect(subscriptionTopics(Buffer.from('00007fffffff0000', 'hex'))).toBeUndefined();
  expect(subscriptionTopics(Buffer.from('0000ffffffff', 'hex'))).toBeUndefined();
  expect(subscriptionTopics(Buffer.from('00000000000100056162', 'hex'))).toBeUndefined();
  expect(subscriptionTopics(Buffer.from('ffff00000000', 'hex'))).toBeUndefined();
});
