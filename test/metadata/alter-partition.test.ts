import { describe, expect, test } from 'vitest';
import { ErrorCode } from '#model/errors';
import { nodeId } from '#model/ids';
import { TestCluster, testUuid } from './support.ts';

function ofThree(): TestCluster {
  const cluster = TestCluster.withBrokers(3);
  cluster.createAssigned('t', [[1, 2, 3]]);
  return cluster;
}

describe('AlterPartition', () => {
  test('shrinks and grows the ISR without another leader epoch, and answers the new state', () => {
    const cluster = ofThree();
    const shrunk = cluster.alterIsr('t', [1, 3]);
    expect(shrunk).toMatchObject({
      errorCode: ErrorCode.None,
      partitions: [{ errorCode: ErrorCode.None, state: { isr: [1, 3], leader: 1, leaderEpoch: 0, partitionEpoch: 1 } }],
    });
    expect(shrunk.partitions[0]?.state).toEqual(cluster.state('t'));
    cluster.alterIsr('t', [1, 2, 3]);
    expect(cluster.state('t')).toMatchObject({ isr: [1, 2, 3], leaderEpoch: 0, partitionEpoch: 2 });
  });

  test('again, with its answer lost, is answered with the present state', () => {
    const cluster = ofThree();
    cluster.alterIsr('t', [1, 3]);
    expect(cluster.alterIsr('t', [3, 1], { partitionEpoch: 0 }).partitions).toMatchObject([
      { errorCode: ErrorCode.None, state: { isr: [1, 3], partitionEpoch: 1 } },
    ]);
    expect(cluster.lastRecords).toEqual([]);
  });

  test.each([
    ['an earlier leader epoch', [1, 2], { leaderEpoch: 0 }, ErrorCode.FencedLeaderEpoch],
    ['a later leader epoch', [1, 2], { leaderEpoch: 2 }, ErrorCode.NotController],
    ['an earlier partition epoch', [1, 2], { partitionEpoch: 1 }, ErrorCode.InvalidUpdateVersion],
    ['a later partition epoch', [1, 2], { partitionEpoch: 9 }, ErrorCode.NotController],
    ['an unknown topic', [1], { topicId: testUuid(9) }, ErrorCode.UnknownTopicId],
    ['an unknown partition', [1], { partition: 7 }, ErrorCode.UnknownTopicOrPartition],
    ['an ISR without the leader', [2], {}, ErrorCode.InvalidRequest],
    ['an empty ISR', [], {}, ErrorCode.InvalidRequest],
    ['a stranger in the ISR', [1, 2, 4], {}, ErrorCode.InvalidRequest],
    ['a member twice', [1, 2, 2], {}, ErrorCode.InvalidRequest],
    ['a fenced member', [1, 2, 3], {}, ErrorCode.IneligibleReplica],
    ['a member of an earlier process', [1, 2], { isr: isr([1, -1], [2, 0]) }, ErrorCode.IneligibleReplica],
  ] as const)('with %s is refused', (_, members, change, errorCode) => {
    const cluster = TestCluster.withBrokers(4);
    cluster.createAssigned('t', [[2, 1, 3]]);
    // To leader 1 in epoch 1, and an ISR of [1, 3], which 3 leaves too.
    cluster.fence(2);
    cluster.unfence(2);
    cluster.run('electLeaders', { type: 0, partitions: null });
    cluster.fence(3);
    expect(cluster.state('t')).toMatchObject({ leader: 1, isr: [1], leaderEpoch: 1, partitionEpoch: 2 });
    expect(cluster.alterIsr('t', members, change).partitions).toMatchObject([{ errorCode, state: null }]);
    expect(cluster.lastRecords).toEqual([]);
  });

  test('takes newcomers, and lets others go, beside a member that drains', () => {
    const cluster = ofThree();
    cluster.alterIsr('t', [1]);
    cluster.run('drainBroker', cluster.brokerCommand(1));
    cluster.alterIsr('t', [1, 2]);
    expect(cluster.state('t')).toMatchObject({ leader: 2, isr: [1, 2] });
    expect(cluster.alterIsr('t', [1, 2, 3]).partitions[0]?.errorCode).toBe(ErrorCode.None);
    expect(cluster.alterIsr('t', [2, 1]).partitions[0]?.errorCode).toBe(ErrorCode.None);
    cluster.alterIsr('t', [2]);
    expect(cluster.alterIsr('t', [1, 2]).partitions[0]?.errorCode).toBe(ErrorCode.IneligibleReplica);
  });

  test('takes members whose process the leader does not know by what is registered', () => {
    const cluster = ofThree();
    cluster.alterIsr('t', [1]);
    expect(cluster.alterIsr('t', [1, 2], { isr: isr([1, -1], [2, -1]) }).partitions[0]?.errorCode).toBe(ErrorCode.None);
  });

  test('of a follower, of an earlier process, or of nobody known is refused', () => {
    const cluster = ofThree();
    const altered = {
      topicId: cluster.topic('t').id,
      partition: 0,
      leaderEpoch: 0,
      partitionEpoch: 0,
      isr: isr([1, -1]),
    };
    const follower = { ...altered, isr: isr([2, -1]) };
    const { id, brokerEpoch } = cluster.brokerCommand(1);
    const by = (sender: { id: ReturnType<typeof nodeId>; brokerEpoch: number }, partition = altered) =>
      cluster.run('alterPartition', { ...sender, partitions: [partition] });
    expect(by(cluster.brokerCommand(2), follower).partitions[0]?.errorCode).toBe(ErrorCode.InvalidRequest);
    expect(by({ id, brokerEpoch: brokerEpoch - 1 })).toMatchObject({
      errorCode: ErrorCode.StaleBrokerEpoch,
      partitions: [],
    });
    expect(by({ id: nodeId(9), brokerEpoch })).toMatchObject({ errorCode: ErrorCode.BrokerIdNotRegistered });
  });

  test('changes a partition once in a request', () => {
    const cluster = ofThree();
    const altered = { topicId: cluster.topic('t').id, partition: 0, leaderEpoch: 0, partitionEpoch: 0 };
    const partitions = [
      { ...altered, isr: isr([1, -1]) },
      { ...altered, isr: isr([1, -1], [2, -1]) },
    ];
    const { partitions: results } = cluster.run('alterPartition', { ...cluster.brokerCommand(1), partitions });
    expect(results.map(({ errorCode }) => errorCode)).toEqual([ErrorCode.None, ErrorCode.InvalidRequest]);
    expect(cluster.state('t').isr).toEqual([1]);
  });
});

function isr(...members: readonly (readonly [number, number])[]) {
  return members.map(([id, brokerEpoch]) => ({ id, brokerEpoch }));
}
