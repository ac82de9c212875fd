import { describe, expect, test } from 'vitest';
import { offset } from '#model/ids';
import { UndurableBytes, UndurableTail, withoutFrame } from '#runtime/undurable-bytes';

function tailsOf(limitBytes: number) {
  const all = new UndurableBytes(limitBytes);
  return { all, one: new UndurableTail(all), other: new UndurableTail(all) };
}

describe('what is fetched and not durable', () => {
  test('counts until it is on the disk, over all logs', () => {
    const { all, one, other } = tailsOf(100);
    one.append(offset(5), 60);
    one.append(offset(9), 10);
    other.append(offset(3), 40);
    expect([all.usedBytes, all.hasRoom]).toEqual([110, false]);
    one.durable(offset(4));
    expect(all.hasRoom).toBe(false);
    one.durable(offset(5));
    expect([all.usedBytes, all.hasRoom]).toEqual([50, true]);
  });

  test('counts no more when its log has lost it, and counts anew when it is fetched again', () => {
    const { all, one, other } = tailsOf(100);
    other.append(offset(3), 40);
    one.append(offset(5), 10);
    one.append(offset(9), 50);
    one.truncateTo(offset(5));
    expect(all.usedBytes).toBe(50);
    one.append(offset(7), 30);
    one.durable(offset(7));
    expect(all.usedBytes).toBe(40);
  });

  test('lets those who wait for room go on once there is some', () => {
    const { all, one, other } = tailsOf(100);
    let woken = 0;
    const retry = () => {
      woken += 1;
    };
    one.append(offset(5), 60);
    other.append(offset(3), 70);
    other.append(offset(4), 5);
    all.whenRoom(retry);
    all.whenRoom(retry);
    other.durable(offset(4));
    expect(woken).toBe(1);
    one.durable(offset(5));
    expect(woken).toBe(1);
  });

  test.each([
    ['a fifth of what it came in, is copied', 1000, 200, 200],
    ['a quarter of it, is not', 1000, 250, 1000],
  ])('holds little beside it: a piece that is %s', (_, frameBytes, pieceBytes, heldBytes) => {
    const piece = new Uint8Array(frameBytes).fill(7).subarray(100, 100 + pieceBytes);
    const held = withoutFrame(piece);
    expect([held.buffer.byteLength, held]).toEqual([heldBytes, piece]);
  });

  test('counts no more for a log that is followed no longer', () => {
    const { all, one, other } = tailsOf(100);
    one.append(offset(5), 10);
    one.append(offset(9), 50);
    other.append(offset(3), 40);
    one.clear();
    expect(all.usedBytes).toBe(40);
  });
});
