/** Where replicas go: round robin over brokers, each partition spread over as many racks as there are (KIP-36). */
import { at } from '#base/assert';
import type { Random } from '#base/ports';
import { ErrorCode } from '#model/errors';
import type { NodeId } from '#model/ids';
import { type Fault, fault } from './decision.ts';
import type { RegisteredBroker } from './records.ts';

export interface PlacementRequest {
  readonly brokers: Iterable<RegisteredBroker>;
  readonly partitionCount: number;
  readonly replicationFactor: number;
}

/**
 * The replicas of each partition, the preferred leader first. A broker that is fenced or drains may hold a follower, since it is
 * expected back, but never leads. Where it starts is random, so that small topics do not all begin at the same broker.
 */
export function placeReplicas(request: PlacementRequest, random: Random): readonly (readonly NodeId[])[] | Fault {
  const ring = alternateRacks([...request.brokers]);
  const leaders = ring.filter(({ fenced, draining }) => !fenced && !draining);
  const { partitionCount, replicationFactor } = request;
  if (leaders.length === 0) {
    const states = ring.every(({ fenced }) => fenced) ? 'fenced' : 'fenced or in controlled shutdown';
    return refuse(replicationFactor, `All brokers are currently ${states}.`);
  }
  if (ring.length < replicationFactor) {
    const reason = `The target replication factor of ${replicationFactor} cannot be reached because only ${ring.length} broker(s) are registered.`;
    return refuse(replicationFactor, reason);
  }
  const first = random.uint32() % leaders.length;
  const shift = random.uint32() % ring.length;
  return Array.from({ length: partitionCount }, (_, partition) => {
    const leader = at(leaders, (first + partition) % leaders.length);
    // After each round over the leaders the followers move on by one, so that a broker's load falls to all others when it dies.
    const skip = shift + Math.floor(partition / leaders.length);
    return [leader, ...pickFollowers(ring, leader, skip, replicationFactor - 1)].map(({ id }) => id);
  });
}

function refuse(replicationFactor: number, reason: string): Fault {
  const message = `Unable to replicate the partition ${replicationFactor} time(s): ${reason}`;
  return fault(ErrorCode.InvalidReplicationFactor, message);
}

/** Brokers in an order in which neighbours differ in their racks as long as there is more than one left. */
function alternateRacks(brokers: readonly RegisteredBroker[]): readonly RegisteredBroker[] {
  const racks = Map.groupBy(
    brokers.toSorted((a, b) => a.id - b.id),
    ({ rack }) => rack,
  );
  const columns = [...racks.values()].sort((a, b) => b.length - a.length);
  const ring: RegisteredBroker[] = [];
  for (let row = 0; ring.length < brokers.length; row += 1) {
    for (const column of columns) {
      const broker = column[row];
      if (broker !== undefined) ring.push(broker);
    }
  }
  return ring;
}

function pickFollowers(
  ring: readonly RegisteredBroker[],
  leader: RegisteredBroker,
  skip: number,
  count: number,
): readonly RegisteredBroker[] {
  const start = ring.indexOf(leader) + 1 + (ring.length > 1 ? skip % (ring.length - 1) : 0);
  const others = ring.map((_, i) => at(ring, (start + i) % ring.length)).filter((broker) => broker !== leader);
  const racks = new Set([leader.rack]);
  const spread: RegisteredBroker[] = [];
  const rest: RegisteredBroker[] = [];
  for (const broker of others) {
    const isNew = broker.rack === null || !racks.has(broker.rack);
    racks.add(broker.rack);
    (isNew ? spread : rest).push(broker);
  }
  return [...spread, ...rest].slice(0, count);
}
