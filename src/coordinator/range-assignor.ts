/** The `range` assignor: topic by topic, so that topics with equally many partitions go to their members alike. */
import type { Uuid } from '#model/ids';
import { AssignmentDraft, finished } from './assignment-draft.ts';
import type { AssignableMember, AssignableTopics, Assignor } from './assignors.ts';

/**
 * Of each topic every subscriber gets as many partitions, or one more. Members keep what they had as far as that
 * allows; the lowest numbers, so that topics that were alike stay alike.
 */
export const rangeAssignment: Assignor = (members, topics) => {
  const drafts = members.map((member) => new AssignmentDraft(member));
  const subscribers = new Map<Uuid, AssignmentDraft[]>();
  for (const draft of drafts) {
    for (const topicId of draft.member.topicIds) {
      const others = subscribers.get(topicId);
      if (others === undefined) subscribers.set(topicId, [draft]);
      else others.push(draft);
    }
  }
  for (const [topicId, of] of subscribers) assignTopic(topicId, of, topics);
  return finished(drafts);
};

function assignTopic(topicId: Uuid, subscribers: readonly AssignmentDraft[], topics: AssignableTopics): void {
  const count = topics.partitionCount(topicId);
  const share = Math.floor(count / subscribers.length);
  let extras = count % subscribers.length;
  const taken = new Set<number>();
  const unfilled: { readonly draft: AssignmentDraft; readonly missing: number }[] = [];
  for (const draft of subscribers) {
    // A log of which the end was lost may say that two had the same.
    const before = partitionsBefore(draft.member, topicId, count).filter((partition) => !taken.has(partition));
    const keepsExtra = before.length > share && extras > 0;
    if (keepsExtra) extras -= 1;
    const kept = before.slice(0, share + (keepsExtra ? 1 : 0));
    for (const partition of kept) {
      draft.add(topicId, partition);
      taken.add(partition);
    }
    if (!keepsExtra) unfilled.push({ draft, missing: share - kept.length });
  }
  let next = 0;
  for (const { draft, missing } of unfilled) {
    const extra = extras > 0 ? 1 : 0;
    extras -= extra;
    for (let left = missing + extra; left > 0; next += 1) {
      if (taken.has(next)) continue;
      draft.add(topicId, next);
      left -= 1;
    }
  }
}

function partitionsBefore(member: AssignableMember, topicId: Uuid, count: number): readonly number[] {
  const before = member.before.get(topicId);
  if (before === undefined) return [];
  return [...before].filter((partition) => partition >= 0 && partition < count).sort((a, b) => a - b);
}
