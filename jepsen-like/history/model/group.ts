import type { Commit, Key } from '#history/format';
import { QUEUES } from './clients.ts';
import type { Actor, Positions, World } from './world.ts';

const READ_MAX = 3;

/** A group of the classic protocol, as its coordinator has it. */
export class Group {
  readonly name: string;
  readonly members: number;
  readonly committed = new Map<Key, number>();
  #generation = 0;
  #owners: ReadonlyMap<Key, number> = new Map();

  constructor(name: string, members: number) {
    this.name = name;
    this.members = members;
  }

  get generation(): number {
    return this.#generation;
  }

  rebalance(world: World): void {
    this.#generation += 1;
    this.#owners = new Map(QUEUES.map((key) => [key, world.below(this.members)]));
  }

  assignedTo(member: number): Positions {
    const keys = QUEUES.filter((key) => this.#owners.get(key) === member);
    return new Map(keys.map((key) => [key, this.committed.get(key) ?? 0]));
  }

  /** False: the generation is over. */
  commit(generation: number, commits: readonly Commit[]): boolean {
    if (generation !== this.#generation) return false;
    for (const [, key, offset] of commits) this.committed.set(key, offset);
    return true;
  }
}

export function* coordinate(world: World, group: Group): Actor {
  while (world.goesOn) {
    if (world.chance(5)) group.rebalance(world);
    yield;
  }
}

/** It hears of a new generation when it polls next; until then it reads on, and its commits are refused. */
export function* belong(world: World, group: Group, member: number): Actor {
  const client = { isolation: 'read_committed', group: group.name, protocol: 'classic', reset: 'earliest' } as const;
  let p = world.join(client);
  world.recorder.invoke({ p, f: 'subscribe', ops: [['subscribe', 'q']] });
  world.recorder.complete('ok', { p });
  let generation = 0;
  let positions: Positions = new Map();
  while (world.goesOn) {
    if (positions.size > 0 && world.chance(30)) {
      const ops = [...positions].map(([key, offset]): Commit => ['commit', key, offset]);
      world.recorder.invoke({ p, f: 'commit', ops, generation });
      yield;
      const lost = world.chance(5);
      const accepted = !lost && group.commit(generation, ops);
      yield;
      if (lost || world.chance(5)) {
        world.recorder.complete('info', { p });
        p = world.join({ ...client, after: p });
      } else {
        world.recorder.complete(accepted ? 'ok' : 'fail', { p });
      }
    } else if (world.chance(10)) {
      const key = world.pick(QUEUES);
      world.recorder.invoke({ p, f: 'committed', ops: [['committed', key]] });
      yield;
      const offset = group.committed.get(key) ?? null;
      yield;
      world.recorder.complete('ok', { p, ops: [['committed', key, offset]] });
    } else {
      world.recorder.invoke({ p, f: 'poll', ops: [['poll']] });
      yield;
      if (generation !== group.generation) {
        const revoked = [...positions.keys()];
        generation = group.generation;
        positions = group.assignedTo(member);
        world.recorder.rebalance({ p, generation, assigned: Object.fromEntries(positions), revoked });
      }
      const { part, next } = world.poll(positions, READ_MAX, true);
      yield;
      world.recorder.complete('ok', { p, ops: [part] });
      positions = next;
    }
    yield;
  }
}
