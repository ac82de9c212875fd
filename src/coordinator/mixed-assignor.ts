/** `uniform` for members that subscribe to different topics. */
import type { Uuid } from '#model/ids';
import { AssignmentDraft, finished, placesBefore } from './assignment-draft.ts';
import type { AssignableTopics, Assignor } from './assignors.ts';

/** Passes over all topics that even loads out; each move makes the loads more even, so few are ever needed. */
const PASSES_MAX = 16;

/**
 * Members keep what they had; what is free goes to the least loaded subscriber, topics with the fewest subscribers
 * first; then partitions move from a loaded member to another subscriber with at least two fewer, until none is left
 * to move.
 */
export const mixedAssignment: Assignor = (members, topics) => {
  const drafts = members.map((member) => new AssignmentDraft(member));
  const bySubscribers = subscribedTopics(drafts);
  const owners = new Map<Uuid, Map<number, AssignmentDraft>>();
  for (const { topicId } of bySubscribers) owners.set(topicId, new Map());
  for (const draft of drafts) {
    for (const { topicId, partition } of placesBefore(draft.member, topics)) {
      if (owners.get(topicId)?.has(partition) !== false) continue;
      draft.add(topicId, partition);
      owners.get(topicId)?.set(partition, draft);
    }
  }
  for (const { topicId, subscribers } of bySubscribers) {
    assignFree(topicId, subscribers, owners.get(topicId) ?? new Map(), topics);
  }
  for (let pass = 0; pass < PASSES_MAX; pass += 1) {
    let moved = 0;
    for (const { topicId, subscribers } of bySubscribers) moved += evenOut(topicId, subscribers);
    if (moved === 0) break;
  }
  return finished(drafts);
};

interface Subscribed {
  readonly topicId: Uuid;
  readonly subscribers: readonly AssignmentDraft[];
}

function subscribedTopics(drafts: readonly AssignmentDraft[]): readonly Subscribed[] {
  const subscribers = new Map<Uuid, AssignmentDraft[]>();
  for (const draft of drafts) {
    for (const topicId of draft.member.topicIds) {
      const others = subscribers.get(topicId);
      if (others === undefined) subscribers.set(topicId, [draft]);
      else others.push(draft);
    }
  }
  return [...subscribers]
    .map(([topicId, of]) => ({ topicId, subscribers: of }))
    .sort((a, b) => a.subscribers.length - b.subscribers.length || (a.topicId < b.topicId ? -1 : 1));
}

function assignFree(
  topicId: Uuid,
  subscribers: readonly AssignmentDraft[],
  owners: Map<number, AssignmentDraft>,
  topics: AssignableTopics,
): void {
  for (let partition = 0; partition < topics.partitionCount(topicId); partition += 1) {
    if (owners.has(partition)) continue;
    const racks = topics.racks(topicId, partition);
    let least: AssignmentDraft | undefined;
    for (const draft of subscribers) {
      const nearer = isNear(draft, racks) && least !== undefined && !isNear(least, racks);
      if (least === undefined || draft.size < least.size || (draft.size === least.size && nearer)) least = draft;
    }
    least?.add(topicId, partition);
  }
}

function isNear({ member: { rackId } }: AssignmentDraft, racks: ReadonlySet<string>): boolean {
  return rackId !== null && racks.has(rackId);
}

/** Moves partitions of one topic; returns how many. */
function evenOut(topicId: Uuid, subscribers: readonly AssignmentDraft[]): number {
  for (let moved = 0; ; moved += 1) {
    let least: AssignmentDraft | undefined;
    let most: AssignmentDraft | undefined;
    for (const draft of subscribers) {
      if (least === undefined || draft.size < least.size) least = draft;
      if (draft.of(topicId) !== undefined && (most === undefined || draft.size > most.size)) most = draft;
    }
    if (least === undefined || most === undefined || most.size - least.size < 2) return moved;
    const [partition] = most.of(topicId) ?? [];
    if (partition === undefined) return moved;
    most.remove(topicId, partition);
    least.add(topicId, partition);
  }
}
