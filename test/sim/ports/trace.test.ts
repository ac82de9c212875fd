import { describe, expect, it } from 'vitest';
import { createCodecs } from '#platform/codecs';
import { Trace } from '#sim/ports/trace';

const codecs = createCodecs();

function hashOf(tell: (trace: Trace) => void): string {
  const trace = new Trace(codecs.crc32c.bind(codecs), undefined);
  tell(trace);
  return trace.hash;
}

describe('the hash of a trace', () => {
  const events: readonly (readonly [string, (trace: Trace) => void])[] = [
    ['nothing', () => {}],
    ['an event', (trace) => trace.event(10, 1, 'io')],
    ['a little later', (trace) => trace.event(10.000_001, 1, 'io')],
    ['of another process', (trace) => trace.event(10, 2, 'io')],
    ['of another kind', (trace) => trace.event(10, 1, 'timer')],
    ['bytes', (trace) => trace.bytes(Buffer.from('abc'))],
    ['other bytes', (trace) => trace.bytes(Buffer.from('abd'))],
    ['more bytes', (trace) => trace.bytes(Buffer.from('abcd'))],
    ['a word', (trace) => trace.text('read')],
    ['another word', (trace) => trace.text('sync')],
    ['a number', (trace) => trace.word(7)],
    ['another number', (trace) => trace.word(8)],
  ];

  it('is the same for the same events, and another where anything differs', () => {
    const hashes = events.map(([, tell]) => hashOf(tell));
    expect(events.map(([, tell]) => hashOf(tell))).toEqual(hashes);
    expect(new Set(hashes).size).toBe(events.length);
  });

  it('is another for the same events in another order', () => {
    const tell = (words: readonly number[]): string =>
      hashOf((trace) => {
        for (const word of words) trace.word(word);
      });
    expect(tell([1, 2])).not.toBe(tell([2, 1]));
  });

  it('does not depend on what is said to whoever reads along', () => {
    expect(hashOf((trace) => trace.say(1, 'n1', 'hello'))).toBe(hashOf(() => {}));
  });
});
