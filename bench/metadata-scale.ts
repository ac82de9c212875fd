/**
 * What the metadata of a large cluster cost: 100,000 partitions on 100 brokers are loaded from a snapshot, a controller becomes active,
 * one broker is lost, then the rest of its rack, a third of all. Time and heap of each step, and what an idle cluster sends.
 */
import { assert } from '#base/assert';
import type { Random } from '#base/ports';
import { BrokerLiveness } from '#metadata/broker-liveness';
import { decide } from '#metadata/controller';
import { MetadataImage } from '#metadata/image';
import { RecordCodec } from '#metadata/record-codec';
import type { MetadataRecord } from '#metadata/records';
import { leaderEpoch, type NodeId, nodeId, uuidFromBytes } from '#model/ids';
import { NO_PLANTED_BUGS } from '#model/planted-bugs';
import { WORD_BYTES } from '#net/peer-frames';
import { RaftMessageCodec } from '#raft/raft-message-codec';
import { HEARTBEAT, type Heartbeat } from '#runtime/controller-protocol';
import { PeerDataEncoder } from '#runtime/peer-data';
import { encodeRequest, encodeResponse } from '#runtime/peer-messages';

const BROKERS = 100;
const TOPICS = 1000;
const PARTITIONS_PER_TOPIC = 100;
/** One replica on each. */
const RACKS = 3;
const RECORDS_PER_BATCH = 1000;
/** Of this size as many are fenced in one entry (see BrokerSessions); 33: all of a rack. */
const FENCED_TOGETHER = Number(process.env.FENCED_TOGETHER ?? 3);

const random: Random = { uint32: () => 0, fork: () => random, secret: (into) => into.fill(7) };

function idOf(kind: number, number: number) {
  return uuidFromBytes(Uint8Array.from([kind, number >> 8, number & 0xff, ...Array(13).fill(0)]));
}

const rackOf = (id: number): number => id % RACKS;
const RACK_MEMBERS = Array.from({ length: RACKS }, (_, rack) =>
  Array.from({ length: BROKERS }, (_, index) => index + 1).filter((id) => rackOf(id) === rack),
);

/** The first replica goes round the racks, and round the brokers of each. */
function replicasOf(partition: number): readonly NodeId[] {
  return Array.from({ length: RACKS }, (_, r) => {
    const members = RACK_MEMBERS[(partition + r) % RACKS] ?? [];
    return nodeId(members[(Math.floor(partition / RACKS) + r) % members.length] ?? 1);
  });
}

function* cluster(): IterableIterator<MetadataRecord> {
  yield { kind: 'bootstrap', clusterId: idOf(0, 0), voters: [], targetSize: BROKERS };
  for (let id = 1; id <= BROKERS; id += 1) {
    const directories = [idOf(1, id)];
    const listeners = [{ name: 'PLAINTEXT', host: `broker-${id}`, port: 9092 }];
    const common = { rack: `rack-${rackOf(id)}`, listeners, directories, features: [] };
    yield {
      kind: 'registerBroker',
      broker: { id: nodeId(id), incarnation: idOf(2, id), brokerEpoch: id, fenced: false, ...common },
    };
  }
  for (let t = 0; t < TOPICS; t += 1) {
    const topicId = idOf(3, t);
    yield { kind: 'topic', name: `topic-${t}`, id: topicId };
    for (let partition = 0; partition < PARTITIONS_PER_TOPIC; partition += 1) {
      const replicas = replicasOf(t * PARTITIONS_PER_TOPIC + partition);
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
const rest = (RACK_MEMBERS[rackOf(lost)] ?? []).filter((id) => id !== lost);
let rackBytes = 0;
let worstMs = 0;
let rackEntries = 0;
step(`lose the ${rest.length} others of its rack: decide, encode, replay`, () => {
  for (let at = 0; at < rest.length; at += FENCED_TOGETHER) {
    const startedAt = performance.now();
    const brokers = rest.slice(at, at + FENCED_TOGETHER).map((id) => ({ id: nodeId(id), brokerEpoch: id }));
    const entry = codec.encode(decide('fenceBrokers', state, { brokers }).records);
    rackEntries += 1;
    for (const record of codec.decode(entry)) image.replay(record, 1001);
    image.takeDelta();
    rackBytes += entry.length;
    worstMs = Math.max(worstMs, performance.now() - startedAt);
  }
});
let leaderless = 0;
for (const topic of image.topics()) for (const { leader } of topic.partitions) if (leader === null) leaderless += 1;
console.log(
  `${(rackBytes / 2 ** 20).toFixed(1)} MiB in ${rackEntries} entries, the longest turn ${worstMs.toFixed(0)} ms; ${leaderless} partitions without a leader`,
);
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

const raft = new RaftMessageCodec();
const peers = new PeerDataEncoder();
const framed = (bytes: Uint8Array): number => WORD_BYTES + bytes.length;
const leader = { id: nodeId(1), directoryId: idOf(1, 1) };
const follower = { id: nodeId(2), directoryId: idOf(1, 2) };
const indices = { epoch: 3, prevIndex: 1_000_000, prevEpoch: 3, commitIndex: 1_000_000, round: 500_000 };
const append = raft.encode({ kind: 'append', leader, to: follower, entries: [], ...indices });
const appended = raft.encode({
  kind: 'appendResponse',
  epoch: 3,
  from: follower,
  round: indices.round,
  prevIndex: indices.prevIndex,
  success: true,
  lastIndex: indices.prevIndex,
  lastEpoch: 3,
  durableIndex: indices.prevIndex,
});
const beat: Heartbeat = {
  id: nodeId(2),
  brokerEpoch: 1_000,
  incarnation: idOf(2, 2),
  appliedIndex: indices.prevIndex,
  wantsWork: true,
};
const asked = encodeRequest(peers, { correlation: 1_000_000, operation: HEARTBEAT, body: beat });
const told = encodeResponse(peers, { correlation: 1_000_000, status: 0, body: { errorCode: 0, fenced: false } });
assert(asked !== undefined && told !== undefined, 'a heartbeat is small');
const outBytes = 10 * (BROKERS - 1) * framed(append) + 5 * (BROKERS - 1) * framed(told);
const inBytes = 10 * (BROKERS - 1) * framed(appended) + 5 * (BROKERS - 1) * framed(asked);
console.log(
  `idle: an append of ${framed(append)} bytes and its answer of ${framed(appended)} ten times a second to each other node, a heartbeat of ` +
    `${framed(asked)} bytes and its answer of ${framed(told)} five times: the controller sends ${(outBytes / 1024).toFixed(0)} KiB/s and hears ${(inBytes / 1024).toFixed(0)} KiB/s`,
);
