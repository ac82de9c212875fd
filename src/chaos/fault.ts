/** What can be done to a cluster, as its users say it. */
import type { Parsed } from '#base/parsed';

/** Which node is meant; who leads or controls is found out when it is done. */
export type NodeTarget =
  | { readonly kind: 'node'; readonly id: number }
  | { readonly kind: 'controller' }
  /** Undefined: the topic of the scenario's load. `orders-3` is partition 3 of orders unless there is a topic of that name. */
  | { readonly kind: 'leader'; readonly topic: string | undefined };

/** Whom a node is cut off from. */
export type Others = 'all' | 'nodes' | 'clients';

/** `Node` is a NodeTarget as it is said, a number when it is done. */
export type Fault<Node = NodeTarget> =
  | { readonly kind: 'kill' | 'pause' | 'disk-full'; readonly node: Node }
  | { readonly kind: 'delay'; readonly node: Node; readonly ms: number }
  | { readonly kind: 'partition'; readonly between: Sides<Node>; readonly oneWay: boolean; readonly refuses: boolean }
  | { readonly kind: 'lose-rack'; readonly rack: string; readonly how: RackLoss };

/** One way is what the first one sends. */
export type Sides<Node> =
  | { readonly kind: 'two nodes'; readonly first: Node; readonly second: Node }
  | { readonly kind: 'node'; readonly node: Node; readonly others: Others }
  | { readonly kind: 'rack'; readonly rack: string; readonly others: Others };

export const RACK_LOSSES = ['kill', 'pause', 'cut'] as const;
export type RackLoss = (typeof RACK_LOSSES)[number];

/** `2`, `controller`, `leader`, `leader-of orders-3`. */
export function parseNodeTarget(text: string): Parsed<NodeTarget> {
  const words = text.trim();
  if (/^\d{1,9}$/.test(words)) return { value: { kind: 'node', id: Number(words) } };
  if (words === 'controller') return { value: { kind: 'controller' } };
  if (words === 'leader') return { value: { kind: 'leader', topic: undefined } };
  const topic = /^leader-of[ :](\S+)$/.exec(words)?.[1];
  if (topic !== undefined) return { value: { kind: 'leader', topic } };
  return { error: `"${text}" is no node: say its id, controller, or leader-of TOPIC` };
}

/** The same fault of the nodes that are meant. */
export async function resolved(fault: Fault, find: (target: NodeTarget) => Promise<number>): Promise<Fault<number>> {
  switch (fault.kind) {
    case 'lose-rack':
      return fault;
    case 'partition':
      return { ...fault, between: await resolvedSides(fault.between, find) };
    default:
      return { ...fault, node: await find(fault.node) };
  }
}

async function resolvedSides(
  sides: Sides<NodeTarget>,
  find: (target: NodeTarget) => Promise<number>,
): Promise<Sides<number>> {
  switch (sides.kind) {
    case 'rack':
      return sides;
    case 'node':
      return { ...sides, node: await find(sides.node) };
    case 'two nodes':
      return { ...sides, first: await find(sides.first), second: await find(sides.second) };
  }
}

/** For tables and for the user's eye; one that is not resolved yet says who is meant. */
export function faultLabel(fault: Fault<NodeTarget | number>): string {
  switch (fault.kind) {
    case 'kill':
    case 'pause':
    case 'disk-full':
      return `${fault.kind} ${nodeLabel(fault.node)}`;
    case 'delay':
      return `delay ${nodeLabel(fault.node)} by ${fault.ms} ms`;
    case 'lose-rack':
      return `lose-rack ${fault.rack} (${fault.how})`;
    case 'partition': {
      const how = `${fault.oneWay ? ', one way' : ''}${fault.refuses ? ', refused' : ''}`;
      return `partition ${sidesLabel(fault.between)}${how}`;
    }
  }
}

export function nodeLabel(node: NodeTarget | number): string {
  if (typeof node === 'number') return `node ${node}`;
  if (node.kind === 'node') return `node ${node.id}`;
  if (node.kind === 'controller') return 'the controller';
  return node.topic === undefined ? 'a leader' : `the leader of ${node.topic}`;
}

function sidesLabel(sides: Sides<NodeTarget | number>): string {
  switch (sides.kind) {
    case 'two nodes':
      return `${nodeLabel(sides.first)} from ${nodeLabel(sides.second)}`;
    case 'node':
      return `${nodeLabel(sides.node)} from ${OTHERS[sides.others]}`;
    case 'rack':
      return `rack ${sides.rack} from ${OTHERS[sides.others]}`;
  }
}

const OTHERS: Readonly<Record<Others, string>> = {
  all: 'all others',
  nodes: 'the other nodes',
  clients: 'clients',
};
