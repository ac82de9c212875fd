/** What decisions about consumer groups share: what they read, and the group as it will be. */
import type { Uuid } from '#model/ids';
import type { ConsumerGroup } from './consumer-group.ts';
import { type ConsumerMember, regexOf, sameStrings } from './consumer-member.ts';
import { groupEpochRecord } from './consumer-records.ts';
import type { Instant, Output } from './effects.ts';
import type { ConsumerGroupConfig, GroupConfig } from './group-config.ts';
import { sameProtocols } from './group-members.ts';
import { metadataHash, type TopicsView, topicIdsOf } from './topics-view.ts';

export interface ConsumerDecision {
  readonly group: ConsumerGroup;
  readonly topics: TopicsView;
  readonly config: GroupConfig;
  readonly groupConfig: ConsumerGroupConfig;
  readonly now: Instant;
  readonly out: Output;
  /** Asks for the group's regexes to be resolved, in ticks to come. */
  readonly resolveRegexes: () => void;
  /** When a topic was created last: an index of the metadata image. */
  readonly topicsVersion: number;
}

/** A member that is about to be written, in place of whom. */
export interface MemberChange {
  /** Before the change; of a new member its empty state, of a static one that replaces another a copy of that. */
  readonly before: ConsumerMember;
  readonly after: ConsumerMember;
  /** The static member whose place it takes. */
  readonly replaced: string | undefined;
}

/** The group's members once the change is written; without it, and without those who are leaving. */
export function* membersAfter(
  group: ConsumerGroup,
  change: MemberChange | undefined,
  leaving: ReadonlySet<string> = new Set(),
): IterableIterator<ConsumerMember> {
  for (const member of group.members()) {
    const { memberId } = member;
    if (leaving.has(memberId) || memberId === change?.replaced || memberId === change?.after.memberId) continue;
    yield member;
  }
  if (change !== undefined) yield change.after;
}

/** A member's topics, by name and by what its regex matched. One that has not been resolved yet matches nothing. */
export function topicsOf(member: ConsumerMember, group: ConsumerGroup): ReadonlySet<string> {
  const regex = regexOf(member);
  const matched = regex === undefined ? undefined : group.regexes.get(regex)?.topics;
  return new Set([...member.topicNames, ...(matched ?? [])]);
}

export function topicIdsOfMember(member: ConsumerMember, group: ConsumerGroup, topics: TopicsView): Set<Uuid> {
  return topicIdsOf(topicsOf(member, group), topics);
}

export function metadataHashOf(members: Iterable<ConsumerMember>, { group, topics }: ConsumerDecision): number {
  const names = new Set<string>();
  for (const member of members) for (const name of topicsOf(member, group)) names.add(name);
  return metadataHash(names, topics);
}

/** The group's epoch after the change: higher if it asks for that, or if the topics are not what they were. */
export function groupEpochAfter(decision: ConsumerDecision, change: MemberChange, bump: boolean): number {
  const { group, out } = decision;
  if (!bump && !group.refreshDue) return group.groupEpoch;
  group.refreshDue = false;
  const hash = metadataHashOf(membersAfter(group, change), decision);
  if (!bump && hash === group.metadataHash) return group.groupEpoch;
  const epoch = group.groupEpoch + 1;
  out.records.push(groupEpochRecord(group.groupId, epoch, hash));
  return epoch;
}

/** Whether the log says the same of both, progress apart. */
export function sameMetadata(a: ConsumerMember, b: ConsumerMember): boolean {
  const sameClassic =
    a.classic === b.classic ||
    (a.classic !== null &&
      b.classic !== null &&
      a.classic.sessionTimeoutMs === b.classic.sessionTimeoutMs &&
      sameProtocols(a.classic.protocols, b.classic.protocols));
  return (
    sameClassic &&
    a.instanceId === b.instanceId &&
    a.rackId === b.rackId &&
    a.clientId === b.clientId &&
    a.clientHost === b.clientHost &&
    a.topicRegex === b.topicRegex &&
    a.rebalanceTimeoutMs === b.rebalanceTimeoutMs &&
    a.serverAssignor === b.serverAssignor &&
    sameStrings(a.topicNames, b.topicNames)
  );
}
