import { describe, expect, it } from 'vitest';
import type { MetadataRecord, Partition } from '#metadata/records';
import { leaderEpoch, nodeId } from '#model/ids';
import { ImageChecker } from '#sim/checkers/image-checker';
import { crc32c, encoded, FakeView, replica, ruleBrokenBy, uuid } from './support.ts';

const TOPIC = uuid('topic');

const founded: MetadataRecord = { kind: 'bootstrap', clusterId: uuid('cluster'), voters: [replica(1)], targetSize: 1 };

function registered(id: number, incarnation: string): MetadataRecord {
  const broker = { id: nodeId(id), incarnation: uuid(incarnation), brokerEpoch: 0, fenced: true, rack: null };
  return {
    kind: 'registerBroker',
    broker: { ...broker, listeners: [], directories: [uuid(`disk-${id}`)], features: [] },
  };
}

function fenced(kind: 'fenceBroker' | 'unfenceBroker', id: number, brokerEpoch: number): MetadataRecord {
  return { kind, id: nodeId(id), brokerEpoch };
}

function partition(changes: Partial<Partition>): MetadataRecord {
  const replicas = [nodeId(1), nodeId(2)];
  const state = { partition: 0, replicas, isr: replicas, elr: [], removing: [], adding: [], leader: nodeId(1) };
  const epochs = { leaderEpoch: leaderEpoch(0), partitionEpoch: 0, directories: [uuid('disk-1'), uuid('disk-2')] };
  return { kind: 'partition', topicId: TOPIC, state: { ...state, ...epochs, ...changes } };
}

/** Entries from the first on, of one record each. */
function checkerOf(...records: readonly MetadataRecord[]): ImageChecker {
  const checker = new ImageChecker(crc32c);
  for (const [at, record] of records.entries()) checker.committed(at + 1, encoded(record));
  return checker;
}

/** A node that has replayed them. */
function nodeOf(...records: readonly MetadataRecord[]): FakeView {
  const view = new FakeView(1);
  for (const [at, record] of records.entries()) view.image.replay(record, at + 1);
  view.appliedIndex = records.length;
  view.commitIndex = records.length;
  return view;
}

const cluster = [founded, registered(1, 'first'), registered(2, 'second'), fenced('unfenceBroker', 1, 2)];

describe('the checker of the metadata', () => {
  it('has nothing to say of nodes that replay what is committed, at their own pace', () => {
    const checker = checkerOf(...cluster);
    checker.look('n1', nodeOf(...cluster));
    const late = nodeOf(...cluster.slice(0, 2));
    checker.look('n2', late);
    checker.compareNow('n1', nodeOf(...cluster));
    expect(checker.hasReference).toBe(true);
    expect(checker.reference.brokers.get(nodeId(1))?.fenced).toBe(false);
  });

  it('R11: images that differ at one index', () => {
    const checker = checkerOf(...cluster);
    const other = nodeOf(...cluster.slice(0, 3), fenced('unfenceBroker', 2, 3));
    expect(ruleBrokenBy(() => checker.look('n1', other))).toBe('R11');
  });

  it('R11: a node whose image is another than it was at that index', () => {
    const checker = checkerOf(...cluster);
    checker.compareNow('n1', nodeOf(...cluster.slice(0, 3)));
    const other = nodeOf(...cluster.slice(0, 2), registered(2, 'another'));
    expect(ruleBrokenBy(() => checker.compareNow('n1', other))).toBe('R11');
  });

  it('does not know what is committed once it could not see an entry', () => {
    const checker = checkerOf(...cluster);
    checker.committed(5, undefined);
    checker.committed(6, encoded(registered(1, 'third')));
    expect(checker.hasReference).toBe(false);
    expect(checker.reference.index).toBe(4);
  });

  it('R11: a node that has replayed what is not committed, and one that goes back', () => {
    const checker = checkerOf(...cluster);
    const hasty = nodeOf(...cluster);
    hasty.commitIndex = 3;
    expect(ruleBrokenBy(() => checker.look('n1', hasty))).toBe('R11');
    const view = nodeOf(...cluster);
    checker.look('n2', view);
    view.appliedIndex = 3;
    expect(ruleBrokenBy(() => checker.look('n2', view))).toBe('R11');
  });

  it.each(['fenceBroker', 'unfenceBroker'] as const)('I7: a %s for an epoch that is not the present one', (kind) => {
    checkerOf(...cluster, fenced(kind, 1, 2));
    expect(ruleBrokenBy(() => checkerOf(...cluster, fenced(kind, 1, 3)))).toBe('I7');
    expect(ruleBrokenBy(() => checkerOf(...cluster, registered(1, 'third'), fenced(kind, 1, 2)))).toBe('I7');
    expect(ruleBrokenBy(() => checkerOf(founded, fenced(kind, 1, 0)))).toBe('I7');
  });

  it('I7: a registration in an epoch that is not above the one before', () => {
    const again = registered(2, 'third');
    if (again.kind !== 'registerBroker') throw new Error('a registration');
    const inEpoch = (brokerEpoch: number): MetadataRecord => ({ ...again, broker: { ...again.broker, brokerEpoch } });
    checkerOf(...cluster, inEpoch(5));
    for (const epoch of [1, 3]) expect(ruleBrokenBy(() => checkerOf(...cluster, inEpoch(epoch)))).toBe('I7');
  });

  it('I7: producer ids for a former process of a broker', () => {
    const given = {
      kind: 'producerIds',
      brokerId: nodeId(1),
      brokerEpoch: 1,
      nextProducerId: 1000,
    } as unknown as MetadataRecord;
    expect(ruleBrokenBy(() => checkerOf(...cluster, given))).toBe('I7');
  });

  it('I7: a process that takes over while its predecessor leads', () => {
    const topic: MetadataRecord = { kind: 'topic', name: 'orders', id: TOPIC };
    checkerOf(...cluster, topic, partition({}), registered(2, 'third'));
    expect(ruleBrokenBy(() => checkerOf(...cluster, topic, partition({}), registered(1, 'third')))).toBe('I7');
  });

  it('I2: a leader that is not in sync, and someone in sync who is no replica', () => {
    const topic: MetadataRecord = { kind: 'topic', name: 'orders', id: TOPIC };
    checkerOf(...cluster, topic, partition({}));
    checkerOf(...cluster, topic, partition({ leader: null }));
    expect(ruleBrokenBy(() => checkerOf(...cluster, topic, partition({ isr: [nodeId(2)] })))).toBe('I2');
    expect(ruleBrokenBy(() => checkerOf(...cluster, topic, partition({ isr: [nodeId(1), nodeId(3)] })))).toBe('I2');
  });

  it('I2: someone eligible to lead who is in sync, or no replica', () => {
    const topic: MetadataRecord = { kind: 'topic', name: 'orders', id: TOPIC };
    const [one, two, three] = [nodeId(1), nodeId(2), nodeId(3)];
    checkerOf(...cluster, topic, partition({ isr: [one], elr: [two] }));
    for (const elr of [[one], [three]])
      expect(ruleBrokenBy(() => checkerOf(...cluster, topic, partition({ isr: [one], elr })))).toBe('I2');
  });

  it('I2: a broker that is fenced and leads on', () => {
    const topic: MetadataRecord = { kind: 'topic', name: 'orders', id: TOPIC };
    checkerOf(...cluster, topic, partition({ leader: nodeId(2) }), fenced('fenceBroker', 1, 2));
    const leads = [topic, partition({}), fenced('fenceBroker', 1, 2)];
    expect(ruleBrokenBy(() => checkerOf(...cluster, ...leads))).toBe('I2');
  });

  it('I10: two replicas on one broker', () => {
    const topic: MetadataRecord = { kind: 'topic', name: 'orders', id: TOPIC };
    const twice = partition({ replicas: [nodeId(1), nodeId(1)], isr: [nodeId(1)] });
    expect(ruleBrokenBy(() => checkerOf(...cluster, topic, twice))).toBe('I10');
  });
});
