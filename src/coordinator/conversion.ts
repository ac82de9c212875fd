/** Groups change their kind while their members stay (KIP-848, "Online Migration"), as group.consumer.migration.policy allows. */
import { type Fault, fault } from '#metadata/decision';
import { ErrorCode } from '#model/errors';
import type { Uuid } from '#model/ids';
import type { GroupMetadataValue } from '#protocol/generated/group-metadata-value';
import { NO_BYTES } from './bytes.ts';
import type { ClassicGroup } from './classic-group.ts';
import { type ConsumerDecision, type MemberChange, membersAfter } from './consumer-decision.ts';
import type { ConsumerGroup } from './consumer-group.ts';
import { type ConsumerMember, MemberState, newConsumerMember } from './consumer-member.ts';
import {
  CONSUMER_PROTOCOL_TYPE,
  readAssignment,
  readSubscription,
  type TopicNumbers,
  writeAssignment,
} from './consumer-protocol.ts';
import {
  assignmentEpochRecord,
  groupEpochRecord,
  groupTombstones,
  memberRecord,
  memberTombstones,
  progressRecord,
  regexTombstone,
  targetRecord,
} from './consumer-records.ts';
import type { CoordinatorRecord } from './effects.ts';
import type { GroupConfig } from './group-config.ts';
import type { Member } from './group-members.ts';
import { groupRecord } from './group-records.ts';
import type { DatedAssignment } from './partition-sets.ts';
import { metadataHash, type TopicsView } from './topics-view.ts';

/** Why a classic group with members cannot become a consumer group; clients then see that it is of the other kind. */
function upgradeError(group: ClassicGroup, config: GroupConfig): Fault | undefined {
  const refused = (why: string) =>
    fault(ErrorCode.GroupIdNotFound, `Cannot upgrade classic group ${group.groupId} to consumer group because ${why}.`);
  const { migrationPolicy: policy } = config;
  if (policy !== 'upgrade' && policy !== 'bidirectional') return refused('online upgrade is disabled');
  if (group.protocolType !== CONSUMER_PROTOCOL_TYPE)
    return refused('the group does not use the consumer embedded protocol');
  if (group.members.size > config.consumerGroupSizeMax) {
    return refused('the group size exceeds the consumer group maximum size');
  }
  return undefined;
}

/**
 * The records that make a consumer group of a classic one; its members keep what they have, in the epoch of its
 * generation.
 */
export function becomeConsumer(
  group: ClassicGroup,
  topics: TopicsView,
  config: GroupConfig,
): readonly CoordinatorRecord[] | Fault {
  const error = upgradeError(group, config);
  if (error !== undefined) return error;
  const { groupId, generationId } = group;
  const protocol = group.protocolName ?? group.members.selectProtocol();
  const members: ConsumerMember[] = [];
  const taken: Taken = new Map();
  for (const member of group.members.all()) {
    const converted = toConsumerMember(member, { protocol, generationId, topics, taken });
    if (converted === undefined) {
      return fault(
        ErrorCode.GroupIdNotFound,
        `Cannot upgrade classic group ${groupId} to consumer group because the embedded consumer protocol is malformed ` +
          'or of a custom assignor.',
      );
    }
    members.push(converted);
  }
  const names = new Set(members.flatMap(({ topicNames }) => topicNames));
  return [
    groupRecord(groupId, null),
    ...members.map((member) => memberRecord(groupId, member)),
    groupEpochRecord(groupId, generationId, metadataHash(names, topics)),
    ...members.map((member) => targetRecord(groupId, member.memberId, targetOf(member.assigned))),
    // 0: the next target may be computed at once.
    assignmentEpochRecord(groupId, generationId, 0),
    ...members.map((member) => progressRecord(groupId, member)),
  ];
}

/** Partitions that members have already. */
type Taken = Map<Uuid, Set<number>>;

interface Conversion {
  readonly protocol: string;
  readonly generationId: number;
  readonly topics: TopicsView;
  /** By the members before. */
  readonly taken: Taken;
}

/** Undefined if what it says cannot be read, or holds what only its own assignor understands. */
function toConsumerMember(member: Member, conversion: Conversion): ConsumerMember | undefined {
  const { protocol, generationId } = conversion;
  const metadata = member.protocols.find(({ name }) => name === protocol)?.metadata;
  const subscription = metadata === undefined ? undefined : readSubscription(metadata);
  const assignment = member.assignment.length === 0 ? [] : readAssignment(member.assignment);
  if (subscription === undefined || assignment === undefined) return undefined;
  return {
    ...newConsumerMember(member.memberId),
    instanceId: member.groupInstanceId,
    rackId: subscription.rackId,
    clientId: member.clientId,
    clientHost: member.clientHost,
    topicNames: [...new Set(subscription.topics)].sort(),
    rebalanceTimeoutMs: member.rebalanceTimeoutMs,
    classic: { sessionTimeoutMs: member.sessionTimeoutMs, protocols: member.protocols },
    state: MemberState.Stable,
    memberEpoch: generationId,
    previousMemberEpoch: generationId,
    assigned: takenOver(assignment, conversion),
  };
}

/** A client has made the assignment, of whatever it liked: partitions that exist, and that no member before has, count. */
function takenOver(assignment: readonly TopicNumbers[], { generationId, topics, taken }: Conversion): DatedAssignment {
  const assigned = new Map<Uuid, Map<number, number>>();
  for (const { topic: name, partitions } of assignment) {
    const topic = topics.topic(name);
    if (topic === undefined) continue;
    const others = taken.get(topic.id) ?? new Set();
    const own = assigned.get(topic.id) ?? new Map<number, number>();
    for (const partition of partitions) {
      if (partition < 0 || partition >= topic.partitions.length || others.has(partition)) continue;
      own.set(partition, generationId);
      others.add(partition);
    }
    taken.set(topic.id, others);
    if (own.size > 0) assigned.set(topic.id, own);
  }
  return assigned;
}

function targetOf(assigned: DatedAssignment) {
  return new Map([...assigned].map(([topicId, partitions]) => [topicId, new Set(partitions.keys())]));
}

/** Whether only members of the classic protocol are left without these, and the group may become theirs. */
export function isClassicWithout({ group, config }: ConsumerDecision, leaving: ReadonlySet<string>): boolean {
  let left = 0;
  for (const { memberId, classic } of group.members()) {
    if (leaving.has(memberId)) continue;
    if (classic === null) return false;
    left += 1;
  }
  return left > 0 && mayDowngrade(config, left);
}

export function mayDowngrade(config: GroupConfig, memberCount: number): boolean {
  const { migrationPolicy: policy, groupSizeMax } = config;
  return (policy === 'downgrade' || policy === 'bidirectional') && memberCount <= groupSizeMax;
}

/**
 * The consumer group ends, and a classic one begins with those who stay, in the generation of its epoch; `returning` is
 * its last member of the new protocol that has come back with the old one. They rebalance then, where Kafka's group goes
 * on if it was the last member that came back: what is not assigned yet, or comes to be, would have no leader to see it.
 */
export function becomeClassic(
  decision: ConsumerDecision,
  leaving: ReadonlySet<string>,
  returning?: MemberChange,
): void {
  const { group, out } = decision;
  out.records.push(...consumerTombstones(group));
  out.records.push(groupRecord(group.groupId, classicValue([...membersAfter(group, returning, leaving)], decision)));
}

/** All that the log holds of the group, its offsets apart. */
export function consumerTombstones(group: ConsumerGroup): readonly CoordinatorRecord[] {
  const { groupId } = group;
  return [
    ...[...group.members()].flatMap(({ memberId }) => memberTombstones(groupId, memberId)),
    ...[...group.regexes.keys()].map((regex) => regexTombstone(groupId, regex)),
    ...groupTombstones(groupId),
  ];
}

function classicValue(
  members: readonly ConsumerMember[],
  { group, topics, now }: ConsumerDecision,
): GroupMetadataValue {
  const protocol = commonProtocol(members);
  return {
    protocolType: CONSUMER_PROTOCOL_TYPE,
    generation: group.groupEpoch,
    protocol,
    leader: null,
    currentStateTimestamp: now.wall,
    members: members.map((member) => {
      const subscription = member.classic?.protocols.find(({ name }) => name === protocol)?.metadata ?? NO_BYTES;
      return {
        memberId: member.memberId,
        groupInstanceId: member.instanceId,
        clientId: member.clientId,
        clientHost: member.clientHost,
        rebalanceTimeout: member.rebalanceTimeoutMs,
        sessionTimeout: member.classic?.sessionTimeoutMs ?? 0,
        subscription,
        assignment: classicAssignment(member.assigned, subscription, topics),
      };
    }),
  };
}

/** What the member has, as the clients' own assignors write it, in the version that the member writes. */
export function classicAssignment(assigned: DatedAssignment, subscription: Uint8Array, topics: TopicsView): Uint8Array {
  const named = [...assigned].flatMap(([topicId, partitions]) => {
    const topic = topics.topicById(topicId);
    return topic === undefined ? [] : [{ topic: topic.name, partitions: [...partitions.keys()].sort((a, b) => a - b) }];
  });
  return writeAssignment(named, readSubscription(subscription)?.version ?? 0);
}

/** The one that all support and most prefer; there is one, since nobody joins without. */
function commonProtocol(members: readonly ConsumerMember[]): string {
  const supporters = new Map<string, number>();
  for (const { classic } of members) {
    for (const { name } of classic?.protocols ?? []) supporters.set(name, (supporters.get(name) ?? 0) + 1);
  }
  const votes = new Map<string, number>();
  for (const { classic } of members) {
    const vote = classic?.protocols.find(({ name }) => supporters.get(name) === members.length);
    if (vote !== undefined) votes.set(vote.name, (votes.get(vote.name) ?? 0) + 1);
  }
  const [elected] = [...votes].sort((a, b) => b[1] - a[1]);
  return elected?.[0] ?? '';
}
