import { describe, expect, it } from 'vitest';
import { AssertionError } from '#base/assert';
import type { Ports } from '#base/ports';
import { NO_PLANTED_BUGS } from '#model/planted-bugs';
import { createCodecs } from '#platform/codecs';
import { Cluster } from '#sim/cluster';
import { FINE_WEATHER, isConfession } from '#sim/machine';
import { SimWorld } from '#sim/ports/sim-world';

/** The process of a node calls fatal with this error, after its disk has failed, if it has. */
async function died(error: Error, diskFails: boolean): Promise<void> {
  await did((ports) => ports.fatal(error), diskFails);
}

/** The process of a node does something, after its disk has failed, if it has. */
async function did(act: (ports: Ports) => void, diskFails: boolean): Promise<void> {
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
  ports?.clock.defer(() => act(ports));
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

describe('a node that says that it has gone wrong', () => {
  it('breaks the rule, though it goes on as if nothing had happened, whatever its disk has done', async () => {
    const says = (message: string) =>
      did(({ logger }) => logger.error({ error: 'a log grows at its end' }, message), true);
    await says('the data directory is offline');
    await expect(says('a decision about groups failed')).rejects.toThrow(
      /n1 says: a decision .*a log grows at its end/,
    );
  });

  it('is told from one whose clients or whose disk have', () => {
    expect(isConfession('connection closed: a request of 7 bytes (8 to 100 are accepted)')).toBe(true);
    expect(isConfession('connection closed: a produce request with acks=0 was refused')).toBe(false);
    expect(isConfession('a read of a segment failed')).toBe(false);
  });
});
