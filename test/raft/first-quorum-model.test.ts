import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { bootstrapIn, entriesOf, Founding, holds, INTRODUCTION_MS, stages } from './founding.ts';
import { textOf } from './support.ts';

type Kind = 'deliver' | 'repeat' | 'drop' | 'tick' | 'write' | 'crash' | 'wipe' | 'restart' | 'calm';

interface Plan {
  readonly size: number;
  readonly steps: readonly { readonly kind: Kind; readonly which: number }[];
}

function plans(kinds: Partial<Record<Kind, number>>): fc.Arbitrary<Plan> {
  const kind = fc.oneof(
    ...Object.entries(kinds).map(([name, weight]) => ({ arbitrary: fc.constant(name as Kind), weight })),
  );
  return fc.record({
    size: fc.constantFrom(1, 2, 3, 3, 5),
    steps: fc.array(fc.record({ kind, which: fc.nat(1000) }), { minLength: 5, maxLength: 120, size: 'max' }),
  });
}

const FAULTS = { deliver: 20, repeat: 3, drop: 2, tick: 5, write: 5, crash: 2, restart: 4, calm: 1 } as const;

/** Clusters whose first entry has been on the disks of a majority at one time: only they can have had a leader. */
class Majorities {
  readonly #found: { readonly entry: string; readonly holders: Set<string> }[] = [];

  get count(): number {
    return this.#found.length;
  }

  look({ nodes }: Founding): void {
    for (const { entry } of nodes) {
      if (entry === undefined) continue;
      const text = textOf(entry.payload);
      const voters = bootstrapIn(entry.payload)?.voters ?? [];
      const holders = nodes.filter((node) => voters.some((voter) => holds(node, voter, text)));
      const known = this.#found.find((cluster) => cluster.entry === text);
      if (known === undefined && holders.length * 2 <= voters.length) continue;
      const names = known?.holders ?? new Set<string>();
      if (known === undefined) this.#begins(nodes, { entry: text, holders: names });
      for (const { self } of holders) names.add(self.directoryId);
    }
  }

  /** Every earlier one must have lost a majority of its disks: then nobody can know that it was there. */
  #begins(nodes: Founding['nodes'], cluster: { readonly entry: string; readonly holders: Set<string> }): void {
    for (const { entry, holders } of this.#found) {
      const left = nodes.filter(({ self }) => holders.has(self.directoryId)).length;
      const lost = holders.size - left;
      if (lost * 2 <= nodes.length)
        throw new Error(`${cluster.entry} beside ${entry}, of which only ${lost} disks are lost`);
    }
    this.#found.push(cluster);
  }
}

function play({ size, steps }: Plan): { readonly founding: Founding; readonly majorities: Majorities } {
  const majorities = new Majorities();
  const ids = Array.from({ length: size }, (_, index) => index + 1);
  const founding = new Founding(ids, new Map(), (changed) => majorities.look(changed));
  for (const node of founding.nodes) founding.start(node);
  for (const { kind, which } of steps) act(founding, kind, which);
  for (const node of founding.nodes) if (node.process === undefined) founding.start(node);
  founding.calm(1000);
  return { founding, majorities };
}

function act(founding: Founding, kind: Kind, which: number): void {
  const node = founding.nodes[which % founding.nodes.length];
  const position = which % Math.max(1, founding.flying.length);
  const flight = founding.flying[position];
  if (node === undefined) return;
  switch (kind) {
    case 'deliver':
    case 'repeat':
      if (kind === 'deliver') founding.flying.splice(position, 1);
      if (flight !== undefined) founding.deliver(flight);
      return;
    case 'drop':
      founding.flying.splice(position, 1);
      return;
    case 'tick':
      founding.now += INTRODUCTION_MS;
      return founding.tick(node);
    case 'write':
      return founding.write(node);
    case 'crash':
      return founding.crash(node);
    case 'wipe':
      return founding.wipe(node);
    case 'restart':
      if (node.process === undefined) founding.start(node);
      return;
    case 'calm':
      return founding.calm(which % 200);
  }
}

describe('whatever is lost, late, repeated or crashes at the first start', () => {
  test('all end in one cluster, as long as the disks stay', () => {
    fc.assert(
      fc.property(plans(FAULTS), (plan) => {
        const { founding, majorities } = play(plan);
        expect(new Set(stages(founding))).toEqual(new Set(['member']));
        expect(new Set(entriesOf(founding)).size).toBe(1);
        expect(majorities.count).toBe(1);
      }),
      { numRuns: 1000, seed: 20261103 },
    );
  });

  test('a second cluster never has a majority, unless a majority of the disks of the first were wiped', () => {
    let second = 0;
    fc.assert(
      fc.property(plans({ ...FAULTS, wipe: 2 }), (plan) => {
        if (play(plan).majorities.count > 1) second += 1;
      }),
      { numRuns: 3000, seed: 20261104 },
    );
    expect(second).toBeGreaterThan(0);
  });
});
