/** What a fault is made of: signals to processes, and orders to nodes about their lines and disks. */
import type { Parsed } from '#base/parsed';
import type { LineFault } from '#faults/fault-line';
import type { LineName } from '#faults/fault-network';
import type { FaultOrders } from '#faults/fault-orders';
import type { Fault, NodeTarget, Others, Sides } from './fault.ts';

export interface RackedNode {
  readonly id: number;
  readonly rack?: string | undefined;
}

export interface Blow {
  readonly signals: ReadonlyMap<number, 'SIGKILL' | 'SIGSTOP'>;
  /** Of the nodes that have any, by id. */
  readonly orders: ReadonlyMap<number, FaultOrders>;
}

/** An error names what there is not. */
export function blowOf(fault: Fault<number>, nodes: readonly RackedNode[]): Parsed<Blow> {
  const problem = problemOf(fault, nodes);
  if (problem !== undefined) return { error: problem };
  switch (fault.kind) {
    case 'kill':
      return { value: signalled([fault.node], 'SIGKILL') };
    case 'pause':
      return { value: signalled([fault.node], 'SIGSTOP') };
    case 'disk-full':
      return { value: ordered(new Map([[fault.node, { lines: new Map(), diskFull: true }]])) };
    case 'delay': {
      const delay: LineFault = { kind: 'delay', ms: fault.ms };
      return { value: struck(nodes, { kind: 'node', node: fault.node, others: 'all' }, delay, delay) };
    }
    case 'partition': {
      const [near, far] = fault.refuses ? ([REFUSED, REFUSED] as const) : cut(fault.oneWay);
      return { value: struck(nodes, fault.between, near, far) };
    }
    case 'lose-rack': {
      const { rack, how } = fault;
      const lost = nodes.filter((node) => node.rack === rack).map(({ id }) => id);
      if (how !== 'cut') return { value: signalled(lost, how === 'kill' ? 'SIGKILL' : 'SIGSTOP') };
      return { value: struck(nodes, { kind: 'rack', rack, others: 'all' }, ...cut(false)) };
    }
  }
}

/** The orders that undo a blow; who was signalled is healed by whoever can. */
export function healingOf({ orders }: Blow): ReadonlyMap<number, FaultOrders> {
  return new Map(
    [...orders].map(([id, { lines, diskFull }]) => [
      id,
      {
        lines: new Map([...lines.keys()].map((name) => [name, undefined])),
        diskFull: diskFull === undefined ? undefined : false,
      },
    ]),
  );
}

/** All that others have against a node. */
export function forgivenessOf(id: number, nodes: readonly RackedNode[]): ReadonlyMap<number, FaultOrders> {
  const others = nodes.filter((node) => node.id !== id);
  return new Map(others.map((node) => [node.id, { lines: new Map([[id, undefined]]), diskFull: undefined }]));
}

const REFUSED: LineFault = { kind: 'refuse' };

/** At the first side, and at the other end of its lines. */
function cut(oneWay: boolean): readonly [LineFault, LineFault] {
  if (!oneWay) return [BOTH_WAYS, BOTH_WAYS];
  return [
    { kind: 'cut', way: 'sent' },
    { kind: 'cut', way: 'received' },
  ];
}

const BOTH_WAYS: LineFault = { kind: 'cut', way: 'both' };

function signalled(ids: readonly number[], signal: 'SIGKILL' | 'SIGSTOP'): Blow {
  return { signals: new Map(ids.map((id) => [id, signal])), orders: new Map() };
}

function ordered(orders: ReadonlyMap<number, FaultOrders>): Blow {
  return { signals: new Map(), orders };
}

/** Both ends of each line that leads from one side to the other have it; clients have none to set it on. */
function struck(nodes: readonly RackedNode[], sides: Sides<number>, near: LineFault, far: LineFault): Blow {
  const lines = new Map<number, Map<LineName, LineFault>>();
  const put = (at: number, name: LineName, fault: LineFault): void => {
    const ofNode = lines.get(at) ?? new Map<LineName, LineFault>();
    lines.set(at, ofNode.set(name, fault));
  };
  const { inside, outside, others } = split(nodes, sides);
  for (const id of inside) {
    if (others !== 'nodes') put(id, 'clients', near);
    if (others === 'clients') continue;
    for (const other of outside) {
      put(id, other, near);
      put(other, id, far);
    }
  }
  return ordered(new Map([...lines].map(([id, ofNode]) => [id, { lines: ofNode, diskFull: undefined }])));
}

function split(
  nodes: readonly RackedNode[],
  sides: Sides<number>,
): { readonly inside: readonly number[]; readonly outside: readonly number[]; readonly others: Others } {
  if (sides.kind === 'two nodes') return { inside: [sides.first], outside: [sides.second], others: 'nodes' };
  const isInside = ({ id, rack }: RackedNode): boolean =>
    sides.kind === 'node' ? id === sides.node : rack === sides.rack;
  const idsOf = (some: readonly RackedNode[]): readonly number[] => some.map(({ id }) => id);
  return {
    inside: idsOf(nodes.filter(isInside)),
    outside: idsOf(nodes.filter((node) => !isInside(node))),
    others: sides.others,
  };
}

/** What there is not, or makes no sense, as far as it is known before it is done who controls and who leads. */
export function problemOf(fault: Fault<NodeTarget | number>, nodes: readonly RackedNode[]): string | undefined {
  const rack = rackOf(fault);
  if (rack !== undefined && !nodes.some((node) => node.rack === rack)) {
    const racks = [...new Set(nodes.flatMap((node) => node.rack ?? []))];
    const there = racks.length === 0 ? 'none of the nodes has one' : `there are ${racks.join(', ')}`;
    return `there is no rack ${rack}: ${there}`;
  }
  const named = namedIn(fault).flatMap((node) => idOf(node) ?? []);
  const unknown = named.find((id) => !nodes.some((node) => node.id === id));
  if (unknown !== undefined) return unknownNode(unknown, nodes);
  return new Set(named).size < named.length ? `node ${named[0]} is not cut off from itself` : undefined;
}

function idOf(node: NodeTarget | number): number | undefined {
  if (typeof node === 'number') return node;
  return node.kind === 'node' ? node.id : undefined;
}

export function unknownNode(id: number, nodes: readonly RackedNode[]): string {
  return `there is no node ${id}: there are ${nodes.map((node) => node.id).join(', ')}`;
}

function rackOf(fault: Fault<NodeTarget | number>): string | undefined {
  if (fault.kind === 'lose-rack') return fault.rack;
  return fault.kind === 'partition' && fault.between.kind === 'rack' ? fault.between.rack : undefined;
}

/** Those that the fault speaks of, not those of a rack. */
export function namedIn<Node>(fault: Fault<Node>): readonly Node[] {
  if (fault.kind === 'lose-rack') return [];
  if (fault.kind !== 'partition') return [fault.node];
  switch (fault.between.kind) {
    case 'two nodes':
      return [fault.between.first, fault.between.second];
    case 'node':
      return [fault.between.node];
    case 'rack':
      return [];
  }
}
