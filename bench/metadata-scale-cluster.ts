/**
 * A large cluster's metadata on three whole nodes, in the simulator: 100,000 partitions of three replicas on 100 brokers, of which three are
 * real and the others registered only. Loads them, kills the controller, and follows the survivors until they have another one that has
 * fenced the dead broker. Simulated and real time, and the heap. Run: node --expose-gc bench/metadata-scale-cluster.ts
 */
import { assert } from '#base/assert';
import { FaultDisk } from '#faults/fault-disk';
import type { MetadataRecord } from '#metadata/records';
import { leaderEpoch, nodeId, uuidFromBytes } from '#model/ids';
import { parseBrokerConfig } from '#model/parse-broker-config';
import { Node } from '#node/node';
import { createCodecs } from '#platform/codecs';
import type { MetadataQuorum } from '#runtime/metadata-quorum';
import { SimWorld } from '#sim/ports/sim-world';

const BROKERS = 100;
const TOPICS = 1000;
const PARTITIONS_PER_TOPIC = 100;
const RECORDS_PER_ENTRY = 2000;
const VOTERS = '1@n1:9093,2@n2:9093,3@n3:9093';

const id = (kind: number, number: number) =>
  uuidFromBytes(Uint8Array.from({ length: 16 }, (_, at) => [kind, number >> 8, number & 0xff][at] ?? 7));

function* records(): IterableIterator<MetadataRecord> {
  for (let broker = 4; broker <= BROKERS; broker += 1) {
    const fields = { rack: `r${broker % 3}`, listeners: [], directories: [id(1, broker)], features: [] };
    yield {
      kind: 'registerBroker',
      broker: { id: nodeId(broker), incarnation: id(2, broker), brokerEpoch: 0, fenced: false, ...fields },
    };
  }
  for (let topic = 0; topic < TOPICS; topic += 1) {
    yield { kind: 'topic', name: `topic-${topic}`, id: id(3, topic) };
    for (let partition = 0; partition < PARTITIONS_PER_TOPIC; partition += 1) {
      const first = topic * PARTITIONS_PER_TOPIC + partition;
      const replicas = [0, 1, 2].map((at) => nodeId(((first + at * 33) % BROKERS) + 1));
      const directories = replicas.map((replica) => id(1, replica));
      const epochs = { leaderEpoch: leaderEpoch(0), partitionEpoch: 0 };
      const none = { elr: [], removing: [], adding: [] };
      const leader = replicas[0] ?? null;
      const state = { partition, replicas, isr: replicas, leader, directories, ...epochs, ...none };
      yield { kind: 'partition', topicId: id(3, topic), state };
    }
  }
}

function propose(world: SimWorld, quorum: MetadataQuorum, entry: readonly MetadataRecord[]): Promise<void> {
  return world.complete(
    new Promise<void>((resolve, reject) =>
      quorum.propose(entry, (result) => (typeof result === 'object' ? resolve() : reject(new Error(result)))),
    ),
  );
}

async function main(): Promise<void> {
  const world = new SimWorld({ seed: 1, codecs: createCodecs() });
  const nodes = [1, 2, 3].map((number) => {
    const disk = new FaultDisk(world.clock, world.disk(`d${number}`), { ignoreSync: false });
    const given = {
      'node.id': `${number}`,
      listeners: `PLAINTEXT://n${number}:9092`,
      'peer.listener': `n${number}:9093`,
    };
    const parsed = parseBrokerConfig(new Map(Object.entries({ ...given, 'controller.quorum.voters': VOTERS })));
    if ('errors' in parsed) throw new Error(parsed.errors.join());
    return new Node(world.ports(`n${number}`, { disks: [disk] }), parsed);
  });
  await world.complete(Promise.all(nodes.map((node) => node.start())));
  const active = () => nodes.find((node) => node.view()?.isActive);
  const leader = active()?.view();
  assert(leader !== undefined, 'a cluster that has started has a controller');
  const lines: string[] = [];
  const timed = async (what: string, work: () => Promise<unknown>): Promise<void> => {
    const [simulated, real] = [world.clock.now(), performance.now()];
    await work();
    globalThis.gc?.();
    const heap = process.memoryUsage().heapUsed / 2 ** 20;
    const took = [world.clock.now() - simulated, performance.now() - real].map((ms) => ms.toFixed(0));
    lines.push(`${what.padEnd(64)} ${took[0]} ms simulated, ${took[1]} ms real, ${heap.toFixed(0)} MiB of heap`);
  };
  await timed('load on three nodes', async () => {
    let entry: MetadataRecord[] = [];
    for (const record of records()) {
      entry.push(record);
      if (entry.length < RECORDS_PER_ENTRY) continue;
      await propose(world, leader, entry);
      entry = [];
    }
    if (entry.length > 0) await propose(world, leader, entry);
    await world.run(() => nodes.every((node) => node.view()?.appliedIndex === leader.lastIndex));
  });
  const dead = leader.self.id;
  world.kill(`n${dead}`);
  const alive = nodes.filter((node) => node.id !== dead);
  await timed('the controller dies: another one is active', () =>
    world.run(() => alive.some((node) => node.view()?.isActive === true)),
  );
  await timed('its broker is fenced, and both survivors know', () =>
    world.run(() => alive.every((node) => node.view()?.image.brokers.get(dead)?.fenced === true)),
  );
  for (const line of lines) console.log(line);
}

setImmediate(() => void main());
