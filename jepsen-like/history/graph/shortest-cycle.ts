import type { Components } from './components.ts';
import type { Graph } from './graph.ts';

/** A cycle: each step leads to the node of the next, the last to that of the first. */
export interface Step {
  readonly node: number;
  /** Of the edge that leads on. */
  readonly kind: number;
}

/** From how many edges it is tried; whoever has a component of a million nodes does not wait for the very shortest. */
const TRIES = 8;

/** By which edges to look for a cycle. */
export interface Wanted {
  /** It goes by one of these, */
  readonly through: number;
  /** and from its target back by these. */
  readonly back: number;
}

/** A short cycle in one component, the shortest of some; undefined if none of the tried edges is on one. */
export function shortCycle(
  graph: Graph,
  parts: Components,
  members: readonly number[],
  { through, back }: Wanted,
): readonly Step[] | undefined {
  let best: readonly Step[] | undefined;
  let tries = 0;
  for (const node of members) {
    const end = graph.first[node + 1] ?? 0;
    for (let edge = graph.first[node] ?? 0; edge < end; edge += 1) {
      const kind = (graph.kinds[edge] ?? 0) & through;
      const target = graph.targets[edge] ?? 0;
      if (kind === 0 || parts.of[target] !== parts.of[node]) continue;
      if (tries === TRIES) return best;
      tries += 1;
      const rest = shortestPath(graph, parts, target, node, back);
      if (rest !== undefined && (best === undefined || rest.length + 1 < best.length)) best = [{ node, kind }, ...rest];
    }
  }
  return best;
}

/** Whether an edge of these kinds leads from a node to another of its component. */
export function leavesWithin(graph: Graph, parts: Components, node: number, mask: number): boolean {
  const end = graph.first[node + 1] ?? 0;
  for (let edge = graph.first[node] ?? 0; edge < end; edge += 1) {
    const target = graph.targets[edge] ?? 0;
    if (((graph.kinds[edge] ?? 0) & mask) !== 0 && parts.of[target] === parts.of[node]) return true;
  }
  return false;
}

/** Breadth first, within the component; without its last node. */
function shortestPath(graph: Graph, parts: Components, from: number, to: number, mask: number): Step[] | undefined {
  const cameFrom = new Map<number, Step>([[from, { node: from, kind: 0 }]]);
  const queue = [from];
  for (const node of queue) {
    if (node === to) break;
    const end = graph.first[node + 1] ?? 0;
    for (let edge = graph.first[node] ?? 0; edge < end; edge += 1) {
      const kind = (graph.kinds[edge] ?? 0) & mask;
      const target = graph.targets[edge] ?? 0;
      if (kind === 0 || parts.of[target] !== parts.of[from] || cameFrom.has(target)) continue;
      cameFrom.set(target, { node, kind });
      queue.push(target);
    }
  }
  const path: Step[] = [];
  for (let step = cameFrom.get(to), node = to; node !== from; step = cameFrom.get(node)) {
    if (step === undefined) return undefined;
    path.unshift(step);
    node = step.node;
  }
  return path;
}
