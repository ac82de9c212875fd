import { describe, expect, it } from 'vitest';
import { AssertionError } from '#base/assert';
import type { Ports } from '#base/ports';
import { NO_PLANTED_BUGS } from '#model/planted-bugs';
import { createCodecs } from '#platform/codecs';
import { Cluster } from '#sim/cluster';
import { FINE_WEATHER } from '#sim/machine';
import { SimWorld } from '#sim/ports/sim-world';

/** The process of a node calls fatal with this error, after its disk has failed, if it has. */
async function died(error: Error, diskFails: boolean): Promise<void> {
  const world = new SimWorld({ seed: 1, codecs: createCodecs() });
  const given: Ports[] = [];
  const node = { start: () => new Promise<void>(() => {}), stop: async () => {}, ready: false };
  const cluster = new Cluster(world, {
    ...{ nodeCount: 1, voterCount: 1, rackCount: 1, config: new Map(), planted: NO_PLANTED_BUGS },
    makeNode: (ports) => {
      given.push(ports);
      return node;
    },
  });
  cluster.startAll();
  if (diskFails) for (const machine of cluster.machines) machine.weather = { ...FINE_WEATHER, fail: 'EIO' };
  const [ports] = given;
  const [disk] = ports?.disks ?? [];
  await world.complete(Promise.resolve(disk?.makeDir('folder').catch(() => undefined)));
  ports?.clock.defer(() => ports.fatal(error));
  await world.run(world.clock.now() + 1000);
}

describe('a process that ends by itself', () => {
  it('may, after its disk has failed', async () => {
    await died(new Error('no data directory is left'), true);
  });

  it('may not otherwise', async () => {
    await expect(died(new Error('no data directory is left'), false)).rejects.toThrow('n1 called fatal');
  });

  it('may never if an assertion has failed, whatever its disk has done', async () => {
    const broken = new AssertionError('a log grows at its end');
    await expect(died(broken, true)).rejects.toThrow('a log grows at its end');
    await expect(died(new Error('no data directory is left', { cause: broken }), true)).rejects.toThrow(
      'n1 called fatal',
    );
  });
});
