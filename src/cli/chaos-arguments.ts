/** What the arguments of `odradek chaos` ask for. */

import type { Parsed } from '#base/parsed';
import { type Fault, type NodeTarget, parseNodeTarget, type RackLoss, type Sides } from '#chaos/fault';
import { othersOf, parseDuration } from '#chaos/scenario';
import { DELAY_MS_MAX } from '#faults/fault-orders';
import { UsageError } from './config-sources.ts';

/** As yargs gives them; those that a command does not have are undefined. */
export interface ChaosArguments {
  readonly node?: string;
  readonly other?: string;
  readonly rack?: string;
  readonly controller?: boolean;
  readonly leaderOf?: string;
  readonly oneWay?: boolean;
  readonly nodes?: boolean;
  readonly clients?: boolean;
  readonly refuse?: boolean;
  readonly ms?: string;
  readonly how?: RackLoss;
  readonly for?: string;
  readonly file?: string;
}

/** Throws UsageError. */
export function faultFrom(kind: Fault['kind'], args: ChaosArguments): Fault {
  switch (kind) {
    case 'kill':
    case 'pause':
    case 'disk-full':
      return { kind, node: targetFrom(args) };
    case 'delay': {
      const { ms: text = '' } = args;
      const ms = Number(text);
      if (!(ms > 0 && ms <= DELAY_MS_MAX))
        throw new UsageError(`--ms takes a number of milliseconds up to ${DELAY_MS_MAX}, not "${text}"`);
      return { kind, node: targetFrom(args), ms };
    }
    case 'lose-rack':
      return { kind, rack: args.rack ?? '', how: args.how ?? 'kill' };
    case 'partition':
      return { kind, between: sidesFrom(args), oneWay: args.oneWay === true, refuses: args.refuse === true };
  }
}

/** Undefined: it is not healed by itself. Throws UsageError. */
export function durationFrom({ for: text }: ChaosArguments): number | undefined {
  return text === undefined ? undefined : taken(parseDuration(text), '--for: ');
}

/** Of the node to heal; undefined: all. Throws UsageError. */
export function healedFrom({ node }: ChaosArguments): number | undefined {
  if (node === undefined || node === 'all') return undefined;
  const target = taken(parseNodeTarget(node));
  if (target.kind === 'node') return target.id;
  throw new UsageError('heal takes the id of a node, or nothing for all');
}

function sidesFrom(args: ChaosArguments): Sides<NodeTarget> {
  const others = taken(othersOf(args.nodes === true, args.clients === true), '--nodes, --clients: ');
  if (args.rack !== undefined) {
    if (targetsIn(args).length > 0) throw new UsageError('--rack is for a rack, without a node');
    return { kind: 'rack', rack: args.rack, others };
  }
  const { node, other } = args;
  // The first word is the second node where a flag says the first.
  const second = targetsIn(args).length > 1 && other === undefined ? node : other;
  if (second === undefined) return { kind: 'node', node: targetFrom(args), others };
  if (others !== 'all') throw new UsageError('--nodes and --clients are for one node or a rack');
  const { node: _, ...flags } = args;
  const first = second === other ? targetFrom(args) : targetFrom(flags);
  return { kind: 'two nodes', first, second: taken(parseNodeTarget(second)) };
}

function targetFrom(args: ChaosArguments): NodeTarget {
  const [target, another] = targetsIn(args);
  if (target === undefined) throw new UsageError('which node? Its id, --controller or --leader-of TOPIC says it');
  if (another !== undefined) throw new UsageError('one node: its id, --controller or --leader-of TOPIC');
  if (target.kind === 'leader' && target.topic === undefined) {
    throw new UsageError('a leader of which topic? --leader-of TOPIC says it');
  }
  return target;
}

function targetsIn({ node, controller, leaderOf }: ChaosArguments): readonly NodeTarget[] {
  return [
    ...(node === undefined ? [] : [taken(parseNodeTarget(node))]),
    ...(controller === true ? [{ kind: 'controller' } as const] : []),
    ...(leaderOf === undefined ? [] : [{ kind: 'leader', topic: leaderOf } as const]),
  ];
}

function taken<T>(parsed: Parsed<T>, where = ''): T {
  if (parsed.error !== undefined) throw new UsageError(`${where}${parsed.error}`);
  return parsed.value;
}
