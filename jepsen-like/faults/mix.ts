import { at } from '#base/assert';
import { sleep } from '../../test/support/process.ts';
import type { Fault } from './fault.ts';
import { repeated } from './repeated.ts';

export const MIX = 'mix';

const TOGETHER_MAX = 2;
const TOGETHER_MS = 4_000;
const AFTERWARDS_MS = 2_000;

/** Up to two faults at a time, each of another node, drawn anew again and again; a draw of none is a quiet phase. */
export function mixOf(faults: readonly Fault[]): Fault {
  const about = {
    name: MIX,
    what: `up to ${TOGETHER_MAX} faults at once, drawn anew every ${(TOGETHER_MS + AFTERWARDS_MS) / 1_000} s, sometimes none`,
    expected: 'it goes on whenever there is a majority',
    needsHosts: false,
    mixes: false,
    lengths: 4,
  };
  return repeated(about, async (scene) => {
    const { cluster, random, links } = scene;
    const mixing = faults.filter(({ mixes, needsHosts, missing }) => {
      return mixes && (!needsHosts || links !== undefined) && missing?.(links) === undefined;
    });
    const ids = [...cluster.ids];
    const drawn = Array.from({ length: random.uint32() % (TOGETHER_MAX + 1) }, () => ({
      fault: at(mixing, random.uint32() % mixing.length),
      id: at(ids.splice(random.uint32() % ids.length, 1), 0),
    }));
    // Whatever comes of one of them, the others are ended.
    const failures: Error[] = [];
    const attempt = (work: Promise<void>): Promise<void> => work.catch((failure: Error) => void failures.push(failure));
    for (const { fault, id } of drawn) {
      scene.record(fault.name, id, 'begin');
      await attempt(fault.begin(scene, id));
    }
    await sleep(TOGETHER_MS);
    for (const { fault, id } of drawn) {
      await attempt(fault.end(scene, id));
      scene.record(fault.name, id, 'end');
    }
    const [first] = failures;
    if (first !== undefined) throw first;
    await sleep(AFTERWARDS_MS);
    return true;
  });
}
