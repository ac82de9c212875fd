import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { MetadataImage } from '#metadata/image';
import { RecordCodec } from '#metadata/record-codec';
import { type Partition, ResourceType } from '#metadata/records';
import { DecisionRules, type TopicRules } from '#metadata/topic-rules';
import { ErrorCode } from '#model/errors';
import { type NodeId, nodeId, type Uuid } from '#model/ids';
import { isSameReplica, type Voter } from '#model/voter';
import { contents, TestCluster, testUuid } from './support.ts';

const BROKERS = [1, 2, 3, 4];

/** What is done to a cluster of four brokers and a few topics; numbers are taken as they fit. */
interface Step {
  readonly do:
    | 'register'
    | 'unregister'
    | 'unfence'
    | 'fence'
    | 'fenceTwo'
    | 'drain'
    | 'failDirectory'
    | 'assign'
    | 'create'
    | 'delete'
    | 'grow'
    | 'config'
    | 'alterIsr'
    | 'reassign'
    | 'cancel'
    | 'elect'
    | 'electUncleanly'
    | 'balance'
    | 'leaveFull'
    | 'addVoter'
    | 'removeVoter'
    | 'replaceVoter'
    | 'producerIds';
  readonly broker: number;
  readonly topic: number;
  /** Decides the rest. */
  readonly choice: number;
  readonly replicas: readonly number[];
}

const anyStep: fc.Arbitrary<Step> = fc.record({
  // Those that move partitions come more often.
  do: fc.oneof(
    fc.constantFrom<Step['do']>('unfence', 'fence', 'alterIsr', 'register'),
    fc.constantFrom<Step['do']>('alterIsr', 'reassign', 'drain', 'elect', 'balance', 'leaveFull', 'create'),
    fc.constantFrom<Step['do']>('unregister', 'fenceTwo', 'failDirectory', 'assign', 'config', 'cancel', 'unfence'),
    fc.constantFrom<Step['do']>(
      'electUncleanly',
      'delete',
      'grow',
      'addVoter',
      'removeVoter',
      'replaceVoter',
      'producerIds',
    ),
  ),
  broker: fc.constantFrom(...BROKERS),
  topic: fc.nat(2),
  choice: fc.nat(0xffff),
  replicas: fc.shuffledSubarray(BROKERS, { minLength: 1, maxLength: 3 }),
});

const CONFIGS = [
  ['min.insync.replicas', '1'],
  ['min.insync.replicas', '2'],
  ['min.insync.replicas', '3'],
  ['unclean.leader.election.enable', 'true'],
  ['unclean.leader.election.enable', 'false'],
  ['flush.policy', 'os'],
  ['flush.policy', 'fsync'],
] as const;

function voterOf({ broker, choice }: Step): Voter {
  return { id: nodeId(broker), directoryId: testUuid(100 + broker + 10 * (choice % 2)), host: 'localhost', port: 9093 };
}

function directoriesOf({ broker, choice }: Step): readonly Uuid[] {
  const [first, second] = [testUuid(100 + broker), testUuid(200 + broker)];
  return [[first], [first, second], [second]][choice % 3] ?? [];
}

function perform(cluster: TestCluster, step: Step): void {
  const { broker, topic, choice, replicas } = step;
  const name = `t${topic}`;
  const existing = cluster.image.topic(name);
  const partition = existing === undefined ? 0 : choice % existing.partitions.length;
  const state = existing?.partitions[partition];
  const command = cluster.brokerCommand(broker);
  switch (step.do) {
    case 'register': {
      const incarnation = testUuid(1 + (choice % 200));
      const cleanBrokerEpoch = command.brokerEpoch - (choice % 2);
      cluster.register(broker, { incarnation, directories: directoriesOf(step), cleanBrokerEpoch });
      break;
    }
    case 'unregister':
      cluster.run('unregisterBroker', { id: command.id });
      break;
    case 'unfence':
      cluster.unfence(broker);
      break;
    case 'fence':
      cluster.fence(broker);
      break;
    case 'fenceTwo':
      cluster.run('fenceBrokers', { brokers: [command, cluster.brokerCommand(1 + (choice % 4))] });
      break;
    case 'drain': {
      const { leaderCount, errorCode } = cluster.run('drainBroker', command);
      const led = [...cluster.image.partitionsOf(command.id)].filter((p) => p.state.leader === command.id);
      if (errorCode === ErrorCode.None) expect(leaderCount).toBe(led.length);
      break;
    }
    case 'failDirectory':
      cluster.run('failDirectories', { ...command, directories: [testUuid((choice % 2 === 0 ? 100 : 200) + broker)] });
      break;
    case 'assign': {
      if (existing === undefined) break;
      const directory = testUuid((choice % 2 === 0 ? 100 : 200) + broker);
      cluster.run('assignReplicas', { ...command, replicas: [{ topicId: existing.id, partition, directory }] });
      break;
    }
    case 'create':
      if (choice % 2 === 0) cluster.createAssigned(name, [replicas, replicas.toReversed()]);
      else cluster.create(name, { partitions: 1 + (choice % 3), factor: replicas.length });
      break;
    case 'delete':
      cluster.run('deleteTopics', { topics: [{ name, id: null }] });
      break;
    case 'grow':
      cluster.run('createPartitions', {
        validateOnly: false,
        topics: [{ name, partitionCount: 4, assignments: null }],
      });
      break;
    case 'config': {
      const [key, value] = CONFIGS[choice % CONFIGS.length] ?? CONFIGS[0];
      if (choice % 5 > 0) cluster.setTopicConfig(name, key, value);
      else {
        const resource = { type: ResourceType.Broker, name: '', changes: [{ key, operation: 0, value }] };
        cluster.run('incrementalAlterConfigs', { validateOnly: false, resources: [resource] });
      }
      break;
    }
    case 'alterIsr': {
      if (existing === undefined || state === undefined || state.leader === null) break;
      const members = new Set([state.leader, ...state.replicas.filter((_, i) => (choice >> i) % 2 === 0)]);
      const isr = [...members].map((id) => ({ id, brokerEpoch: -1 }));
      const { leaderEpoch, partitionEpoch } = state;
      const altered = { topicId: existing.id, partition, leaderEpoch, partitionEpoch, isr };
      cluster.run('alterPartition', { ...cluster.brokerCommand(state.leader), partitions: [altered] });
      break;
    }
    case 'reassign':
    case 'cancel': {
      const target = step.do === 'cancel' ? null : replicas;
      const partitions = [{ topic: name, partition, replicas: target }];
      cluster.run('alterPartitionReassignments', { allowReplicationFactorChange: true, partitions });
      break;
    }
    case 'elect':
      cluster.run('electLeaders', { type: 0, partitions: choice % 2 === 0 ? null : [{ topic: name, partition }] });
      break;
    case 'electUncleanly':
      cluster.run('electLeaders', { type: 1, partitions: [{ topic: name, partition }] });
      break;
    case 'balance':
      cluster.run('balanceLeaders', { changesMax: 1 + (choice % 3) });
      break;
    case 'leaveFull': {
      const directories = [...cluster.image.brokers.values()].flatMap((broker) => broker.directories);
      const full = directories.filter((_, i) => (choice >> i) % 2 === 0);
      cluster.run('leaveFullDirectories', { directories: full, changesMax: 1 + (choice % 3) });
      break;
    }
    case 'addVoter':
      cluster.run('addVoter', { clusterId: null, voter: voterOf(step) });
      break;
    case 'removeVoter':
      cluster.run('removeVoter', { clusterId: null, voter: voterOf(step) });
      break;
    case 'replaceVoter':
      cluster.run('replaceVoter', { observers: [voterOf(step)] });
      break;
    case 'producerIds':
      cluster.run('allocateProducerIds', command);
      break;
  }
}

function prepared(keepsEligible: boolean): TestCluster {
  const cluster = TestCluster.withBrokers(BROKERS.length);
  if (keepsEligible) cluster.keepEligible();
  cluster.createAssigned('t0', [
    [1, 2, 3],
    [2, 3, 4],
  ]);
  cluster.setTopicConfig('t0', 'min.insync.replicas', '2');
  return cluster;
}

/** Every partition by topic id and number. */
function partitionsOf(image: MetadataImage): Map<string, { readonly topic: string; readonly state: Partition }> {
  const all = new Map<string, { readonly topic: string; readonly state: Partition }>();
  for (const { id, name, partitions } of image.topics())
    for (const state of partitions) all.set(`${id}-${state.partition}`, { topic: name, state });
  return all;
}

/** As the image's index has it. */
function heldBy(image: MetadataImage, id: number): readonly string[] {
  return [...image.partitionsOf(nodeId(id))].map(({ topic, state }) => `${topic.id}-${state.partition}`).sort();
}

function checkState(cluster: TestCluster, state: Partition, { minIsr }: TopicRules, keepsEligible: boolean): void {
  const { replicas, isr, elr, adding, removing, directories, leader } = state;
  for (const ids of [replicas, isr, elr, adding, removing]) {
    expect(new Set(ids).size).toBe(ids.length);
    expect(ids.every((id) => replicas.includes(id))).toBe(true);
  }
  expect(directories).toHaveLength(replicas.length);
  // Somebody has what was acknowledged (I6), and is not counted twice.
  expect(isr.length + (keepsEligible ? elr.length : 0)).toBeGreaterThan(0);
  expect(elr.some((id) => isr.includes(id))).toBe(false);
  if (isr.length >= Math.min(minIsr, replicas.length)) expect(elr).toEqual([]);
  if (leader === null) return;
  const broker = cluster.image.brokers.get(leader);
  expect(isr).toContain(leader);
  expect(broker?.fenced).toBe(false);
  const directory = directories[replicas.indexOf(leader)];
  expect(directory === 'AAAAAAAAAAAAAAAAAAAAAQ' || broker?.directories.some((own) => own === directory)).toBe(true);
}

function checkChange(
  step: Step,
  before: Partition,
  after: Partition,
  rules: TopicRules,
  drained: ReadonlySet<NodeId>,
): void {
  if (before === after) return;
  expect(after.partitionEpoch).toBeGreaterThan(before.partitionEpoch);
  expect(after.leaderEpoch).toBeGreaterThanOrEqual(before.leaderEpoch);
  const isNewLeader = after.leader !== before.leader;
  if (isNewLeader) expect(after.leaderEpoch).toBeGreaterThan(before.leaderEpoch);
  // What drains is given nothing.
  if (isNewLeader && after.leader !== null) expect(drained.has(after.leader)).toBe(false);
  const isUnclean = rules.isUncleanAllowed || step.do === 'electUncleanly';
  if (isUnclean) return;
  const had = new Set([...before.isr, ...before.elr]);
  if (isNewLeader && after.leader !== null && step.do !== 'alterIsr') expect(had.has(after.leader)).toBe(true);
  // Only its leader lets anyone into an ISR.
  const joined = after.isr.filter((id) => !before.isr.includes(id));
  if (step.do !== 'alterIsr') expect(joined.every((id) => had.has(id) && id === after.leader)).toBe(true);
}

const LONG = { timeout: 60_000 };

describe.each([false, true])('any sequence of commands (eligible leader replicas kept: %s)', (keepsEligible) => {
  test('keeps what must be true of partitions, leaders, epochs and voters (I2, I6, I7, I10)', LONG, () => {
    fc.assert(
      fc.property(fc.array(anyStep, { maxLength: 40 }), (steps) => {
        const cluster = prepared(keepsEligible);
        const { image } = cluster;
        const led = new Map<string, string>();
        let before = partitionsOf(image);
        for (const step of steps) {
          const voters = image.cluster?.voters ?? [];
          const drained = new Set([...image.brokers.values()].filter(({ draining }) => draining).map(({ id }) => id));
          perform(cluster, step);
          const rules = new DecisionRules({ image, given: cluster.given });
          const after = partitionsOf(image);
          const drainedStill = new Set([...drained].filter((id) => image.brokers.get(id)?.draining === true));
          for (const [key, { topic, state }] of after) {
            checkState(cluster, state, rules.ofTopic(topic), keepsEligible);
            const former = before.get(key);
            if (former !== undefined) checkChange(step, former.state, state, rules.ofTopic(topic), drainedStill);
            if (state.leader === null) continue;
            // One process per leader epoch: the broker's epoch is the process.
            const process = `${state.leader}@${image.brokers.get(state.leader)?.brokerEpoch}`;
            const epoch = `${key}-${state.leaderEpoch}`;
            expect(led.get(epoch) ?? process).toBe(process);
            led.set(epoch, process);
          }
          for (const id of BROKERS) {
            const held = [...after].filter(([, { state }]) => state.replicas.includes(nodeId(id)));
            expect(heldBy(image, id)).toEqual(held.map(([key]) => key).sort());
          }
          const voting = image.cluster?.voters ?? [];
          const differing = [
            ...voters.filter((voter) => !voting.some((other) => isSameReplica(other, voter))),
            ...voting.filter((voter) => !voters.some((other) => isSameReplica(other, voter))),
          ];
          expect(voting.length).toBeGreaterThan(0);
          expect(differing.length).toBeLessThanOrEqual(1);
          expect(new Set(voting.map(({ id }) => id)).size).toBe(voting.length);
          before = after;
        }
      }),
      { numRuns: 250 },
    );
  });

  test('gives the same image by its records through bytes, by its snapshot, and by becoming it', LONG, () => {
    const codec = new RecordCodec();
    fc.assert(
      fc.property(fc.array(anyStep, { maxLength: 30 }), fc.nat(30), (steps, half) => {
        const cluster = prepared(keepsEligible);
        const { image } = cluster;
        const behind = new MetadataImage();
        const mirror = new MetadataImage();
        for (const each of [behind, mirror]) for (const record of image.snapshot()) each.replay(record, image.index);
        for (const [index, step] of steps.entries()) {
          cluster.lastRecords = [];
          perform(cluster, step);
          for (const record of codec.decode(codec.encode(cluster.lastRecords))) {
            mirror.replay(record, image.index);
            if (index < half) behind.replay(record, image.index);
          }
        }
        const expected = [...image.snapshot()];
        expect([...mirror.snapshot()]).toEqual(expected);
        expect(sorted(mirror)).toEqual(sorted(image));
        const copy = new MetadataImage();
        for (const record of codec.decode(codec.encode(expected))) copy.replay(record, image.index);
        expect(sorted(copy)).toEqual(sorted(image));

        const before = partitionsOf(behind);
        behind.takeDelta();
        behind.become(copy);
        expect(sorted(behind)).toEqual(sorted(image));
        for (const id of BROKERS) expect(heldBy(behind, id)).toEqual(heldBy(image, id));
        const delta = behind.takeDelta();
        for (const { topicId, partition, after } of delta.partitions)
          before.set(`${topicId}-${partition}`, { topic: image.topicById(topicId)?.name ?? '', state: after });
        for (const { id, partitions } of delta.topicsDeleted)
          for (const { partition } of partitions) before.delete(`${id}-${partition}`);
        const byKey = <T>(map: ReadonlyMap<string, T>) => [...map].sort(([a], [b]) => (a < b ? -1 : 1));
        expect(byKey(before)).toEqual(byKey(partitionsOf(image)));
      }),
      { numRuns: 100 },
    );
  });
});

/** What depends on the order in which things were made says nothing. */
function sorted(image: MetadataImage) {
  const all = contents(image);
  const byName = (a: { readonly name: string }, b: { readonly name: string }) => (a.name < b.name ? -1 : 1);
  return {
    ...all,
    topics: all.topics.toSorted(byName),
    features: all.features.toSorted(byName),
    brokers: all.brokers.toSorted((a, b) => a.id - b.id),
  };
}
