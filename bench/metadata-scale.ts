/**
 * What the metadata of a large cluster cost: 100,000 partitions on 100 brokers are loaded from a snapshot, a controller becomes active,
 * one broker is lost. Time and heap of each step.
 */
import type { Random } from '#base/ports';
import { BrokerLiveness } from '#metadata/broker-liveness';
import { decide } from '#metadata/controller';
import { MetadataImage } from '#metadata/image';
import { RecordCodec } from '#metadata/record-codec';
import type { MetadataRecord } from '#metadata/records';
import { leaderEpoch, type NodeId, nodeId, uuidFromBytes } from '#model/ids';
import { NO_PLANTED_BUGS } from '#model/planted-bugs';

const BROKERS = 100;
const TOPICS = 1000;
const PARTITIONS_PER_TOPIC = 100;
const REPLICATION_FACTOR = 3;
const RECORDS_PER_BATCH = 1000;

const random: Random = { uint32: () => 0, fork: () => random, secret: (into) => into.fill(7) };

function idOf(kind: number, number: number) {
  return uuidFromBytes(Uint8Array.from([kind, number >> 8, number & 0xff, ...Array(13).fill(0)]));
}

function* cluster(): IterableIterator<MetadataRecord> {
  yield { kind: 'bootstrap', clusterId: idOf(0, 0), voters: [], targetSize: BROKERS };
  for (let id = 1; id <= BROKERS; id += 1) {
    const directories = [idOf(1, id)];
    const listeners = [{ name: 'PLAINTEXT', host: `broker-${id}`, port: 9092 }];
    const common = { rack: `rack-${id % 3}`, listeners, directories, features: [] };
    yield {
      kind: 'registerBroker',
      broker: { id: nodeId(id), incarnation: idOf(2, id), brokerEpoch: id, fenced: false, ...common },
    };
  }
  for (let t = 0; t < TOPICS; t += 1) {
    const topicId = idOf(3, t);
    yield { kind: 'topic', name: `topic-${t}`, id: topicId };
    for (let partition = 0; partition < PARTITIONS_PER_TOPIC; partition += 1) {
      const replicas: NodeId[] = [];
      for (let r = 0; r < REPLICATION_FACTOR; r += 1) replicas.push(nodeId(1 + ((t + partition + 33 * r) % BROKERS)));
      yield {
        kind: 'partition',
        topicId,
        state: {
          partition,
          replicas,
          isr: replicas,
          elr: [],
          removing: [],
          adding: [],
          leader: replicas[0] ?? null,
          leaderEpoch: leaderEpoch(0),
          partitionEpoch: 0,
          directories: replicas.map((id) => idOf(1, id)),
        },
      };
    }
  }
}

function encoded(): readonly Uint8Array[] {
  const codec = new RecordCodec();
  const batches: Uint8Array[] = [];
  let batch: MetadataRecord[] = [];
  for (const record of cluster()) {
    batch.push(record);
    if (batch.length < RECORDS_PER_BATCH) continue;
    batches.push(codec.encode(batch));
    batch = [];
  }
  return [...batches, codec.encode(batch)];
}

function step<T>(name: string, run: () => T): T {
  const startedAt = performance.now();
  const result = run();
  const ms = performance.now() - startedAt;
  globalThis.gc?.();
  const heapMb = process.memoryUsage().heapUsed / 2 ** 20;
  console.log(`${name.padEnd(44)} ${ms.toFixed(1).padStart(8)} ms ${heapMb.toFixed(1).padStart(8)} MiB of heap`);
  return result;
}

if (globalThis.gc === undefined) console.log('heap figures need node --expose-gc');
const batches = step('(making and encoding the records)', encoded);
const bytes = batches.reduce((sum, batch) => sum + batch.length, 0);
console.log(`a snapshot of ${(bytes / 2 ** 20).toFixed(1)} MiB in ${batches.length} pieces`);

const image = new MetadataImage();
const codec = new RecordCodec();
step('load the snapshot', () => {
  for (const batch of batches) for (const record of codec.decode(batch)) image.replay(record, 1000);
  image.takeDelta();
});

const liveness = new BrokerLiveness({ sessionMs: 2000, heartbeatMs: 200, planted: NO_PLANTED_BUGS });
step('become the active controller', () => liveness.activated(image.brokers.values(), 0));

const state = { image, random, given: new Map<string, string>(), planted: NO_PLANTED_BUGS };
const lost = nodeId(7);
const fencing = step('decide that a broker is lost', () => decide('fenceBroker', state, { id: lost, brokerEpoch: 7 }));
const entry = step('encode the entry', () => codec.encode(fencing.records));
step('replay the entry, and take the delta', () => {
  for (const record of codec.decode(entry)) image.replay(record, 1001);
  return image.takeDelta();
});
console.log(`${fencing.records.length} records, ${(entry.length / 1024).toFixed(0)} KiB, in one entry`);
step('decide that it is back', () => decide('unfenceBroker', state, { id: lost, brokerEpoch: 7 }));
step('balance 1,000 leaders', () => decide('balanceLeaders', state, { changesMax: 1000 }));
step('create a topic of 100 partitions', () =>
  decide('createTopics', state, {
    validateOnly: false,
    topics: [{ name: 'new', partitionCount: 100, replicationFactor: 3, assignments: [], configs: new Map() }],
  }),
);
const captured = step('fix a snapshot', () => image.snapshot());
step('make its records', () => {
  let count = 0;
  for (const _ of captured) count += 1;
  return count;
});
