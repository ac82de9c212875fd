import { describe, expect, test } from 'vitest';
import { offset } from '#model/ids';
import { Segment } from '#storage/segment';
import { ENTRY_BYTES, LogTail, TailCache } from '#storage/tail-cache';
import { batch, headersOf } from './support.ts';

const SEGMENT = new Segment({ folder: 't-0', baseOffset: offset(0), createdAt: 0, jitterMs: 0 });

/** Appends one batch of a single record at `at`. */
function add(tail: LogTail, at: number, bytes = framed(200)): void {
  new DataView(bytes.buffer, bytes.byteOffset).setUint32(4, at);
  tail.append(bytes, offset(at), offset(at + 1), SEGMENT, at * bytes.length);
}

function framed(valueBytes: number): Uint8Array {
  return Uint8Array.from(batch({ valueBytes }));
}

function bases(tail: LogTail, from: number, maxBytes = 1e6): number[] | undefined {
  const read = tail.read(offset(from), offset(1000), maxBytes, true);
  return read?.chunks.flatMap((chunk) => headersOf(chunk).map(({ baseOffset }) => baseOffset));
}

describe('the tail cache', () => {
  test('stays within its bound, over all logs, and lets the oldest go first', () => {
    const size = framed(200).length + ENTRY_BYTES;
    const cache = new TailCache(size * 4);
    const tails = [new LogTail(cache, offset(0)), new LogTail(cache, offset(0))];
    for (let at = 0; at < 5; at += 1) {
      for (const tail of tails) {
        add(tail, at);
        tail.durable(offset(at + 1));
        expect(cache.usedBytes).toBeLessThanOrEqual(size * 4);
      }
    }
    for (const tail of tails) expect([bases(tail, 2), bases(tail, 3)]).toEqual([undefined, [3, 4]]);
  });

  test('counts a large frame once for all the small batches that it holds, and as a whole for the last of them', () => {
    const frame = new Uint8Array(10_000);
    const cache = new TailCache(1e6);
    const tail = new LogTail(cache, offset(0));
    const one = batch({ valueBytes: 20 });
    for (let at = 0; at < 3; at += 1) {
      frame.set(one, at * 1000);
      add(tail, at, frame.subarray(at * 1000, at * 1000 + one.length));
    }
    expect(cache.usedBytes).toBe(10_000 + 3 * ENTRY_BYTES);
    tail.truncateTo(offset(1));
    expect(cache.usedBytes).toBe(10_000 + ENTRY_BYTES);
    tail.truncateTo(offset(0));
    expect(cache.usedBytes).toBe(0);
  });

  test('holds no more than its bound however small the batches are: what they are held with counts', () => {
    const cache = new TailCache(1 << 20);
    const tail = new LogTail(cache, offset(0));
    for (let at = 0; at < 10_000; at += 1) {
      add(tail, at, framed(1));
      tail.durable(offset(at + 1));
    }
    const held = (1 << 20) / (framed(1).length + ENTRY_BYTES);
    const from = (back: number) => tail.read(offset(10_000 - Math.floor(back)), offset(10_000), 1e6, true);
    expect(from(held)?.sizeBytes).toBeGreaterThan(0);
    expect(from(held + 1)).toBeUndefined();
  });

  test('does not take from a log what is not durable, but counts it no more', () => {
    const cache = new TailCache(0);
    const tail = new LogTail(cache, offset(0));
    for (let at = 0; at < 4; at += 1) add(tail, at);
    expect([cache.usedBytes, bases(tail, 0)]).toEqual([0, [0, 1, 2, 3]]);
    tail.durable(offset(3));
    expect([bases(tail, 2), bases(tail, 3)]).toEqual([undefined, [3]]);
  });
});

describe('the tail of a log', () => {
  test('gives many small batches as one chunk, large ones by reference', () => {
    const tail = new LogTail(new TailCache(1e6), offset(0));
    const large = framed(5000);
    for (let at = 0; at < 10; at += 1) add(tail, at);
    add(tail, 10, large);
    expect(tail.read(offset(0), offset(10), 1e6, true)?.chunks).toHaveLength(1);
    expect(tail.read(offset(10), offset(11), 1e6, true)?.chunks[0]).toBe(large);
  });

  test('leaves no gap when it is cut within an entry', () => {
    const tail = new LogTail(new TailCache(1e6), offset(0));
    add(tail, 0);
    const two = Buffer.concat([framed(10), framed(10)]);
    tail.append(two, offset(1), offset(3), SEGMENT, 0);
    tail.durable(offset(3));
    tail.truncateTo(offset(2));
    add(tail, 2);
    expect([bases(tail, 0), bases(tail, 2)]).toEqual([undefined, [2]]);
  });
});
