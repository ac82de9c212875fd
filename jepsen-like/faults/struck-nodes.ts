/** Disks and clocks that fail under a running node, which runs as struck-node-main.ts for that time. */
import { join } from 'node:path';
import type { Cluster, Member } from '../../test/support/cluster/cluster.ts';
import { publishedMain } from '../../test/support/odradek-process.ts';
import { until } from '../../test/support/process.ts';
import type { Fault, Scene } from './fault.ts';
import { leadAgain } from './lead-again.ts';
import { timesFelt } from './strike-felt.ts';

const STRIKE = 'SIGUSR2';
const TELLS_MS = 10_000;

/** The node's own command, but for what is run. */
function struckCommand({ command }: Member, strike: string, seed: number): readonly string[] {
  const main = command.indexOf(publishedMain);
  const [start] = command.slice(main + 1, main + 2);
  if (main < 0 || start !== 'start') throw new Error('the node is not run by the published bin');
  const struck = join(import.meta.dirname, 'struck-node-main.ts');
  return [...command.slice(0, main), struck, strike, String(seed), ...command.slice(main + 2)];
}

/** As it tells when the strike has ended. */
async function hasFelt(cluster: Cluster, id: number): Promise<boolean> {
  const times = () => timesFelt(cluster.pid(id), cluster.said(id));
  return (await until(`node ${id} tells whether it was struck`, TELLS_MS, times)) > 0;
}

/** The strike of this name, on every node that is meant; `ends`: whether their processes are to end by it, or to bear it. */
function strike(
  name: string,
  ends: boolean,
  what: string,
  expected: string,
  whom: (cluster: Cluster, target: number) => readonly number[] = (_, target) => [target],
): Fault {
  const each = async (scene: Scene, target: number, work: (id: number) => Promise<void>): Promise<void> => {
    await Promise.all(whom(scene.cluster, target).map(work));
  };
  return {
    name,
    what,
    expected,
    needsHosts: false,
    mixes: false,
    prepare: async (scene, target) => {
      const { cluster, random } = scene;
      await each(scene, target, async (id) => {
        await cluster.stop(id);
        cluster.spawn(id, struckCommand(cluster.member(id), name, random.uint32()));
      });
      await cluster.inSync();
      await leadAgain(cluster);
    },
    begin: (scene, target) => each(scene, target, async (id) => scene.cluster.signal(id, STRIKE)),
    end: (scene, target) =>
      each(scene, target, async (id) => {
        const { cluster } = scene;
        const runs = cluster.runs(id);
        if (runs) cluster.signal(id, STRIKE);
        else cluster.spawn(id);
        if (runs === ends) throw new Error(runs ? `node ${id} runs on` : `node ${id} has ended`);
        if (runs && !(await hasFelt(cluster, id))) throw new Error(`node ${id} has felt nothing`);
      }),
    tidy: async (scene, target) => {
      const { cluster } = scene;
      await each(scene, target, async (id) => {
        cluster.signal(id, 'SIGTERM');
        await cluster.heal(id);
      });
      await cluster.inSync();
    },
  };
}

export const STRUCK_FAULTS: readonly Fault[] = [
  strike(
    'power-cut',
    true,
    'unsynced writes are lost, kept or torn at a sector, and the process is gone',
    'what was acknowledged is on its disk',
  ),
  {
    ...strike(
      'power-cut',
      true,
      'the power of all six nodes goes at once, as that of one in `power-cut`',
      'nothing goes on until they are back; what was acknowledged is on their disks',
      ({ ids }) => ids,
    ),
    name: 'power-cut-all',
  },
  strike(
    'disk-full',
    false,
    'no write of a node has room',
    'it refuses writes, and recovers by itself when there is room',
  ),
  strike('write-error', true, 'every write fails with EIO', 'its only disk is given up: it ends, others take over'),
  strike('sync-error', true, 'every fsync fails with EIO', 'it never tries again: it ends, others take over'),
  strike('clock-jump', false, 'the wall clock jumps by an hour', 'nothing: no decision is made by it'),
];
