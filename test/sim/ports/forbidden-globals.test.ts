import { describe, expect, it } from 'vitest';
import { createCodecs } from '#platform/codecs';
import { SimWorld } from '#sim/ports/sim-world';

const USES: readonly (readonly [string, () => unknown])[] = [
  ['Date.now', () => Date.now()],
  ['new Date', () => new Date()],
  ['Math.random', () => Math.random()],
  ['setTimeout', () => setTimeout(() => {}, 1)],
  ['setInterval', () => setInterval(() => {}, 1)],
  ['setImmediate', () => setImmediate(() => {})],
  ['queueMicrotask', () => queueMicrotask(() => {})],
  ['process.nextTick', () => process.nextTick(() => {})],
  ['process.hrtime', () => process.hrtime()],
  ['performance.now', () => performance.now()],
  ['crypto.randomUUID', () => crypto.randomUUID()],
  ['crypto.getRandomValues', () => crypto.getRandomValues(new Uint8Array(1))],
  ['crypto.subtle', () => crypto.subtle],
  ['AbortSignal.timeout', () => AbortSignal.timeout(1)],
  ['FinalizationRegistry', () => new FinalizationRegistry(() => {})],
  ['WeakRef', () => new WeakRef({})],
];

describe('while a world runs', () => {
  it.each(USES)('%s ends it, from a turn of a node as from a promise', async (_, use) => {
    for (const isAsync of [false, true]) {
      const world = new SimWorld({ seed: 1, codecs: createCodecs() });
      const { clock } = world.ports('a', { disks: [] });
      clock.defer(() => {
        if (isAsync) void Promise.resolve().then(use);
        else use();
      });
      await expect(world.run(10)).rejects.toThrow('is used while a world runs');
    }
  });

  it('each of them is as before when it stands still', async () => {
    const world = new SimWorld({ seed: 1, codecs: createCodecs() });
    await world.run(10);
    for (const [, use] of USES) {
      const made = use();
      if (made instanceof Object && 'unref' in made) clearTimeout(made as NodeJS.Timeout);
    }
  });
});
