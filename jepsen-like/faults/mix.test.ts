import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { SimRandom } from '#sim/ports/sim-random';
import type { Cluster } from '../../test/support/cluster/cluster.ts';
import type { Fault, Scene } from './fault.ts';
import { mixOf } from './mix.ts';

const STEPS = 40;

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

/** Some steps of a mix of two faults and of one that does not mix: what was done, and how it ended. */
async function mixed(failsAt: 'begin' | 'end' | undefined): Promise<{ done: readonly string[]; outcome: string }> {
  const done: string[] = [];
  const fault = (name: string, mixes: boolean, fails: boolean): Fault => {
    const does = async (phase: 'begin' | 'end', id: number): Promise<void> => {
      done.push(`${name} ${phase} ${id}`);
      if (fails && phase === failsAt) throw new Error(`${name} does not ${phase}`);
    };
    const about = { name, what: '', expected: '', needsHosts: false, mixes };
    return { ...about, begin: (_, id) => does('begin', id), end: (_, id) => does('end', id) };
  };
  const mix = mixOf([fault('kill', true, true), fault('pause', true, false), fault('wipe', false, true)]);
  const cluster = { ids: [1, 2, 3] } as unknown as Cluster;
  const scene: Scene = { cluster, links: undefined, random: new SimRandom('mix'), topics: [], record: () => undefined };
  await mix.begin(scene, 1);
  await vi.advanceTimersByTimeAsync(STEPS * 6_000);
  const ended = mix.end(scene, 1).then(
    () => 'ended',
    (failure: Error) => failure.message,
  );
  await vi.advanceTimersByTimeAsync(6_000);
  return { done, outcome: await ended };
}

const of = (done: readonly string[], phase: string): readonly string[] =>
  done.flatMap((what) => (what.includes(` ${phase} `) ? what.replace(` ${phase} `, ' ') : [])).sort();

test('a mix ends whatever it has begun, two at once of different nodes at most, and only faults that mix', async () => {
  const { done, outcome } = await mixed(undefined);
  expect(outcome).toBe('ended');
  expect(of(done, 'end')).toEqual(of(done, 'begin'));
  expect(new Set(of(done, 'begin').map((what) => what.split(' ')[0]))).toEqual(new Set(['kill', 'pause']));
  const running = new Set<string>();
  let most = 0;
  for (const what of done) {
    const [, phase, id = ''] = what.split(' ');
    expect(running.has(id)).toBe(phase === 'end');
    if (phase === 'begin') running.add(id);
    else running.delete(id);
    most = Math.max(most, running.size);
  }
  expect(most).toBe(2);
});

test.each(['begin', 'end'] as const)(
  'of faults that do not %s the others are ended all the same, and it is told',
  async (failsAt) => {
    const { done, outcome } = await mixed(failsAt);
    expect(outcome).toBe(`kill does not ${failsAt}`);
    expect(of(done, 'end')).toEqual(of(done, 'begin'));
  },
);
