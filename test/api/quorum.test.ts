import { describe, expect, test } from 'vitest';
import { describeClusterApi } from '#api/describe-cluster';
import { describeQuorumApi } from '#api/describe-quorum';
import { unregisterBrokerApi } from '#api/unregister-broker';
import { updateFeaturesApi } from '#api/update-features';
import { addRaftVoterApi, removeRaftVoterApi } from '#api/voters';
import { ErrorCode } from '#model/errors';
import { METADATA_VERSION } from '#model/features';
import { nodeId, uuid } from '#model/ids';
import { writeAddRaftVoterRequest } from '#protocol/generated/add-raft-voter-request';
import { readAddRaftVoterResponse } from '#protocol/generated/add-raft-voter-response';
import { writeDescribeClusterRequest } from '#protocol/generated/describe-cluster-request';
import { readDescribeClusterResponse } from '#protocol/generated/describe-cluster-response';
import { writeDescribeQuorumRequest } from '#protocol/generated/describe-quorum-request';
import { readDescribeQuorumResponse } from '#protocol/generated/describe-quorum-response';
import { writeRemoveRaftVoterRequest } from '#protocol/generated/remove-raft-voter-request';
import { readRemoveRaftVoterResponse } from '#protocol/generated/remove-raft-voter-response';
import { writeUnregisterBrokerRequest } from '#protocol/generated/unregister-broker-request';
import { readUnregisterBrokerResponse } from '#protocol/generated/unregister-broker-response';
import { writeUpdateFeaturesRequest } from '#protocol/generated/update-features-request';
import { readUpdateFeaturesResponse } from '#protocol/generated/update-features-response';
import type { QuorumDescription, QuorumReplica } from '#runtime/controller-protocol';
import { testUuid } from '../metadata/support.ts';
import { ApiStage, versionsOf } from './api-stage.ts';

const describeCluster = { write: writeDescribeClusterRequest, read: readDescribeClusterResponse };
const describeQuorum = { write: writeDescribeQuorumRequest, read: readDescribeQuorumResponse };
const addVoter = { write: writeAddRaftVoterRequest, read: readAddRaftVoterResponse };
const removeVoter = { write: writeRemoveRaftVoterRequest, read: readRemoveRaftVoterResponse };
const unregister = { write: writeUnregisterBrokerRequest, read: readUnregisterBrokerResponse };
const updateFeatures = { write: writeUpdateFeaturesRequest, read: readUpdateFeaturesResponse };

/** The directory of the only voter, as the stage's cluster is founded. */
const FOUNDER = testUuid(101);
const NEWCOMER = uuid('BwcHBwcHBwcHBwcHBwcHBw');

function replica(id: number, directoryId = FOUNDER, isCaughtUp = true): QuorumReplica {
  const times = { lastFetchTimestamp: 1000 + id, lastCaughtUpTimestamp: 900 + id };
  return { id: nodeId(id), directoryId, endOffset: 40 + id, ...times, isCaughtUp };
}

function quorum(observers: readonly QuorumReplica[] = []): QuorumDescription {
  return {
    leaderId: nodeId(1),
    leaderEpoch: 7,
    highWatermark: 41,
    voters: [replica(1)],
    observers,
    addresses: [{ id: nodeId(1), directoryId: FOUNDER, host: 'n1', port: 9093 }],
  };
}

const METADATA = { topicName: '__cluster_metadata', partitions: [{ partitionIndex: 0 }] };

describe('DescribeQuorum', () => {
  test.each(versionsOf(describeQuorumApi))('version %i tells of leader, voters and observers', async (version) => {
    const stage = new ApiStage();
    stage.quorum = quorum([replica(4, NEWCOMER)]);
    const answer = await stage.call(describeQuorumApi, describeQuorum, version, { topics: [METADATA] });
    expect(answer.errorCode).toBe(ErrorCode.None);
    const [partition] = answer.topics[0]?.partitions ?? [];
    expect(partition).toMatchObject({ errorCode: ErrorCode.None, leaderId: 1, leaderEpoch: 7, highWatermark: 41 });
    expect(partition?.currentVoters).toMatchObject([{ replicaId: 1, logEndOffset: 41 }]);
    expect(partition?.observers).toMatchObject([{ replicaId: 4, logEndOffset: 44 }]);
    if (version >= 1) expect(partition?.observers[0]).toMatchObject({ lastFetchTimestamp: 1004 });
    if (version < 2) return;
    expect(partition?.observers[0]?.replicaDirectoryId).toBe(NEWCOMER);
    expect(answer.nodes).toMatchObject([{ nodeId: 1, listeners: [{ host: 'n1', port: 9093 }] }]);
  });

  test('knows no quorum but that of the metadata log', async () => {
    const stage = new ApiStage();
    stage.quorum = quorum();
    const topics = [{ topicName: 'orders', partitions: [{ partitionIndex: 0 }] }, { ...METADATA }];
    topics[1] = { topicName: METADATA.topicName, partitions: [{ partitionIndex: 0 }, { partitionIndex: 1 }] };
    const answer = await stage.call(describeQuorumApi, describeQuorum, 2, { topics });
    expect(answer.topics.map(({ partitions }) => partitions.map(({ errorCode }) => errorCode))).toEqual([
      [ErrorCode.UnknownTopicOrPartition],
      [ErrorCode.None, ErrorCode.UnknownTopicOrPartition],
    ]);
  });

  test('says so when no leader answers', async () => {
    const answer = await new ApiStage().call(describeQuorumApi, describeQuorum, 2, { topics: [METADATA] });
    expect(answer).toMatchObject({ errorCode: ErrorCode.RequestTimedOut, topics: [] });
  });
});

describe('AddRaftVoter', () => {
  const listeners = [{ name: 'CONTROLLER', host: 'n4', port: 9093 }];
  const request = {
    clusterId: null as string | null,
    timeoutMs: 0,
    voterId: 4,
    voterDirectoryId: NEWCOMER,
    listeners,
    ackWhenCommitted: true,
  };

  test.each(versionsOf(addRaftVoterApi))('version %i makes an observer that has caught up a voter', async (version) => {
    const stage = new ApiStage();
    stage.quorum = quorum([replica(4, NEWCOMER)]);
    const answer = await stage.call(addRaftVoterApi, addVoter, version, request);
    expect(answer).toMatchObject({ errorCode: ErrorCode.None, errorMessage: null });
    expect(stage.cluster.image.cluster?.voters.map(({ id, host }) => [id, host])).toEqual([
      [1, 'localhost'],
      [4, 'n4'],
    ]);
  });

  test.each<readonly [string, Partial<typeof request>, readonly QuorumReplica[], ErrorCode]>([
    ['who is behind', {}, [replica(4, NEWCOMER, false)], ErrorCode.RequestTimedOut],
    ['who does not follow', {}, [], ErrorCode.RequestTimedOut],
    ['another disk than the one that follows', {}, [replica(4, FOUNDER)], ErrorCode.RequestTimedOut],
    ['a voter', { voterId: 1 }, [], ErrorCode.DuplicateVoter],
    ['a negative id', { voterId: -1 }, [], ErrorCode.InvalidRequest],
    ['nobody to be reached', { listeners: [] }, [], ErrorCode.InvalidRequest],
    ['a voter of another cluster', { clusterId: 'another' }, [], ErrorCode.InconsistentClusterId],
  ])('refuses %s', async (_who, change, observers, error) => {
    const stage = new ApiStage();
    stage.quorum = quorum(observers);
    const answer = await stage.call(addRaftVoterApi, addVoter, 1, { ...request, ...change });
    expect(answer.errorCode).toBe(error);
    expect(answer.errorMessage).toMatch(/\w+ \w+/);
    expect(stage.cluster.image.cluster?.voters).toHaveLength(1);
  });
});

describe('RemoveRaftVoter', () => {
  test.each<readonly [string, number, typeof FOUNDER, string | null, ErrorCode]>([
    ['the last voter', 1, FOUNDER, null, ErrorCode.InvalidRequest],
    ['another disk', 1, NEWCOMER, null, ErrorCode.VoterNotFound],
    ['another node', 9, FOUNDER, null, ErrorCode.VoterNotFound],
    ['a negative id', -1, FOUNDER, null, ErrorCode.InvalidRequest],
    ['a voter of another cluster', 1, FOUNDER, 'another', ErrorCode.InconsistentClusterId],
  ])('refuses %s', async (_who, voterId, voterDirectoryId, clusterId, error) => {
    const stage = new ApiStage();
    const answer = await stage.call(removeRaftVoterApi, removeVoter, 0, { clusterId, voterId, voterDirectoryId });
    expect(answer.errorCode).toBe(error);
    expect(stage.cluster.image.cluster?.voters).toHaveLength(1);
  });
});

describe('UnregisterBroker', () => {
  test('forgets a broker, once', async () => {
    const stage = new ApiStage();
    expect(await stage.call(unregisterBrokerApi, unregister, 0, { brokerId: 1 })).toMatchObject({ errorCode: 0 });
    expect(stage.cluster.image.brokers.size).toBe(0);
    const again = await stage.call(unregisterBrokerApi, unregister, 0, { brokerId: 1 });
    expect(again.errorCode).toBe(ErrorCode.BrokerIdNotRegistered);
    const negative = await stage.call(unregisterBrokerApi, unregister, 0, { brokerId: -5 });
    expect(negative.errorCode).toBe(ErrorCode.BrokerIdNotRegistered);
  });
});

describe('UpdateFeatures', () => {
  const update = (feature: string, maxVersionLevel: number) => ({ feature, maxVersionLevel, allowDowngrade: false });

  test.each(versionsOf(updateFeaturesApi))('version %i takes a level that is there already', async (version) => {
    const featureUpdates = [update('metadata.version', METADATA_VERSION.level)];
    const answer = await new ApiStage().call(updateFeaturesApi, updateFeatures, version, { featureUpdates });
    expect(answer.errorCode).toBe(ErrorCode.None);
    expect(answer.results.map(({ feature }) => feature)).toEqual(version < 2 ? ['metadata.version'] : []);
  });

  test.each(versionsOf(updateFeaturesApi))('version %i refuses all for one that is not known', async (version) => {
    const featureUpdates = [update('metadata.version', METADATA_VERSION.level), update('no.such', 1)];
    const answer = await new ApiStage().call(updateFeaturesApi, updateFeatures, version, { featureUpdates });
    expect(answer).toMatchObject({ errorCode: ErrorCode.InvalidUpdateVersion, results: [] });
    expect(answer.errorMessage).toContain('no.such');
  });
});

describe('DescribeCluster', () => {
  test('lists the brokers that live, and the fenced ones for whoever asks for them', async () => {
    const stage = new ApiStage();
    stage.cluster.register(2);
    const ask = async (includeFencedBrokers: boolean) => {
      const request = { includeClusterAuthorizedOperations: false, includeFencedBrokers };
      const { brokers } = await stage.call(describeClusterApi, describeCluster, 2, request);
      return brokers.map(({ brokerId, isFenced }) => [brokerId, isFenced]);
    };
    expect((await ask(true)).at(-1)).toEqual([2, true]);
    expect((await ask(false)).some(([id]) => id === 2)).toBe(false);
  });

  test.each([
    [2, ErrorCode.MismatchedEndpointType],
    [3, ErrorCode.UnsupportedEndpointType],
  ])('answers whoever wants endpoints of type %i with error %i', async (endpointType, errorCode) => {
    const request = { includeClusterAuthorizedOperations: false, endpointType };
    const answer = await new ApiStage().call(describeClusterApi, describeCluster, 1, request);
    expect(answer).toMatchObject({ errorCode, brokers: [] });
  });
});
