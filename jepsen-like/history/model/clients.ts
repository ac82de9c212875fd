import type { ClientLine, Key, MicroOperation, Send } from '#history/format';
import { beginTransaction, endTransaction } from './partition.ts';
import type { Actor, Positions, World } from './world.ts';

/** What producers send to, and transactions and readers read from. */
export const QUEUES: readonly Key[] = ['q-0', 'q-1'];
/** What is sent to as well, and copied. */
export const SOURCES: readonly Key[] = ['in-0', 'in-1'];

const SENDS_MAX = 3;
const PARTS_MAX = 4;
const READ_MAX = 3;

const safe = { acks: 'all', idempotent: true, isolation: 'read_committed' } as const;

interface Promised {
  readonly acks: ClientLine['acks'] & (1 | 'all');
  readonly idempotent: boolean;
}

function drawSends(world: World, countMax: number): readonly Send[] {
  return Array.from({ length: 1 + world.below(countMax) }, () => {
    return ['send', world.pick([...QUEUES, ...SOURCES]), world.nextValue()];
  });
}

/** Several at once, of which some may be on their way when it gives up. */
export function* produce(world: World, promised: Promised): Actor {
  let p = world.join(promised);
  while (world.goesOn) {
    const sends = drawSends(world, SENDS_MAX);
    world.recorder.invoke({ p, f: 'send', ops: sends });
    yield;
    if (world.chance(5)) {
      world.recorder.complete('fail', { p });
    } else if (world.chance(90)) {
      const ops: MicroOperation[] = [];
      for (const send of sends) {
        ops.push(store(world, send, promised));
        yield;
      }
      world.recorder.complete('ok', { p, ops });
    } else {
      giveUp(world, p, sends);
      p = world.join({ ...promised, after: p });
    }
    yield;
  }
}

/** Without idempotence it may be written twice; with acks=1 it may be gone when its offset is told, and another get that. */
function store(world: World, [, key, value]: Send, { acks, idempotent }: Promised): Send {
  const partition = world.partition(key);
  if (acks === 1 && world.chance(5)) return ['send', key, value, partition.end];
  const offset = partition.append(value);
  // Of two attempts the one that is acknowledged may be gone.
  if (acks === 1 && !idempotent && world.chance(5)) return ['send', key, value, partition.end];
  if (!idempotent && world.chance(5)) return ['send', key, value, partition.append(value)];
  return ['send', key, value, offset];
}

function giveUp(world: World, p: number, sends: readonly Send[]): void {
  const acknowledged = world.below(sends.length);
  const ops: MicroOperation[] = [];
  for (const [index, [, key, value]] of sends.entries()) {
    if (index < acknowledged) ops.push(['send', key, value, world.partition(key).append(value)]);
    else ops.push(['send', key, value]);
  }
  world.later(() => {
    for (const [, key, value] of sends.slice(acknowledged)) {
      if (world.chance(50)) world.partition(key).append(value);
    }
  });
  // Some never come back to tell even that.
  if (world.chance(70)) world.recorder.complete('info', { p, ops });
}

/** Sends and polls, committed or aborted as one; a consumer whose transaction was aborted goes back. */
export function* transact(world: World): Actor {
  let p = world.join(safe);
  let positions: Positions | undefined;
  while (world.goesOn) {
    if (positions === undefined) {
      positions = new Map(QUEUES.map((key) => [key, world.below(world.partition(key).end + 1)]));
      world.assign(p, positions);
    }
    const parts = Array.from({ length: 1 + world.below(PARTS_MAX) }, () => {
      return world.chance(60) ? (drawSends(world, 1)[0] ?? (['poll'] as const)) : (['poll'] as const);
    });
    world.recorder.invoke({ p, f: 'txn', ops: parts });
    const transaction = beginTransaction();
    const ops: MicroOperation[] = [];
    let reached: Positions = positions;
    for (const part of parts) {
      yield;
      if (part[0] === 'send') {
        const [, key, value] = part;
        ops.push(['send', key, value, world.partition(key).append(value, transaction)]);
      } else {
        const { part: polled, next } = world.poll(reached, READ_MAX, true);
        reached = next;
        ops.push(polled);
      }
    }
    yield;
    if (world.chance(75)) {
      endTransaction(transaction, 'committed');
      yield;
      world.recorder.complete('ok', { p, ops });
      positions = reached;
    } else if (world.chance(50)) {
      endTransaction(transaction, 'aborted');
      world.recorder.complete('fail', { p, ops });
    } else {
      world.later(() => endTransaction(transaction, world.pick(['committed', 'aborted'])));
      if (world.chance(70)) world.recorder.complete('info', { p, ops });
      p = world.join({ ...safe, after: p });
      positions = undefined;
    }
    yield;
  }
}

export function* read(world: World, isolation: 'read_committed' | 'read_uncommitted'): Actor {
  const p = world.join({ isolation });
  let positions: Positions = new Map();
  while (world.goesOn) {
    if (positions.size === 0 || world.chance(5)) {
      positions = new Map(QUEUES.map((key) => [key, world.below(world.partition(key).end + 1)]));
      world.assign(p, positions);
    }
    world.recorder.invoke({ p, f: 'poll', ops: [['poll']] });
    yield;
    if (world.chance(5)) {
      world.recorder.complete('fail', { p });
    } else {
      const { part, next } = world.poll(positions, READ_MAX, isolation === 'read_committed');
      yield;
      world.recorder.complete('ok', { p, ops: [part] });
      positions = next;
    }
    yield;
  }
}

/** Exactly once: each transaction copies what it has read, and commits how far. One whose outcome is not known is ended by its successor. */
export function* copy(world: World, from: Key, to: Key, group: string): Actor {
  const client = { ...safe, group };
  let p = world.join(client);
  let committed = 0;
  let assigned = false;
  for (;;) {
    const { part, next } = world.poll(new Map([[from, committed]]), READ_MAX, true);
    const pairs = part[1]?.[from] ?? [];
    if (pairs.length === 0) {
      if (world.settled) return;
      yield;
      continue;
    }
    if (!assigned) world.assign(p, new Map([[from, committed]]));
    assigned = true;
    const upTo = next.get(from) ?? committed;
    const copies = pairs.flatMap((fromOffset, index): MicroOperation[] => {
      return index % 2 === 0 ? [['copy', to, world.nextValue(), from, fromOffset]] : [];
    });
    world.recorder.invoke({ p, f: 'txn', ops: [part, ...copies, ['commit', from, upTo]] });
    const transaction = beginTransaction();
    const ops = copies.map((each): MicroOperation => {
      if (each[0] !== 'copy') return each;
      return ['copy', to, each[2], from, each[4], world.partition(to).append(each[2], transaction)];
    });
    yield;
    const commits = world.chance(80);
    endTransaction(transaction, commits ? 'committed' : 'aborted');
    if (commits) committed = upTo;
    yield;
    if (world.chance(90)) {
      world.recorder.complete(commits ? 'ok' : 'fail', { p, ops: [part, ...ops, ['commit', from, upTo]] });
    } else {
      if (world.chance(70)) world.recorder.complete('info', { p, ops: [part, ...ops, ['commit', from, upTo]] });
      p = world.join({ ...client, after: p });
      assigned = false;
    }
  }
}
