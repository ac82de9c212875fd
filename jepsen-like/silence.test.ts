import { expect, test } from 'vitest';
import { silentTopics } from './silence.ts';

test('a topic in which nothing was acknowledged is a complaint, one with an acknowledgement in any partition is none', () => {
  const topics = [{ name: 'queue-1' }, { name: 'queue-2' }, { name: 'sink' }];
  expect(silentTopics(topics, { acknowledgedKeys: new Set(['queue-1-3', 'sink-0']) })).toEqual([
    'nothing was acknowledged in queue-2',
  ]);
});
