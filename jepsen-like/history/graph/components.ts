import type { Graph } from './graph.ts';

/** The nodes of a component, and for every node the number of its component. */
export interface Components {
  readonly of: Int32Array;
  /** Those of more than one node. */
  readonly large: readonly (readonly number[])[];
}

const UNSEEN = 0;

/**
 * Strongly connected components by the edges of a mask: Tarjan's algorithm (SIAM J. Comput. 1, 1972) with stacks of its own, since a
 * chain of a million operations is deeper than the engine's.
 */
export function components({ nodes, first, targets, kinds }: Graph, mask: number): Components {
  const of = new Int32Array(nodes).fill(-1);
  const large: number[][] = [];
  /** In the order of discovery, from 1 on. */
  const order = new Int32Array(nodes);
  /** The first in that order that is known to be in the node's component. */
  const low = new Int32Array(nodes);
  const nextEdge = new Int32Array(nodes);
  /** The way down from the root. */
  const path = new Int32Array(nodes);
  /** Nodes whose component is not complete; the path is a part of them. */
  const open = new Int32Array(nodes);
  let opened = 0;
  let discovered = 0;
  let count = 0;

  for (let root = 0; root < nodes; root += 1) {
    if (order[root] !== UNSEEN) continue;
    let depth = 0;
    path[0] = root;
    while (depth >= 0) {
      const node = path[depth] as number;
      if (order[node] === UNSEEN) {
        discovered += 1;
        order[node] = discovered;
        low[node] = discovered;
        nextEdge[node] = first[node] as number;
        open[opened] = node;
        opened += 1;
      }
      const end = first[node + 1] as number;
      let edge = nextEdge[node] as number;
      let child = -1;
      for (; edge < end && child < 0; edge += 1) {
        if (((kinds[edge] as number) & mask) === 0) continue;
        const target = targets[edge] as number;
        if (order[target] === UNSEEN) child = target;
        else if (of[target] === -1) low[node] = Math.min(low[node] as number, order[target] as number);
      }
      nextEdge[node] = edge;
      if (child >= 0) {
        depth += 1;
        path[depth] = child;
        continue;
      }
      if (low[node] === order[node]) {
        const members: number[] = [];
        let member: number;
        do {
          opened -= 1;
          member = open[opened] as number;
          of[member] = count;
          members.push(member);
        } while (member !== node);
        if (members.length > 1) large.push(members);
        count += 1;
      }
      depth -= 1;
      if (depth >= 0) {
        const parent = path[depth] as number;
        low[parent] = Math.min(low[parent] as number, low[node] as number);
      }
    }
  }
  return { of, large };
}
