import { describe, expect, test } from 'vitest';
import { EndHistory } from '#runtime/end-history';

const SECOND = 1_000;

describe('since when a record is there', () => {
  test('is taken from between the looks before and after it came', () => {
    const history = new EndHistory();
    history.note(10, 0);
    history.note(20, 10 * SECOND);
    history.note(120, 20 * SECOND);
    expect([10, 15, 20, 70].map((offset) => history.cameAt(offset))).toEqual([0, 5_000, 10_000, 15_000]);
  });

  test('is not known of one that has not come', () => {
    const history = new EndHistory();
    expect(history.cameAt(0)).toBeUndefined();
    history.note(10, 0);
    expect(history.cameAt(10)).toBeUndefined();
  });

  test('is the first look for one that was there by then', () => {
    const history = new EndHistory();
    history.note(10, 7 * SECOND);
    history.note(20, 9 * SECOND);
    expect(history.cameAt(3)).toBe(7 * SECOND);
  });

  test('is after the time in which nothing came, however long that was', () => {
    const history = new EndHistory();
    for (let at = 0; at <= 3_600 * SECOND; at += 5 * SECOND) history.note(10, at);
    history.note(11, 3_605 * SECOND);
    expect(history.cameAt(10)).toBe(3_600 * SECOND);
  });

  test('is known of a whole day, the less exactly the longer ago it was', () => {
    const history = new EndHistory();
    const day = 24 * 3_600;
    // A record a second.
    for (let second = 0; second <= day; second += 5) history.note(second, second * SECOND);
    for (const age of [10, 100, 1_000, 10_000]) {
      const cameAt = (history.cameAt(day - age) ?? Number.NaN) / SECOND;
      expect(Math.abs(cameAt - (day - age))).toBeLessThan(1);
    }
    expect(history.cameAt(0)).toBe(0);
  });

  test('begins anew where the partition was cut', () => {
    const history = new EndHistory();
    history.note(10, 0);
    history.note(20, 10 * SECOND);
    history.note(12, 20 * SECOND);
    history.note(30, 30 * SECOND);
    expect([history.cameAt(11), history.cameAt(12)]).toEqual([10_000, 20_000]);
  });
});
