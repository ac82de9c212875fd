import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Random } from '#base/ports';
import { isUuid } from '#model/ids';
import { parseEndpoint, parseListener } from '#model/listener';
import { editDistance, nearestName } from '#model/nearest-name';
import { topicCollisionKey, validateTopicName } from '#model/topic-name';
import { newUuid } from '#model/uuids';

describe('a topic name', () => {
  test.each(['a', 'A-b_c.9', '...', '__consumer_offsets', 'x'.repeat(249)])('may be %s', (name) => {
    expect(validateTopicName(name)).toBeUndefined();
  });

  test.each([
    ['', 'the empty string is not allowed'],
    ['.', "'.' or '..' is not allowed"],
    ['..', "'.' or '..' is not allowed"],
    ['x'.repeat(250), 'longer than the max allowed length 249'],
    ['a b', "contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'"],
    ['a/b', 'contains one or more characters'],
    ['a\n', 'contains one or more characters'],
    ['é', 'contains one or more characters'],
  ])('may not be %j', (name, problem) => {
    expect(validateTopicName(name)).toContain(problem);
  });

  test('collides with one that differs in . and _ only', () => {
    expect(topicCollisionKey('a.b_c')).toBe(topicCollisionKey('a_b.c'));
    expect(topicCollisionKey('a-b')).not.toBe(topicCollisionKey('a_b'));
  });
});

describe('a listener address', () => {
  test.each([
    ['PLAINTEXT://:9092', { name: 'PLAINTEXT', host: '', port: 9092 }],
    ['inside://127.0.0.1:0', { name: 'INSIDE', host: '127.0.0.1', port: 0 }],
    ['A://[::1]:65535', { name: 'A', host: '::1', port: 65535 }],
  ])('%s is read', (text, address) => {
    expect(parseListener(text)).toEqual(address);
  });

  test.each(['A://h', 'A://h:65536', 'A://::1:9092', 'h:9092', '://h:1'])('%s is refused', (text) => {
    expect(parseListener(text)).toBeUndefined();
  });

  test('an endpoint is the part behind the name', () => {
    expect(parseEndpoint('localhost:9093')).toMatchObject({ host: 'localhost', port: 9093 });
    expect(parseEndpoint('localhost')).toBeUndefined();
  });
});

describe('the edit distance', () => {
  test('counts inserts, removals and replacements', () => {
    expect(editDistance('kitten', 'sitting', 99)).toBe(3);
    expect(editDistance('', 'abc', 99)).toBe(3);
    expect(editDistance('abc', 'xyz', 2)).toBe(2);
  });

  test('is symmetric, and zero for equal texts only', () => {
    const text = fc.string({ maxLength: 12 });
    fc.assert(
      fc.property(text, text, (a, b) => {
        expect(editDistance(a, b, 99)).toBe(editDistance(b, a, 99));
        expect(editDistance(a, b, 99) === 0).toBe(a === b);
      }),
    );
  });

  test('offers no name that is too far away', () => {
    expect(nearestName('abc', ['xyz'])).toBeUndefined();
    expect(nearestName('abcdef', ['abcdex', 'abcxyz'])).toBe('abcdex');
  });
});

test('a new uuid is of version 4, and its text can stand on a command line', () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 16, maxLength: 16 }), (bytes) => {
      const random: Random = { uint32: () => 0, fork: () => random, secret: (into) => into.set(bytes) };
      const id = newUuid(random);
      expect(isUuid(id) && !id.startsWith('-')).toBe(true);
      const [version, variant] = [Buffer.from(id, 'base64url')[6] ?? 0, Buffer.from(id, 'base64url')[8] ?? 0];
      expect([version >>> 4, variant >>> 6]).toEqual([4, 2]);
    }),
    { examples: [[new Uint8Array(16).fill(0xff)], [new Uint8Array(16).fill(0xfb)]] },
  );
});
