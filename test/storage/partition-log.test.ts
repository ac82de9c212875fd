import { describe, expect, test } from 'vitest';
import { offset } from '#model/ids';
import { append, appended, batch, Harness, headersOf, Listener } from './support.ts';

describe('append', () => {
  test('assigns offsets from the log end and patches them and the leader epoch into the batches', async () => {
    const harness = await Harness.open();
    const log = await harness.create();
    expect(append(log, batch({ count: 3 }))).toEqual({ baseOffset: 0, lastOffset: 2 });
    expect(append(log, Buffer.concat([batch({ count: 2 }), batch({ count: 1 })]))).toEqual({
      baseOffset: 3,
      lastOffset: 5,
    });
    expect(log.logEndOffset).toBe(6);
    const headers = headersOf(await harness.contents(log));
    expect(headers.map(({ baseOffset, lastOffsetDelta }) => [baseOffset, lastOffsetDelta])).toEqual([
      [0, 2],
      [3, 1],
      [5, 0],
    ]);
  });

  test('is durable only when its sync has ended', async () => {
    const harness = await Harness.open();
    const log = await harness.create();
    const listener = new Listener();
    log.listener = listener;
    append(log, batch());
    expect(log.durableOffset).toBe(0);
    await harness.settle();
    expect([log.durableOffset, listener.durableEnd]).toEqual([1, 1]);
  });

  test('survives a power cut once it is durable', async () => {
    const harness = await Harness.open();
    const log = await harness.create();
    for (let round = 0; round < 20; round += 1) appended(log, batch({ count: 2 }, round));
    await harness.settle();
    const before = await harness.contents(log);
    await harness.crash();
    const again = harness.store.get('t', 0);
    expect(again?.logEndOffset).toBe(40);
    expect(Buffer.from(await harness.contents(again as never)).equals(before)).toBe(true);
  });

  test('survives a clean shutdown, after which nothing is cut', async () => {
    const harness = await Harness.open();
    const log = await harness.create();
    for (let round = 0; round < 20; round += 1) appended(log, batch({ count: 2 }, round));
    await harness.restart();
    expect(harness.store.get('t', 0)?.logEndOffset).toBe(40);
    expect(harness.lines.filter(({ level }) => level !== 'info')).toEqual([]);
  });
});

describe('reads', () => {
  test('come from the disk as from the cache', async () => {
    const cached = await Harness.open();
    const uncached = await Harness.open({ tailCacheBytes: 0 });
    for (const harness of [cached, uncached]) {
      const log = await harness.create();
      for (let round = 0; round < 50; round += 1) appended(log, batch({ count: 2, valueBytes: 300 }, round));
      await harness.settle();
      expect(log.readCached(offset(0), offset(100), 10, true) === undefined).toBe(harness === uncached);
      expect(await harness.bases(log, 0)).toHaveLength(50);
      expect(await harness.bases(log, 41, offset(48))).toEqual([40, 42, 44, 46]);
      expect(await harness.bases(log, 41, offset(47))).toEqual([40, 42, 44]);
      expect(await harness.bases(log, 98)).toEqual([98]);
      expect(await harness.bases(log, 10, undefined, 10)).toEqual([10]);
      expect(await harness.bases(log, 10, undefined, 10, false)).toEqual([]);
      expect(await harness.bases(log, 100)).toEqual([]);
      expect(await harness.read(log, 101)).toBe('out-of-range');
    }
  });
});
