/** A part of the cluster that is well while the rest stays broken: what it can do alone it must do (liveness, as TigerBeetle's VOPR has it). */
import type { Random } from '#base/ports';
import type { Cluster } from './cluster.ts';
import type { Machine } from './machine.ts';

export interface HealedCore {
  readonly inside: readonly Machine[];
  readonly outside: readonly Machine[];
}

/** Undefined: none this time, or those who would be left out are needed. */
export function drawCore(
  random: Random,
  machines: readonly Machine[],
  canDoWithout: (outside: readonly Machine[]) => boolean,
): HealedCore | undefined {
  const outside = machines.filter(() => random.uint32() % 3 === 0);
  if (outside.length === 0 || !canDoWithout(outside)) return undefined;
  return { inside: machines.filter((machine) => !outside.includes(machine)), outside };
}

/** Each of those outside is dark, or reaches nobody and is reached by nobody, until all links heal and all machines are started. */
export async function leaveOutside(
  random: Random,
  cluster: Cluster,
  { outside }: HealedCore,
  clients: readonly string[],
): Promise<void> {
  const { network, clock } = cluster.world;
  const hosts = [...cluster.machines.map(({ name }) => name), ...clients];
  for (const machine of outside) {
    if (random.uint32() % 2 === 0 && machine.isUp && !machine.isStopping) {
      await machine.losePower();
      continue;
    }
    for (const host of hosts) {
      if (host === machine.name) continue;
      network.link(machine.name, host).cut(clock.now());
      network.link(host, machine.name).cut(clock.now());
    }
  }
}
