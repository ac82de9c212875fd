import { copy, produce, QUEUES, read, SOURCES, transact } from './clients.ts';
import { belong, coordinate, Group } from './group.ts';
import { type Actor, World } from './world.ts';

/** What the last readers take at once. */
const FINAL_READ_MAX = 20;

/**
 * Records the history of a cluster without faults of its own, whose clients meet every outcome: refused, aborted, unknown and never told,
 * late, written twice where that is allowed. `append` gets its lines, each with its end. It takes some four steps for an operation.
 */
export function recordModel(seed: string, steps: number, append: (line: string) => void): void {
  const world = new World(seed, append);
  world.create(...QUEUES, ...SOURCES, 'out-0', 'out-1');
  world.recorder.copy('in', 'out', 'copier');
  const group = new Group('group', 3);
  const copiers = SOURCES.map((from, index) => copy(world, from, `out-${index}`, 'copier'));
  const others: Actor[] = [
    produce(world, { acks: 'all', idempotent: true }),
    produce(world, { acks: 'all', idempotent: true }),
    produce(world, { acks: 'all', idempotent: false }),
    produce(world, { acks: 1, idempotent: false }),
    transact(world),
    transact(world),
    transact(world),
    read(world, 'read_committed'),
    read(world, 'read_uncommitted'),
    coordinate(world, group),
    ...Array.from({ length: group.members }, (_, member) => belong(world, group, member)),
    disturb(world),
  ];
  const actors = [...others, ...copiers];
  for (let step = 0; step < steps; step += 1) {
    world.pass();
    world.pick(actors).next();
    if (world.chance(2)) world.arrive();
  }
  world.goesOn = false;
  exhaust(world, others);
  world.arriveAll();
  world.settled = true;
  exhaust(world, copiers);
  readAll(world, 'read_committed');
  readAll(world, 'read_uncommitted');
}

function exhaust(world: World, actors: readonly Actor[]): void {
  for (const actor of actors) while (!actor.next().done) world.pass();
}

/** Faults in name only, for whoever reads. */
function* disturb(world: World): Actor {
  while (world.goesOn) {
    const fault = { name: world.pick(['kill', 'pause', 'partition']), target: `node ${world.below(3)}` };
    world.recorder.fault({ ...fault, phase: 'begin' });
    do yield;
    while (world.chance(90));
    world.recorder.fault({ ...fault, phase: 'end' });
    do yield;
    while (world.chance(90));
  }
}

function readAll(world: World, isolation: 'read_committed' | 'read_uncommitted'): void {
  const p = world.join({ isolation, final: true });
  let positions: ReadonlyMap<string, number> = new Map(world.keys.map((key) => [key, 0]));
  world.assign(p, positions);
  for (;;) {
    world.recorder.invoke({ p, f: 'poll', ops: [['poll']] });
    world.pass();
    const { part, next } = world.poll(positions, FINAL_READ_MAX, isolation === 'read_committed');
    world.recorder.complete('ok', { p, ops: [part] });
    if (Object.keys(part[1] ?? {}).length === 0) return;
    positions = next;
  }
}
