/** How a consumer group looks to ConsumerGroupDescribe. */
import { ErrorCode } from '#model/errors';
import type { ConsumerGroup } from './consumer-group.ts';
import type { DescribedConsumerGroup, NamedTopicPartitions } from './group-commands.ts';
import { GroupState } from './group-commands.ts';
import { groupIdError } from './group-records.ts';
import { type PartitionSets, topicPartitionsOf } from './partition-sets.ts';
import { assignorNameOf } from './target-assignment.ts';
import type { TopicsView } from './topics-view.ts';

export function describeConsumerGroup(
  group: ConsumerGroup,
  topics: TopicsView,
  defaultAssignor: string,
): DescribedConsumerGroup {
  return {
    errorCode: ErrorCode.None,
    errorMessage: null,
    groupId: group.groupId,
    groupState: group.state,
    groupEpoch: group.groupEpoch,
    assignmentEpoch: group.assignmentEpoch,
    assignorName: assignorNameOf(group, defaultAssignor),
    members: [...group.members()].map((member) => ({
      memberId: member.memberId,
      instanceId: member.instanceId,
      rackId: member.rackId,
      memberEpoch: member.memberEpoch,
      clientId: member.clientId,
      clientHost: member.clientHost,
      subscribedTopicNames: member.topicNames,
      subscribedTopicRegex: member.topicRegex,
      assignment: { topicPartitions: named(member.assigned, topics) },
      targetAssignment: { topicPartitions: named(group.target(member.memberId), topics) },
      memberType: member.classic === null ? 1 : 0,
    })),
  };
}

/** Topics that are gone have no name to show. */
function named(partitions: PartitionSets, topics: TopicsView): NamedTopicPartitions[] {
  return topicPartitionsOf(partitions).flatMap((each) => {
    const topic = topics.topicById(each.topicId);
    return topic === undefined ? [] : [{ ...each, topicName: topic.name }];
  });
}

export function describeUnknownConsumerGroup(groupId: string, isOther: boolean): DescribedConsumerGroup {
  return {
    errorCode: groupIdError(groupId) ?? ErrorCode.GroupIdNotFound,
    errorMessage: isOther ? `Group ${groupId} is not a consumer group.` : `Group ${groupId} not found.`,
    groupId,
    groupState: GroupState.Dead,
    groupEpoch: 0,
    assignmentEpoch: 0,
    assignorName: '',
    members: [],
  };
}
