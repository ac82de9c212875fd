/** What the members of a classic group subscribe to, as far as the coordinator can read it. */
import type { ClassicGroup } from './classic-group.ts';
import { CONSUMER_PROTOCOL_TYPE, subscriptionTopics } from './consumer-protocol.ts';
import type { Member } from './group-members.ts';

/** The topics of all members under the group's protocol; undefined unless every one is a consumer's and readable. */
export function subscribedTopics(group: ClassicGroup): ReadonlySet<string> | undefined {
  if (group.protocolType !== CONSUMER_PROTOCOL_TYPE) return undefined;
  const all = new Set<string>();
  for (const member of group.members.all()) {
    const topics = memberTopics(group, member);
    if (topics === undefined) return undefined;
    for (const topic of topics) all.add(topic);
  }
  return all;
}

/** One member's topics; undefined if it is no consumer, does not know the group's protocol or cannot be read. */
export function memberTopics(group: ClassicGroup, member: Member): readonly string[] | undefined {
  if (group.protocolType !== CONSUMER_PROTOCOL_TYPE) return undefined;
  const protocol = member.protocols.find(({ name }) => name === group.protocolName);
  return protocol === undefined ? undefined : subscriptionTopics(protocol.metadata);
}
