/** Links that are slow, bad, or carry nothing now and then. */
import type { Impairment } from '../../test/support/cluster/sites.ts';
import { sleep } from '../../test/support/process.ts';
import type { Fault } from './fault.ts';
import { linksOf } from './partitions.ts';
import { repeated } from './repeated.ts';

const KILOBITS_PER_S = 512;
const LOSES_MS = 60;
const CARRIES_MS = 240;
const BAD: Impairment = { delayMs: 20, jitterMs: 10, lostPercent: 3, twicePercent: 1 };

const slow: Fault = {
  name: 'slow-link',
  what: `${KILOBITS_PER_S} kbit/s to and from a node, and a queue of 50 ms, beyond which packets are lost`,
  expected: 'it is left behind, or keeps up; the others go on',
  needsHosts: true,
  mixes: false,
  begin: async (scene, id) => linksOf(scene).limit(scene.cluster.member(id).host, KILOBITS_PER_S),
  end: async (scene) => linksOf(scene).restore(),
};

const lossy: Fault = {
  name: 'lossy-link',
  what: `each packet to and from a node takes ${BAD.delayMs - BAD.jitterMs} to ${BAD.delayMs + BAD.jitterMs} ms, so that some pass others; ${BAD.lostPercent} % are lost, ${BAD.twicePercent} % arrive twice`,
  expected: 'connections stay, and everything goes on, slower',
  needsHosts: true,
  mixes: true,
  missing: (links) => (links?.impairedBy === undefined ? 'neither netem in the kernel nor python3' : undefined),
  means: (links) => links?.impairedBy,
  begin: async (scene, id) => linksOf(scene).impair(scene.cluster.member(id).host, BAD, scene.random.uint32()),
  end: async (scene, id) => linksOf(scene).repair(scene.cluster.member(id).host),
};

const flapping = repeated(
  {
    name: 'flapping-link',
    what: `${LOSES_MS} of every ${LOSES_MS + CARRIES_MS} ms nothing reaches a node or leaves it`,
    expected: 'connections stay, and everything goes on, later',
    needsHosts: true,
    mixes: true,
  },
  async ({ cluster }, id) => {
    const member = cluster.member(id);
    member.cut();
    await sleep(LOSES_MS);
    member.join();
    await sleep(CARRIES_MS);
    return true;
  },
);

export const LINK_FAULTS: readonly Fault[] = [slow, lossy, flapping];
