import { describe, expect, test } from 'vitest';
import { ErrorCode } from '#model/errors';
import { TestCluster, testUuid } from './support.ts';

function lose(cluster: TestCluster, broker: number, topic = 't', partition = 0) {
  const replicas = [{ topicId: cluster.topic(topic).id, partition }];
  return cluster.run('loseReplicas', { ...cluster.brokerCommand(broker), replicas }).replicas[0]?.errorCode;
}

describe('a broker that says that its replica is damaged', () => {
  test('leaves the ISR and hands over what it led, in a new leader epoch', () => {
    const cluster = TestCluster.withBrokers(3);
    cluster.createAssigned('t', [[1, 2, 3]]);
    expect(lose(cluster, 1)).toBe(ErrorCode.None);
    expect(cluster.state('t')).toMatchObject({ leader: 2, leaderEpoch: 1, isr: [2, 3], replicas: [1, 2, 3] });
    expect(lose(cluster, 3)).toBe(ErrorCode.None);
    expect(cluster.state('t')).toMatchObject({ leader: 2, leaderEpoch: 1, isr: [2] });
  });

  test('is told NONE, and nothing changes, where it is neither in sync nor eligible already', () => {
    const cluster = TestCluster.withBrokers(2);
    cluster.createAssigned('t', [[1, 2]]);
    expect([lose(cluster, 2), lose(cluster, 2)]).toEqual([ErrorCode.None, ErrorCode.None]);
    expect(cluster.lastRecords).toEqual([]);
  });

  test('stays what it is as the last one that had everything', () => {
    const cluster = TestCluster.withBrokers(2);
    cluster.createAssigned('t', [[1, 2]]);
    lose(cluster, 2);
    expect(lose(cluster, 1)).toBe(ErrorCode.EligibleLeadersNotAvailable);
    expect(cluster.state('t')).toMatchObject({ leader: 1, isr: [1] });
  });

  test('is not eligible to lead any more (KIP-966)', () => {
    const cluster = new TestCluster({ 'min.insync.replicas': '2' }, 3, 'as bootstrapped');
    for (const id of [1, 2, 3]) {
      cluster.register(id);
      cluster.unfence(id);
    }
    cluster.createAssigned('t', [[1, 2, 3]]);
    for (const id of [1, 2]) cluster.run('fenceBroker', cluster.brokerCommand(id));
    expect(cluster.state('t')).toMatchObject({ isr: [3], elr: [2] });
    expect(lose(cluster, 2)).toBe(ErrorCode.None);
    expect(cluster.state('t')).toMatchObject({ leader: 3, isr: [3], elr: [] });
  });

  test('is refused replicas that are not its own, that are not there, or that it names twice, and as an earlier process', () => {
    const cluster = TestCluster.withBrokers(2);
    cluster.createAssigned('t', [[1]]);
    expect(lose(cluster, 2)).toBe(ErrorCode.NotLeaderOrFollower);
    expect(lose(cluster, 1, 't', 4)).toBe(ErrorCode.UnknownTopicOrPartition);
    const replica = { topicId: testUuid(9), partition: 0 };
    const answer = cluster.run('loseReplicas', { ...cluster.brokerCommand(1), replicas: [replica, replica] });
    expect(answer.replicas.map(({ errorCode }) => errorCode)).toEqual([
      ErrorCode.UnknownTopicId,
      ErrorCode.InvalidRequest,
    ]);
    const stale = cluster.run('loseReplicas', { ...cluster.brokerCommand(1), brokerEpoch: 0, replicas: [replica] });
    expect(stale).toMatchObject({ errorCode: ErrorCode.StaleBrokerEpoch, replicas: [] });
  });
});
