import type { Fault, Scene } from './fault.ts';

/**
 * A fault that is one step after the other, from its beginning until the step in which it is ended is over. A step says whether it has
 * bitten; if none has, the fault was none.
 */
export function repeated(
  about: Omit<Fault, 'begin' | 'end'>,
  step: (scene: Scene, target: number) => Promise<boolean>,
): Fault {
  /** By target, until it is ended: whether any step has bitten. */
  const running = new Map<number, Promise<boolean>>();
  const repeat = async (scene: Scene, target: number): Promise<boolean> => {
    let hasBitten = false;
    do {
      if (await step(scene, target)) hasBitten = true;
    } while (running.has(target));
    return hasBitten;
  };
  return {
    ...about,
    begin: async (scene, target) => {
      const over = repeat(scene, target);
      // Looked at in the end; a failure before that is not to end the process with everything running.
      over.catch(() => undefined);
      running.set(target, over);
    },
    end: async (_, target) => {
      const over = running.get(target);
      if (over === undefined) throw new Error(`${about.name} has not begun at node ${target}`);
      running.delete(target);
      if (!(await over)) throw new Error(`${about.name} has done nothing at node ${target}`);
    },
  };
}
