import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { components } from './components.ts';
import { GraphBuilder } from './graph.ts';
import { shortCycle } from './shortest-cycle.ts';

type Edges = readonly (readonly [from: number, to: number, kind: number])[];

const NODES = 12;
const edgesOf = fc.array(
  fc.tuple(fc.nat(NODES - 1), fc.nat(NODES - 1), fc.constantFrom(1, 2, 4)).filter(([from, to]) => from !== to),
  { maxLength: 40 },
);

function built(edges: Edges, nodes = NODES) {
  const builder = new GraphBuilder();
  for (const [from, to, kind] of edges) builder.edge(from, to, kind);
  return builder.build(nodes);
}

/** The length of the shortest way by edges of a mask, by trying all; Infinity if there is none. */
function distance(edges: Edges, mask: number, from: number, to: number): number {
  const reached = new Map([[from, 0]]);
  for (const [node, length] of reached) {
    for (const [start, end, kind] of edges) {
      if (start === node && (kind & mask) !== 0 && !reached.has(end)) reached.set(end, length + 1);
    }
  }
  return reached.get(to) ?? Number.POSITIVE_INFINITY;
}

describe('the components of a graph', () => {
  test('are of nodes that reach each other, by edges of the mask', () => {
    fc.assert(
      fc.property(edgesOf, fc.integer({ min: 1, max: 7 }), (edges, mask) => {
        const { of, large } = components(built(edges), mask);
        const finite = (from: number, to: number) => distance(edges, mask, from, to) !== Number.POSITIVE_INFINITY;
        for (let a = 0; a < NODES; a += 1) {
          for (let b = 0; b < NODES; b += 1) expect(of[a] === of[b]).toBe(finite(a, b) && finite(b, a));
        }
        for (const members of large) expect(members.length).toBeGreaterThan(1);
        const inLarge = large.flat().length;
        const alone = [...of].filter((part) => [...of].filter((other) => other === part).length === 1).length;
        expect(inLarge + alone).toBe(NODES);
      }),
    );
  });

  test('of a ring of a million nodes is one, found without recursion', () => {
    const nodes = 1_000_000;
    const builder = new GraphBuilder();
    for (let node = 0; node < nodes; node += 1) builder.edge(node, (node + 1) % nodes, 1);
    expect(components(builder.build(nodes), 1).large.map(({ length }) => length)).toEqual([nodes]);
  });
});

describe('a short cycle', () => {
  test('goes by one edge of the kind that is asked for, and back by the others, on edges that there are', () => {
    fc.assert(
      fc.property(edgesOf, (edges) => {
        const graph = built(edges);
        const parts = components(graph, 7);
        for (const members of parts.large) {
          const cycle = shortCycle(graph, parts, members, { through: 4, back: 3 });
          for (const [index, { node, kind }] of (cycle ?? []).entries()) {
            const next = cycle?.[(index + 1) % cycle.length]?.node;
            expect(edges.some(([from, to, of]) => from === node && to === next && of === kind)).toBe(true);
            expect(kind === 4).toBe(index === 0);
          }
          const lengths = edges
            .filter(([from, , kind]) => kind === 4 && members.includes(from))
            .map(([from, to]) => 1 + distance(edges, 3, to, from));
          const shortest = Math.min(...lengths);
          // Of a few edges all are tried.
          if (lengths.length <= 8) expect(cycle?.length ?? Number.POSITIVE_INFINITY).toBe(shortest);
        }
      }),
    );
  });
});
