import { expect, test } from 'vitest';
import type { Scene } from './fault.ts';
import { repeated } from './repeated.ts';

const about = { name: 'storm', what: '', expected: '', needsHosts: false, mixes: true };
const scene = {} as Scene;

/** Ends it when so many steps are over; gives how many there were. */
async function steps(bites: readonly boolean[]): Promise<number> {
  let count = 0;
  let went: () => void = () => {};
  const enough = new Promise<void>((resolve) => {
    went = resolve;
  });
  const fault = repeated(about, async () => {
    count += 1;
    if (count === bites.length) went();
    return bites[count - 1] ?? false;
  });
  await fault.begin(scene, 1);
  await enough;
  await fault.end(scene, 1);
  return count;
}

test('a repeated fault ends with the step in which it is ended', async () => {
  expect(await steps([true, true, true])).toBe(3);
});

test('it was none if no step has bitten', async () => {
  expect(await steps([false, true, false])).toBe(3);
  await expect(steps([false, false])).rejects.toThrow('storm has done nothing at node 1');
});

test('a step that fails is told when it is ended, and what has not begun does not end', async () => {
  const broken = repeated(about, async () => {
    throw new Error('no more sockets');
  });
  await expect(broken.end(scene, 1)).rejects.toThrow('storm has not begun at node 1');
  await broken.begin(scene, 1);
  await expect(broken.end(scene, 2)).rejects.toThrow('storm has not begun at node 2');
  await expect(broken.end(scene, 1)).rejects.toThrow('no more sockets');
});
