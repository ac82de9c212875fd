import { describe, expect, test } from 'vitest';
import { ErrorCode } from '#model/errors';
import { nodeId } from '#model/ids';
import { TestCluster, testUuid } from './support.ts';

/** Three replicas, of which two must be in sync for an acknowledgement. */
function ofThree(configs: Readonly<Record<string, string>> = {}): TestCluster {
  const cluster = TestCluster.withBrokers(3).keepEligible();
  cluster.createAssigned('t', [[1, 2, 3]]);
  for (const [key, value] of Object.entries({ 'min.insync.replicas': '2', ...configs }))
    cluster.setTopicConfig('t', key, value);
  return cluster;
}

const stateOf = (cluster: TestCluster) => {
  const { leader, isr, elr } = cluster.state('t');
  return { leader, isr, elr };
};

describe('eligible leader replicas (KIP-966)', () => {
  test('are not kept where the feature is off', () => {
    const cluster = TestCluster.withBrokers(3);
    cluster.createAssigned('t', [[1, 2, 3]]);
    cluster.setTopicConfig('t', 'min.insync.replicas', '2');
    cluster.alterIsr('t', [1]);
    expect(stateOf(cluster)).toEqual({ leader: 1, isr: [1], elr: [] });
  });

  test('are those that left the ISR when it fell below its minimum', () => {
    const cluster = ofThree();
    cluster.alterIsr('t', [1, 2]);
    expect(stateOf(cluster)).toEqual({ leader: 1, isr: [1, 2], elr: [] });
    cluster.alterIsr('t', [1]);
    expect(stateOf(cluster)).toEqual({ leader: 1, isr: [1], elr: [2] });
    cluster.fence(1);
    expect(stateOf(cluster)).toEqual({ leader: 2, isr: [2], elr: [1] });
  });

  test('are forgotten when the ISR is full again', () => {
    const cluster = ofThree();
    cluster.alterIsr('t', [1]);
    expect(stateOf(cluster).elr).toEqual([2, 3]);
    cluster.alterIsr('t', [1, 3]);
    expect(stateOf(cluster)).toEqual({ leader: 1, isr: [1, 3], elr: [] });
  });

  test('lead when nobody in sync is left, whoever of them comes first', () => {
    const cluster = ofThree();
    cluster.fence(3);
    cluster.fence(2);
    cluster.fence(1);
    expect(stateOf(cluster)).toEqual({ leader: null, isr: [], elr: [1, 2] });
    cluster.unfence(3);
    expect(stateOf(cluster)).toEqual({ leader: null, isr: [], elr: [1, 2] });
    cluster.unfence(2);
    expect(stateOf(cluster)).toEqual({ leader: 2, isr: [2], elr: [1] });
  });

  test('never ask for more in sync than there are replicas', () => {
    const cluster = TestCluster.withBrokers(1).keepEligible();
    cluster.createAssigned('t', [[1]]);
    cluster.setTopicConfig('t', 'min.insync.replicas', '2');
    cluster.fence(1);
    expect(stateOf(cluster)).toEqual({ leader: null, isr: [], elr: [1] });
    cluster.unfence(1);
    expect(stateOf(cluster)).toEqual({ leader: 1, isr: [1], elr: [] });
  });

  test('go by the number in sync that is asked for from now on: fewer may make an ISR full', () => {
    const cluster = ofThree();
    cluster.alterIsr('t', [1]);
    cluster.setTopicConfig('t', 'min.insync.replicas', '3');
    expect(stateOf(cluster)).toEqual({ leader: 1, isr: [1], elr: [2, 3] });
    cluster.setTopicConfig('t', 'min.insync.replicas', '1');
    expect(cluster.lastRecords.map(({ kind }) => kind)).toEqual(['config', 'partitionChange']);
    expect(stateOf(cluster)).toEqual({ leader: 1, isr: [1], elr: [] });
  });

  test('stay when the default of the cluster changes and a topic has its own', () => {
    const cluster = ofThree();
    cluster.alterIsr('t', [1]);
    const changes = [{ key: 'min.insync.replicas', operation: 0, value: '1' }];
    cluster.run('incrementalAlterConfigs', { validateOnly: false, resources: [{ type: 4, name: '', changes }] });
    expect(stateOf(cluster).elr).toEqual([2, 3]);
  });

  test('stay through the restart of a process, and through a crash where what is acknowledged is on disk', () => {
    const cluster = ofThree();
    for (const id of [3, 2, 1]) cluster.fence(id);
    cluster.register(2, { incarnation: testUuid(50) });
    expect(stateOf(cluster).elr).toEqual([1, 2]);
  });

  test('are no longer those that crashed where nothing was synced, unless they stopped in order', () => {
    for (const isClean of [true, false]) {
      const cluster = ofThree({ 'flush.policy': 'os' });
      for (const id of [3, 2, 1]) cluster.fence(id);
      const { brokerEpoch } = cluster.brokerCommand(2);
      cluster.register(2, { incarnation: testUuid(50), cleanBrokerEpoch: isClean ? brokerEpoch : brokerEpoch - 1 });
      expect(stateOf(cluster).elr).toEqual(isClean ? [1, 2] : [1]);
    }
  });

  test('are no longer those whose directory is gone; the last one stays, and does not lead', () => {
    const cluster = ofThree();
    for (const id of [3, 2, 1]) cluster.fence(id);
    cluster.register(1, { incarnation: testUuid(50), directories: [testUuid(51)] });
    expect(stateOf(cluster).elr).toEqual([2]);
    cluster.register(2, { incarnation: testUuid(60), directories: [testUuid(61)] });
    cluster.unfence(1);
    cluster.unfence(2);
    expect(stateOf(cluster)).toEqual({ leader: null, isr: [], elr: [2] });
  });

  test('are no longer those that were unregistered where nothing was synced: how they ended is not known', () => {
    for (const policy of ['os', 'fsync']) {
      const cluster = ofThree({ 'flush.policy': policy });
      for (const id of [3, 2, 1]) cluster.fence(id);
      const { brokerEpoch } = cluster.brokerCommand(2);
      cluster.run('unregisterBroker', { id: nodeId(2) });
      cluster.register(2, { incarnation: testUuid(50), cleanBrokerEpoch: brokerEpoch });
      expect(stateOf(cluster).elr).toEqual(policy === 'os' ? [1] : [1, 2]);
    }
  });

  test('are none after an unclean election', () => {
    const cluster = ofThree();
    for (const id of [3, 2, 1]) cluster.fence(id);
    cluster.unfence(3);
    const partitions = [{ topic: 't', partition: 0 }];
    expect(cluster.run('electLeaders', { type: 1, partitions }).partitions[0]?.errorCode).toBe(ErrorCode.None);
    expect(stateOf(cluster)).toEqual({ leader: 3, isr: [3], elr: [] });
  });

  test('lose those that are no replicas any more', () => {
    const cluster = ofThree();
    cluster.alterIsr('t', [1]);
    const partitions = [{ topic: 't', partition: 0, replicas: [1, 2] }];
    cluster.run('alterPartitionReassignments', { allowReplicationFactorChange: true, partitions });
    cluster.alterIsr('t', [1, 2]);
    expect(cluster.state('t')).toMatchObject({ replicas: [1, 2], isr: [1, 2], elr: [] });
  });
});
