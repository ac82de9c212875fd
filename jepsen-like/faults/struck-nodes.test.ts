import { expect, test } from 'vitest';
import { SimRandom } from '#sim/ports/sim-random';
import type { Cluster } from '../../test/support/cluster/cluster.ts';
import type { Scene } from './fault.ts';
import { feltLine } from './strike-felt.ts';
import { STRUCK_FAULTS } from './struck-nodes.ts';

/** A cluster whose node 1 runs or has ended, and what is done to it; it tells how often it felt the strike. */
function scene(runs: boolean, felt: number): { readonly scene: Scene; readonly done: readonly string[] } {
  const done: string[] = [];
  const cluster = {
    runs: () => runs,
    signal: (id: number, name: string) => done.push(`${name} to ${id}`),
    spawn: (id: number) => done.push(`start of ${id}`),
    pid: () => 17,
    said: () => `${feltLine(1, 5)}\n${feltLine(17, felt)}\nnode stopped`,
  } as unknown as Cluster;
  const about = { links: undefined, random: new SimRandom('scene'), topics: [], record: () => undefined };
  return { scene: { ...about, cluster }, done };
}

async function ended(name: string, runs: boolean, felt = 1): Promise<readonly string[]> {
  const { scene: found, done } = scene(runs, felt);
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

test('a strike that nothing felt is no trial of it', async () => {
  expect(await ended('clock-jump', true, 0)).toEqual(['node 1 has felt nothing', 'SIGUSR2 to 1']);
});

test('power-cut-all cuts the power of every node, and starts every one again', async () => {
  const { scene: found, done } = scene(false, 0);
  const all = STRUCK_FAULTS.find(({ name }) => name === 'power-cut-all');
  const cluster = Object.assign(found.cluster, { ids: [1, 2, 3] });
  await all?.begin({ ...found, cluster }, 2);
  await all?.end({ ...found, cluster }, 2);
  const ofEach = (what: string): readonly string[] => [1, 2, 3].map((id) => `${what} ${id}`);
  expect(done).toEqual([...ofEach('SIGUSR2 to'), ...ofEach('start of')]);
});
