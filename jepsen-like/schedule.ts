import { at } from '#base/assert';
import type { Random } from '#base/ports';
import type { Fault } from './faults/fault.ts';
import { MIX } from './faults/mix.ts';

/** So many others come between two mixes of a long round. */
const MIX_EVERY = 4;

/** In an order that is drawn, each once; but the mix, if it is among them, again after every few of the others, and in the end. */
export function longRound(faults: readonly Fault[], random: Random): readonly Fault[] {
  const mix = faults.filter(({ name }) => name === MIX);
  const left = faults.filter(({ name }) => name !== MIX);
  const drawn: Fault[] = [];
  for (let count = 1; left.length > 0; count += 1) {
    drawn.push(at(left.splice(random.uint32() % left.length, 1), 0));
    if (count % MIX_EVERY === 0 || left.length === 0) drawn.push(...mix);
  }
  return faults.length === mix.length ? mix : drawn;
}
