import { describe, expect, test } from 'vitest';
import { consumerGroupDescribeApi, consumerGroupHeartbeatApi } from '#api/consumer-group';
import { deleteGroupsApi, describeGroupsApi, listGroupsApi } from '#api/group-admin';
import { heartbeatApi, joinGroupApi, leaveGroupApi, syncGroupApi } from '#api/group-membership';
import { offsetCommitApi } from '#api/offset-commit';
import { offsetDeleteApi } from '#api/offset-delete';
import { offsetFetchApi } from '#api/offset-fetch';
import { ErrorCode } from '#model/errors';
import { type Uuid, uuid, ZERO_UUID } from '#model/ids';
import { writeConsumerGroupDescribeRequest } from '#protocol/generated/consumer-group-describe-request';
import { readConsumerGroupDescribeResponse } from '#protocol/generated/consumer-group-describe-response';
import { writeConsumerGroupHeartbeatRequest } from '#protocol/generated/consumer-group-heartbeat-request';
import { readConsumerGroupHeartbeatResponse } from '#protocol/generated/consumer-group-heartbeat-response';
import { writeDeleteGroupsRequest } from '#protocol/generated/delete-groups-request';
import { readDeleteGroupsResponse } from '#protocol/generated/delete-groups-response';
import { writeDescribeGroupsRequest } from '#protocol/generated/describe-groups-request';
import { readDescribeGroupsResponse } from '#protocol/generated/describe-groups-response';
import { writeHeartbeatRequest } from '#protocol/generated/heartbeat-request';
import { readHeartbeatResponse } from '#protocol/generated/heartbeat-response';
import { writeJoinGroupRequest } from '#protocol/generated/join-group-request';
import { readJoinGroupResponse } from '#protocol/generated/join-group-response';
import { writeLeaveGroupRequest } from '#protocol/generated/leave-group-request';
import { readLeaveGroupResponse } from '#protocol/generated/leave-group-response';
import { writeListGroupsRequest } from '#protocol/generated/list-groups-request';
import { readListGroupsResponse } from '#protocol/generated/list-groups-response';
import { writeOffsetCommitRequest } from '#protocol/generated/offset-commit-request';
import { readOffsetCommitResponse } from '#protocol/generated/offset-commit-response';
import { writeOffsetDeleteRequest } from '#protocol/generated/offset-delete-request';
import { readOffsetDeleteResponse } from '#protocol/generated/offset-delete-response';
import { writeOffsetFetchRequest } from '#protocol/generated/offset-fetch-request';
import { readOffsetFetchResponse } from '#protocol/generated/offset-fetch-response';
import { writeSyncGroupRequest } from '#protocol/generated/sync-group-request';
import { readSyncGroupResponse } from '#protocol/generated/sync-group-response';
import { subscription } from '../coordinator/fixtures.ts';
import { ApiStage, versionsOf } from './api-stage.ts';

const joining = { write: writeJoinGroupRequest, read: readJoinGroupResponse };
const syncing = { write: writeSyncGroupRequest, read: readSyncGroupResponse };
const beating = { write: writeHeartbeatRequest, read: readHeartbeatResponse };
const leaving = { write: writeLeaveGroupRequest, read: readLeaveGroupResponse };
const committing = { write: writeOffsetCommitRequest, read: readOffsetCommitResponse };
const fetching = { write: writeOffsetFetchRequest, read: readOffsetFetchResponse };
const deletingOffsets = { write: writeOffsetDeleteRequest, read: readOffsetDeleteResponse };
const listing = { write: writeListGroupsRequest, read: readListGroupsResponse };
const describing = { write: writeDescribeGroupsRequest, read: readDescribeGroupsResponse };
const deleting = { write: writeDeleteGroupsRequest, read: readDeleteGroupsResponse };

const STRANGER = uuid('AAAAAAAAAAAAAAAAAAABAA');

function joinRequest(memberId = '', more: { groupInstanceId?: string; sessionTimeoutMs?: number } = {}) {
  return {
    groupId: 'g',
    sessionTimeoutMs: 10_000,
    memberId,
    protocolType: 'consumer',
    protocols: [{ name: 'range', metadata: subscription(['orders']) }],
    ...more,
  };
}

/** A consumer of `version` that has become the only member of a stable group. */
async function member(stage: ApiStage, more: { groupInstanceId?: string } = {}) {
  const first = await stage.call(joinGroupApi, joining, 5, joinRequest('', more));
  const joined =
    first.errorCode === 0 ? first : await stage.call(joinGroupApi, joining, 5, joinRequest(first.memberId));
  const { memberId, generationId } = joined;
  const assignments = [{ memberId, assignment: Uint8Array.of(1, 2) }];
  await stage.call(syncGroupApi, syncing, 3, { groupId: 'g', generationId, memberId, assignments });
  return { memberId, generationId };
}

describe('JoinGroup', () => {
  test.each(versionsOf(joinGroupApi))(
    'a consumer of version %i joins, in two steps from 4 on (KIP-394)',
    async (version) => {
      const stage = new ApiStage().withGroups();
      const first = await stage.call(joinGroupApi, joining, version, joinRequest());
      expect(first.memberId).toMatch(/^app-/);
      expect(first.errorCode).toBe(version >= 4 ? ErrorCode.MemberIdRequired : ErrorCode.None);
      const joined =
        version >= 4 ? await stage.call(joinGroupApi, joining, version, joinRequest(first.memberId)) : first;
      expect(joined).toMatchObject({
        errorCode: ErrorCode.None,
        generationId: 1,
        protocolName: 'range',
        leader: first.memberId,
        memberId: first.memberId,
        skipAssignment: false,
        members: [{ memberId: first.memberId, groupInstanceId: null }],
      });
      expect(joined.protocolType).toBe(version >= 7 ? 'consumer' : null);
    },
  );

  test.each([
    [6, ''],
    [7, null],
  ])('in an error of version %i the protocol is %j', async (version, protocolName) => {
    const stage = new ApiStage().withGroups();
    const answer = await stage.call(joinGroupApi, joining, version, joinRequest('', { sessionTimeoutMs: 1 }));
    expect(answer).toMatchObject({ errorCode: ErrorCode.InvalidSessionTimeout, generationId: -1, protocolName });
  });

  test.each([8, 9])('a static leader of version %i that comes back does not assign anew (KIP-814)', async (version) => {
    const stage = new ApiStage().withGroups();
    const { memberId } = await member(stage, { groupInstanceId: 'one' });
    const again = await stage.call(joinGroupApi, joining, version, joinRequest('', { groupInstanceId: 'one' }));
    expect(again.errorCode).toBe(ErrorCode.None);
    expect(again.memberId).not.toBe(memberId);
    expect(again.skipAssignment).toBe(version >= 9);
    expect(again.leader === again.memberId).toBe(version >= 9);
  });
});

describe('SyncGroup', () => {
  test('without an offsets topic a group has no coordinator', async () => {
    const request = { groupId: 'g', generationId: 1, memberId: 'm', assignments: [] };
    const answer = await new ApiStage().call(syncGroupApi, syncing, 4, request);
    expect(answer.errorCode).toBe(ErrorCode.NotCoordinator);
  });

  test.each(versionsOf(syncGroupApi))('version %i brings the assignment', async (version) => {
    const stage = new ApiStage().withGroups();
    const { memberId, generationId } = await member(stage);
    const request = {
      groupId: 'g',
      generationId,
      memberId,
      assignments: [],
      ...(version >= 5 ? { protocolType: 'consumer', protocolName: 'range' } : {}),
    };
    const answer = await stage.call(syncGroupApi, syncing, version, request);
    expect(answer).toMatchObject({ errorCode: ErrorCode.None, protocolName: version >= 5 ? 'range' : null });
    expect([...answer.assignment]).toEqual([1, 2]);
  });

  test('version 5 must name protocol type and name (KIP-559)', async () => {
    const stage = new ApiStage().withGroups();
    const { memberId, generationId } = await member(stage);
    const request = { groupId: 'g', generationId, memberId, protocolType: 'consumer', assignments: [] };
    const answer = await stage.call(syncGroupApi, syncing, 5, request);
    expect(answer.errorCode).toBe(ErrorCode.InconsistentGroupProtocol);
  });
});

test.each(versionsOf(heartbeatApi))('Heartbeat version %i knows members and generations', async (version) => {
  const stage = new ApiStage().withGroups();
  const { memberId, generationId } = await member(stage);
  const beat = (request: { memberId: string; generationId: number }) =>
    stage.call(heartbeatApi, beating, version, { groupId: 'g', ...request });
  expect((await beat({ memberId, generationId })).errorCode).toBe(ErrorCode.None);
  expect((await beat({ memberId, generationId: 7 })).errorCode).toBe(ErrorCode.IllegalGeneration);
  expect((await beat({ memberId: 'nobody', generationId })).errorCode).toBe(ErrorCode.UnknownMemberId);
});

describe('LeaveGroup', () => {
  test.each([0, 1, 2])('version %i tells the one member’s error as its own', async (version) => {
    const stage = new ApiStage().withGroups();
    const { memberId } = await member(stage);
    const stranger = await stage.call(leaveGroupApi, leaving, version, { groupId: 'g', memberId: 'nobody' });
    expect(stranger.errorCode).toBe(ErrorCode.UnknownMemberId);
    const answer = await stage.call(leaveGroupApi, leaving, version, { groupId: 'g', memberId });
    expect(answer.errorCode).toBe(ErrorCode.None);
  });

  test.each([3, 4, 5])('version %i tells each member’s error (KIP-345)', async (version) => {
    const stage = new ApiStage().withGroups();
    const { memberId } = await member(stage);
    const members = [{ memberId }, { memberId: 'nobody' }];
    expect(await stage.call(leaveGroupApi, leaving, version, { groupId: 'g', members })).toMatchObject({
      errorCode: ErrorCode.None,
      members: [
        { memberId, errorCode: ErrorCode.None },
        { memberId: 'nobody', errorCode: ErrorCode.UnknownMemberId },
      ],
    });
    expect(await stage.call(leaveGroupApi, leaving, version, { groupId: 'unknown', members })).toMatchObject({
      errorCode: ErrorCode.None,
      members: [{ errorCode: ErrorCode.UnknownMemberId }, { errorCode: ErrorCode.UnknownMemberId }],
    });
  });
});

/** The topic as a request of `version` names it. */
function named(stage: ApiStage, name: string, version: number): { name?: string; topicId?: Uuid } {
  return version >= 10 ? { topicId: stage.cluster.image.topic(name)?.id ?? STRANGER } : { name };
}

function partition(partitionIndex: number, committedOffset = 5) {
  return { partitionIndex, committedOffset, committedMetadata: 'note' };
}

describe('OffsetCommit and OffsetFetch', () => {
  test.each(versionsOf(offsetCommitApi))(
    'version %i commits offsets of partitions that exist, and of no others',
    async (version) => {
      const stage = new ApiStage().withGroups();
      stage.topic('orders', 2);
      const topics = [
        { ...named(stage, 'nothing', version), partitions: [partition(0)] },
        { ...named(stage, 'orders', version), partitions: [partition(9), partition(1, 42), partition(-1)] },
      ];
      const answer = await stage.call(offsetCommitApi, committing, version, { groupId: 'g', memberId: '', topics });
      expect(answer.topics).toMatchObject([
        {
          ...named(stage, 'nothing', version),
          partitions: [
            {
              partitionIndex: 0,
              errorCode: version >= 10 ? ErrorCode.UnknownTopicId : ErrorCode.UnknownTopicOrPartition,
            },
          ],
        },
        {
          ...named(stage, 'orders', version),
          partitions: [
            { partitionIndex: 9, errorCode: ErrorCode.UnknownTopicOrPartition },
            { partitionIndex: 1, errorCode: ErrorCode.None },
            { partitionIndex: -1, errorCode: ErrorCode.UnknownTopicOrPartition },
          ],
        },
      ]);
      const all = await stage.call(offsetFetchApi, fetching, 9, { groups: [{ groupId: 'g', topics: null }] });
      expect(all.groups[0]?.topics).toMatchObject([
        { name: 'orders', partitions: [{ partitionIndex: 1, committedOffset: 42, metadata: 'note' }] },
      ]);
    },
  );

  test.each([
    [8, ErrorCode.IllegalGeneration],
    [9, ErrorCode.GroupIdNotFound],
  ])('a member of a group that is gone is told so by version %i as error %i', async (version, errorCode) => {
    const stage = new ApiStage().withGroups();
    stage.topic('orders');
    const topics = [{ name: 'orders', partitions: [partition(0)] }];
    const request = { groupId: 'g', memberId: 'm', generationIdOrMemberEpoch: 3, topics };
    const answer = await stage.call(offsetCommitApi, committing, version, request);
    expect(answer.topics).toMatchObject([{ partitions: [{ errorCode }] }]);
  });

  test.each(versionsOf(offsetFetchApi))(
    'version %i tells what is committed, and -1 where nothing is',
    async (version) => {
      const stage = new ApiStage().withGroups();
      stage.topic('orders', 2);
      const topics = [{ name: 'orders', partitions: [partition(1, 42)] }];
      await stage.call(offsetCommitApi, committing, 9, { groupId: 'g', memberId: '', topics });
      const asked = [{ ...named(stage, 'orders', version), partitionIndexes: [0, 1] }];
      const request =
        version >= 8
          ? { groups: [{ groupId: 'g', topics: asked }] }
          : { groupId: 'g', topics: asked as { name: string; partitionIndexes: number[] }[] };
      const answer = await stage.call(offsetFetchApi, fetching, version, request);
      const told = version >= 8 ? answer.groups[0]?.topics : answer.topics;
      expect(told).toMatchObject([
        {
          ...named(stage, 'orders', version),
          partitions: [
            { partitionIndex: 0, committedOffset: -1, metadata: '', errorCode: ErrorCode.None },
            { partitionIndex: 1, committedOffset: 42, metadata: 'note', errorCode: ErrorCode.None },
          ],
        },
      ]);
    },
  );

  test('version 8 asks for several groups at once, each with its own answer (KIP-709)', async () => {
    const stage = new ApiStage().withGroups();
    stage.topic('orders');
    for (const [groupId, offset] of [
      ['a', 1],
      ['b', 2],
    ] as const) {
      const topics = [{ name: 'orders', partitions: [partition(0, offset)] }];
      await stage.call(offsetCommitApi, committing, 9, { groupId, memberId: '', topics });
    }
    const groups = ['b', 'nobody', 'a'].map((groupId) => ({ groupId, topics: null }));
    const answer = await stage.call(offsetFetchApi, fetching, 8, { groups });
    expect(answer.groups).toMatchObject([
      { groupId: 'b', errorCode: ErrorCode.None, topics: [{ partitions: [{ committedOffset: 2 }] }] },
      { groupId: 'nobody', errorCode: ErrorCode.None, topics: [] },
      { groupId: 'a', errorCode: ErrorCode.None, topics: [{ partitions: [{ committedOffset: 1 }] }] },
    ]);
  });

  test('version 10 tells topics by id: an unknown one is UNKNOWN_TOPIC_ID, one that is gone is left out of all', async () => {
    const stage = new ApiStage().withGroups();
    stage.topic('orders');
    stage.topic('gone');
    const topics = ['orders', 'gone'].map((name) => ({ name, partitions: [partition(0, 3)] }));
    await stage.call(offsetCommitApi, committing, 9, { groupId: 'g', memberId: '', topics });
    const topicId = stage.cluster.image.topic('orders')?.id ?? ZERO_UUID;
    stage.cluster.run('deleteTopics', { topics: [{ name: 'gone', id: null }] });
    const asked = [
      { topicId: STRANGER, partitionIndexes: [0] },
      { topicId, partitionIndexes: [0] },
    ];
    const some = await stage.call(offsetFetchApi, fetching, 10, { groups: [{ groupId: 'g', topics: asked }] });
    const inOrder = some.groups[0]?.topics.toSorted((a) => (a.topicId === topicId ? -1 : 1));
    expect(inOrder).toMatchObject([
      { topicId, partitions: [{ committedOffset: 3, errorCode: ErrorCode.None }] },
      { topicId: STRANGER, partitions: [{ committedOffset: -1, errorCode: ErrorCode.UnknownTopicId }] },
    ]);
    const all = await stage.call(offsetFetchApi, fetching, 10, { groups: [{ groupId: 'g', topics: null }] });
    expect(all.groups[0]?.topics.map((topic) => topic.topicId)).toEqual([topicId]);
  });

  test('without a coordinator the error stands where the version has a place for it', async () => {
    const stage = new ApiStage();
    const topics = [{ name: 'orders', partitionIndexes: [0] }];
    const errorCode = ErrorCode.NotCoordinator;
    const one = await stage.call(offsetFetchApi, fetching, 1, { groupId: 'g', topics });
    expect(one.topics).toMatchObject([{ name: 'orders', partitions: [{ committedOffset: -1, errorCode }] }]);
    const seven = await stage.call(offsetFetchApi, fetching, 7, { groupId: 'g', topics });
    expect(seven).toMatchObject({ errorCode, topics: [] });
    const eight = await stage.call(offsetFetchApi, fetching, 8, { groups: [{ groupId: 'g', topics }] });
    expect(eight.groups).toMatchObject([{ groupId: 'g', errorCode, topics: [] }]);
  });
});

describe('OffsetDelete', () => {
  test('deletes offsets, refuses what the group consumes and what does not exist', async () => {
    const stage = new ApiStage().withGroups();
    stage.topic('orders');
    stage.topic('old');
    const { memberId, generationId } = await member(stage);
    const topics = ['orders', 'old'].map((name) => ({ name, partitions: [partition(0)] }));
    const request = { groupId: 'g', memberId, generationIdOrMemberEpoch: generationId, topics };
    await stage.call(offsetCommitApi, committing, 9, request);
    const asked = ['orders', 'old', 'nothing'].map((name) => ({ name, partitions: [{ partitionIndex: 0 }] }));
    const answer = await stage.call(offsetDeleteApi, deletingOffsets, 0, { groupId: 'g', topics: asked });
    expect(answer).toMatchObject({
      errorCode: ErrorCode.None,
      topics: [
        { name: 'orders', partitions: [{ errorCode: ErrorCode.GroupSubscribedToTopic }] },
        { name: 'old', partitions: [{ errorCode: ErrorCode.None }] },
        { name: 'nothing', partitions: [{ errorCode: ErrorCode.UnknownTopicOrPartition }] },
      ],
    });
  });

  test('an unknown group is an error of the whole', async () => {
    const stage = new ApiStage().withGroups();
    stage.topic('orders');
    const topics = [{ name: 'orders', partitions: [{ partitionIndex: 0 }] }];
    const answer = await stage.call(offsetDeleteApi, deletingOffsets, 0, { groupId: 'nobody', topics });
    expect(answer).toMatchObject({ errorCode: ErrorCode.GroupIdNotFound, topics: [] });
  });
});

describe('groups as tools see them', () => {
  test.each(versionsOf(listGroupsApi))('ListGroups version %i', async (version) => {
    const stage = new ApiStage().withGroups();
    await member(stage);
    const answer = await stage.call(listGroupsApi, listing, version, {});
    expect(answer).toMatchObject({
      errorCode: ErrorCode.None,
      groups: [
        {
          groupId: 'g',
          protocolType: 'consumer',
          groupState: version >= 4 ? 'Stable' : '',
          groupType: version >= 5 ? 'Classic' : '',
        },
      ],
    });
  });

  test('ListGroups filters by state and type', async () => {
    const stage = new ApiStage().withGroups();
    await member(stage);
    const list = async (request: { statesFilter?: string[]; typesFilter?: string[] }) =>
      (await stage.call(listGroupsApi, listing, 5, request)).groups.length;
    expect(await list({ statesFilter: ['Stable'] })).toBe(1);
    expect(await list({ statesFilter: ['Empty'] })).toBe(0);
    expect(await list({ typesFilter: ['classic'] })).toBe(1);
    expect(await list({ typesFilter: ['consumer'] })).toBe(0);
  });

  test.each(versionsOf(describeGroupsApi))(
    'DescribeGroups version %i tells members, and of an unknown group that it is dead',
    async (version) => {
      const stage = new ApiStage().withGroups();
      const { memberId } = await member(stage);
      const groups = ['nobody', 'g'];
      const request = version >= 3 ? { groups, includeAuthorizedOperations: true } : { groups };
      const answer = await stage.call(describeGroupsApi, describing, version, request);
      expect(answer.groups).toMatchObject([
        { groupId: 'nobody', groupState: 'Dead', errorCode: version >= 6 ? ErrorCode.GroupIdNotFound : ErrorCode.None },
        {
          groupId: 'g',
          errorCode: ErrorCode.None,
          groupState: 'Stable',
          protocolType: 'consumer',
          protocolData: 'range',
          members: [{ memberId, clientId: 'app', clientHost: '/10.0.0.7', memberAssignment: Buffer.of(1, 2) }],
          authorizedOperations: version >= 3 ? expect.any(Number) : -0x8000_0000,
        },
      ]);
      if (version >= 3) expect(answer.groups[1]?.authorizedOperations).toBeGreaterThan(0);
    },
  );

  test('DescribeGroups of groups elsewhere is an error of each', async () => {
    const answer = await new ApiStage().call(describeGroupsApi, describing, 6, { groups: ['a', 'b'] });
    expect(answer.groups).toMatchObject([
      { groupId: 'a', errorCode: ErrorCode.NotCoordinator, groupState: '' },
      { groupId: 'b', errorCode: ErrorCode.NotCoordinator, groupState: '' },
    ]);
  });

  test.each(versionsOf(deleteGroupsApi))('DeleteGroups version %i deletes empty groups only', async (version) => {
    const stage = new ApiStage().withGroups();
    stage.topic('orders');
    await member(stage);
    const topics = [{ name: 'orders', partitions: [partition(0)] }];
    await stage.call(offsetCommitApi, committing, 9, { groupId: 'empty', memberId: '', topics });
    const answer = await stage.call(deleteGroupsApi, deleting, version, { groupsNames: ['g', 'nobody', 'empty'] });
    expect(answer.results).toMatchObject([
      { groupId: 'g', errorCode: ErrorCode.NonEmptyGroup },
      { groupId: 'nobody', errorCode: ErrorCode.GroupIdNotFound },
      { groupId: 'empty', errorCode: ErrorCode.None },
    ]);
    expect((await stage.call(listGroupsApi, listing, 5, {})).groups.map(({ groupId }) => groupId)).toEqual(['g']);
  });
});

describe('ConsumerGroupHeartbeat and ConsumerGroupDescribe (KIP-848)', () => {
  const beatingAsConsumer = { write: writeConsumerGroupHeartbeatRequest, read: readConsumerGroupHeartbeatResponse };
  const describingConsumers = { write: writeConsumerGroupDescribeRequest, read: readConsumerGroupDescribeResponse };
  const joins = {
    groupId: 'g',
    memberId: 'm',
    memberEpoch: 0,
    rebalanceTimeoutMs: 60_000,
    subscribedTopicNames: ['orders'],
    topicPartitions: [],
  };

  test.each(versionsOf(consumerGroupHeartbeatApi))(
    'a consumer of version %i joins, and is described',
    async (version) => {
      const stage = new ApiStage().withGroups();
      stage.topic('orders', 2);
      const topicId = stage.cluster.image.topic('orders')?.id;
      const beat = await stage.call(consumerGroupHeartbeatApi, beatingAsConsumer, version, joins);
      expect(beat).toMatchObject({
        errorCode: ErrorCode.None,
        memberId: 'm',
        memberEpoch: 1,
        heartbeatIntervalMs: 5_000,
      });
      expect(beat.assignment?.topicPartitions).toMatchObject([{ topicId, partitions: [0, 1] }]);
      const { groups } = await stage.call(consumerGroupDescribeApi, describingConsumers, 1, {
        groupIds: ['g', 'nothing'],
        includeAuthorizedOperations: false,
      });
      const topicPartitions = [{ topicName: 'orders', partitions: [0, 1] }];
      expect(groups).toMatchObject([
        {
          groupState: 'Stable',
          groupEpoch: 1,
          members: [{ memberId: 'm', clientId: 'app', memberType: 1, assignment: { topicPartitions } }],
        },
        { errorCode: ErrorCode.GroupIdNotFound, groupState: 'Dead', members: [] },
      ]);
    },
  );

  test('is refused where the brokers do not serve the protocol', async () => {
    const stage = new ApiStage({ 'group.coordinator.rebalance.protocols': 'classic' }).withGroups();
    const beat = await stage.call(consumerGroupHeartbeatApi, beatingAsConsumer, 1, joins);
    expect(beat.errorCode).toBe(ErrorCode.UnsupportedVersion);
    const { groups } = await stage.call(consumerGroupDescribeApi, describingConsumers, 1, {
      groupIds: ['g'],
      includeAuthorizedOperations: false,
    });
    expect(groups).toMatchObject([{ groupId: 'g', errorCode: ErrorCode.UnsupportedVersion }]);
  });

  test('a member id is the client’s to make from version 1 on', async () => {
    const stage = new ApiStage().withGroups();
    const nameless = { ...joins, memberId: '' };
    const made = await stage.call(consumerGroupHeartbeatApi, beatingAsConsumer, 0, nameless);
    expect(made).toMatchObject({ errorCode: ErrorCode.None, memberId: expect.stringMatching(/^.{22}$/) });
    const refused = await stage.call(consumerGroupHeartbeatApi, beatingAsConsumer, 1, nameless);
    expect(refused).toMatchObject({ errorCode: ErrorCode.InvalidRequest, errorMessage: "MemberId can't be empty." });
  });

  test('without an offsets topic a group has no coordinator', async () => {
    const beat = await new ApiStage().call(consumerGroupHeartbeatApi, beatingAsConsumer, 1, joins);
    expect(beat.errorCode).toBe(ErrorCode.NotCoordinator);
  });
});
