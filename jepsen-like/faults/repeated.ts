import type { Fault, Scene } from './fault.ts';

/** A fault that is one step after the other, from its beginning until the step in which it is ended is over. */
export function repeated(
  about: Omit<Fault, 'begin' | 'end'>,
  step: (scene: Scene, target: number) => Promise<void>,
): Fault {
  const running = new Map<number, { isEnding: boolean; readonly over: Promise<void> }>();
  const repeat = async (scene: Scene, target: number): Promise<void> => {
    do {
      await step(scene, target);
    } while (running.get(target)?.isEnding === false);
  };
  return {
    ...about,
    begin: async (scene, target) => {
      const over = repeat(scene, target);
      // Looked at in the end; a failure before that is not to end the process with everything running.
      over.catch(() => undefined);
      running.set(target, { isEnding: false, over });
    },
    end: async (_, target) => {
      const one = running.get(target);
      if (one === undefined) throw new Error(`${about.name} has not begun at node ${target}`);
      one.isEnding = true;
      await one.over;
      running.delete(target);
    },
  };
}
