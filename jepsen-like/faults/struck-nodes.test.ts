import { expect, test } from 'vitest';
import { SimRandom } from '#sim/ports/sim-random';
import type { Cluster } from '../../test/support/cluster/cluster.ts';
import type { Scene } from './fault.ts';
import { STRUCK_FAULTS } from './struck-nodes.ts';

/** A cluster whose node 1 runs or has ended, and what is done to it. */
function scene(runs: boolean): { readonly scene: Scene; readonly done: readonly string[] } {
  const done: string[] = [];
  const cluster = {
    runs: () => runs,
    signal: (id: number, name: string) => done.push(`${name} to ${id}`),
    spawn: (id: number) => done.push(`start of ${id}`),
  } as unknown as Cluster;
  const about = { links: undefined, random: new SimRandom('scene'), topics: [], record: () => undefined };
  return { scene: { ...about, cluster }, done };
}

async function ended(name: string, runs: boolean): Promise<readonly string[]> {
  const { scene: found, done } = scene(runs);
  const fault = STRUCK_FAULTS.find((one) => one.name === name);
  const failure = await fault?.end(found, 1).then(
    () => 'nothing is wrong',
    (why: Error) => why.message,
  );
  return [failure ?? 'no such fault', ...done];
}

test.each(['power-cut', 'write-error', 'sync-error'])(
  '%s has not bitten if the process of the node runs on',
  async (name) => {
    expect(await ended(name, true)).toEqual(['node 1 runs on', 'SIGUSR2 to 1']);
    expect(await ended(name, false)).toEqual(['nothing is wrong', 'start of 1']);
  },
);

test.each(['disk-full', 'clock-jump'])('%s ends no process', async (name) => {
  expect(await ended(name, true)).toEqual(['nothing is wrong', 'SIGUSR2 to 1']);
  expect(await ended(name, false)).toEqual(['node 1 has ended', 'start of 1']);
});
