import { describe, expect, test } from 'vitest';
import { ErrorCode } from '#model/errors';
import { nodeId } from '#model/ids';
import { DIRECTORY_LOST, DIRECTORY_UNASSIGNED } from '#model/uuids';
import { TestCluster, testUuid } from './support.ts';

const [FIRST, SECOND, NEW] = [testUuid(101), testUuid(51), testUuid(52)];

/** Broker 1 has two directories; `t` is on 1 and 2, `single` on 1 alone. */
function withTwoDirectories(): TestCluster {
  const cluster = new TestCluster();
  cluster.register(1, { directories: [FIRST, SECOND] });
  cluster.unfence(1);
  cluster.register(2);
  cluster.unfence(2);
  cluster.createAssigned('t', [[1, 2]]);
  cluster.createAssigned('single', [[1]]);
  return cluster;
}

function assign(cluster: TestCluster, topic: string, directory = SECOND, broker = 1) {
  const replicas = [{ topicId: cluster.topic(topic).id, partition: 0, directory }];
  return cluster.run('assignReplicas', { ...cluster.brokerCommand(broker), replicas }).replicas[0];
}

describe('AssignReplicasToDirs (KIP-858)', () => {
  test('notes where a broker keeps a replica, and moves of it', () => {
    const cluster = withTwoDirectories();
    expect(cluster.state('t').directories).toEqual([DIRECTORY_UNASSIGNED, testUuid(102)]);
    for (const directory of [SECOND, FIRST]) {
      expect(assign(cluster, 't', directory)?.errorCode).toBe(ErrorCode.None);
      expect(cluster.state('t')).toMatchObject({
        directories: [directory, testUuid(102)],
        leader: 1,
        isr: [1, 2],
        leaderEpoch: 0,
      });
    }
    assign(cluster, 't', FIRST);
    expect(cluster.lastRecords).toEqual([]);
  });

  test.each([DIRECTORY_LOST, testUuid(99)])(
    'to a directory that is offline takes the replica out of the ISR',
    (offline) => {
      const cluster = withTwoDirectories();
      assign(cluster, 't', offline);
      expect(cluster.state('t')).toMatchObject({ directories: [offline, testUuid(102)], leader: 2, isr: [2] });
      assign(cluster, 'single', offline);
      expect(cluster.state('single')).toMatchObject({ leader: null, isr: [1] });
    },
  );

  test('of a replica whose directory is gone comes before it is in sync again: a move of replicas does not end with those that could not lead', () => {
    const cluster = TestCluster.withBrokers(3);
    cluster.createAssigned('t', [[3, 1]]);
    const partitions = [{ topic: 't', partition: 0, replicas: [1] }];
    cluster.fence(1);
    cluster.run('alterPartitionReassignments', { allowReplicationFactorChange: true, partitions });
    cluster.register(1, { incarnation: testUuid(60), directories: [NEW] });
    cluster.unfence(1);
    expect(cluster.state('t')).toMatchObject({ leader: 3, isr: [3] });
    expect(cluster.alterIsr('t', [1, 3])).toMatchObject({ partitions: [{ errorCode: ErrorCode.IneligibleReplica }] });
    expect(assign(cluster, 't', NEW)?.errorCode).toBe(ErrorCode.None);
    cluster.alterIsr('t', [1, 3]);
    expect(cluster.state('t')).toMatchObject({ replicas: [1], leader: 1, isr: [1], directories: [NEW] });
  });

  test('of a replica whose directory is gone begins anew, but for the last one that had everything', () => {
    const cluster = withTwoDirectories();
    assign(cluster, 't');
    assign(cluster, 'single');
    cluster.register(1, { incarnation: testUuid(60), directories: [FIRST, NEW] });
    cluster.unfence(1);
    expect(cluster.state('t')).toMatchObject({ leader: 2, isr: [2] });
    expect(assign(cluster, 't', NEW)?.errorCode).toBe(ErrorCode.None);
    expect(cluster.state('t')).toMatchObject({ directories: [NEW, testUuid(102)], leader: 2, isr: [2] });
    expect(assign(cluster, 'single', NEW)?.errorCode).toBe(ErrorCode.IneligibleReplica);
    expect(cluster.state('single')).toMatchObject({ directories: [SECOND], leader: null, isr: [1] });
  });

  test('that has not come yet when a disk is exchanged: the replica may have been on it, and is no longer eligible', () => {
    for (const isExchanged of [true, false]) {
      const cluster = withTwoDirectories().keepEligible();
      cluster.setTopicConfig('t', 'min.insync.replicas', '2');
      cluster.fence(1);
      cluster.fence(2);
      expect(cluster.state('t')).toMatchObject({ directories: [DIRECTORY_UNASSIGNED, testUuid(102)], elr: [1, 2] });
      const directories = isExchanged ? [FIRST, NEW] : [SECOND, FIRST];
      cluster.register(1, { incarnation: testUuid(60), directories });
      cluster.unfence(1);
      expect(cluster.state('t').leader).toBe(isExchanged ? null : 1);
    }
  });

  test('that has not come yet when a disk fails: the replica may have been on it, and is no longer eligible', () => {
    const cluster = withTwoDirectories().keepEligible();
    cluster.setTopicConfig('t', 'min.insync.replicas', '2');
    cluster.run('failDirectories', { ...cluster.brokerCommand(1), directories: [SECOND] });
    expect(cluster.state('t')).toMatchObject({ leader: 2, isr: [2], elr: [] });
    cluster.fence(2);
    cluster.register(1, { incarnation: testUuid(60), directories: [FIRST] });
    cluster.unfence(1);
    expect(cluster.state('t')).toMatchObject({ leader: null, elr: [2] });
  });

  test('of replicas that are not the broker’s, or not there, is refused', () => {
    const cluster = withTwoDirectories();
    expect(assign(cluster, 'single', SECOND, 2)?.errorCode).toBe(ErrorCode.NotLeaderOrFollower);
    const topicId = cluster.topic('t').id;
    const replicas = [
      { topicId: testUuid(9), partition: 0, directory: SECOND },
      { topicId, partition: 7, directory: SECOND },
      { topicId, partition: 0, directory: SECOND },
      { topicId, partition: 0, directory: FIRST },
    ];
    const answer = cluster.run('assignReplicas', { ...cluster.brokerCommand(1), replicas });
    expect(answer.replicas.map(({ errorCode }) => errorCode)).toEqual([
      ErrorCode.UnknownTopicId,
      ErrorCode.UnknownTopicOrPartition,
      ErrorCode.None,
      ErrorCode.InvalidRequest,
    ]);
    const stale = { id: nodeId(1), brokerEpoch: 0, replicas };
    expect(cluster.run('assignReplicas', stale)).toMatchObject({ errorCode: ErrorCode.StaleBrokerEpoch, replicas: [] });
  });
});
