/** A whole rack of two nodes at once, the one in which the target stands. */
import type { Fault, Scene } from './fault.ts';

function rackOf({ cluster }: Scene, target: number): readonly number[] {
  const { rack } = cluster.member(target);
  return cluster.members.filter((member) => member.rack === rack).map(({ id }) => id);
}

function ofRack(name: string, what: string, needsHosts: boolean, strike: (scene: Scene, id: number) => void): Fault {
  return {
    name,
    what,
    expected: 'the other two racks serve all; it heals without a step by hand',
    needsHosts,
    mixes: false,
    begin: async (scene, target) => {
      for (const id of rackOf(scene, target)) strike(scene, id);
    },
    end: async (scene, target) => {
      await Promise.all(rackOf(scene, target).map((id) => scene.cluster.heal(id)));
    },
  };
}

export const RACK_FAULTS: readonly Fault[] = [
  ofRack('rack-cut', 'the uplink of a rack is cut', true, ({ cluster }, id) => cluster.cutRack(id)),
  ofRack('rack-kill', 'both nodes of a rack get SIGKILL', false, ({ cluster }, id) => cluster.signal(id, 'SIGKILL')),
  ofRack('rack-pause', 'both nodes of a rack get SIGSTOP', false, ({ cluster }, id) => cluster.signal(id, 'SIGSTOP')),
];
