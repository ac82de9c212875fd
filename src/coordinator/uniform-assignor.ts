/** The `uniform` assignor: equally many partitions for everybody, of whatever topic, moving as few as that takes. */
import { assert } from '#base/assert';
import type { Uuid } from '#model/ids';
import { AssignmentDraft, finished, type Place, placesBefore } from './assignment-draft.ts';
import type { AssignableMember, AssignableTopics, Assignor } from './assignors.ts';
import { mixedAssignment } from './mixed-assignor.ts';
import { isSubset } from './partition-sets.ts';

export const uniformAssignment: Assignor = (members, topics) =>
  areAlike(members) ? alikeAssignment(members, topics) : mixedAssignment(members, topics);

function areAlike(members: readonly AssignableMember[]): boolean {
  const first = members[0]?.topicIds;
  if (first === undefined) return true;
  return members.every(
    ({ topicIds }) => topicIds === first || (topicIds.size === first.size && isSubset(topicIds, first)),
  );
}

/** All subscribe to the same: everybody gets the same number, or one more. */
function alikeAssignment(members: readonly AssignableMember[], topics: AssignableTopics) {
  const drafts = members.map((member) => new AssignmentDraft(member));
  const topicIds = [...(members[0]?.topicIds ?? [])].sort();
  const total = topicIds.reduce((sum, topicId) => sum + topics.partitionCount(topicId), 0);
  const taken = new Map<Uuid, Set<number>>(topicIds.map((topicId) => [topicId, new Set()]));
  const unfilled: Unfilled[] = [];
  for (const { draft, places: before, quota } of quotas(drafts, topics, total)) {
    // A log of which the end was lost may say that two had the same.
    const places = before.filter(({ topicId, partition }) => taken.get(topicId)?.has(partition) !== true);
    // What has to go is what lies in another rack, if anything does.
    const kept = places.length <= quota ? places : nearFirst(places, draft.member, topics).slice(0, quota);
    for (const { topicId, partition } of kept) {
      draft.add(topicId, partition);
      taken.get(topicId)?.add(partition);
    }
    if (kept.length < quota) unfilled.push({ draft, missing: quota - kept.length });
  }
  const free: Place[] = [];
  for (const topicId of topicIds) {
    for (let partition = 0; partition < topics.partitionCount(topicId); partition += 1) {
      if (taken.get(topicId)?.has(partition) !== true) free.push({ topicId, partition });
    }
  }
  fill(unfilled, fillNear(unfilled, free, topics));
  return finished(drafts);
}

interface Unfilled {
  readonly draft: AssignmentDraft;
  missing: number;
}

/** Those who have most keep one more where one more is to be had: nothing moves that need not. */
function quotas(drafts: readonly AssignmentDraft[], topics: AssignableTopics, total: number) {
  const share = Math.floor(total / Math.max(1, drafts.length));
  const extras = total % Math.max(1, drafts.length);
  return drafts
    .map((draft) => ({ draft, places: placesBefore(draft.member, topics) }))
    .sort((a, b) => b.places.length - a.places.length)
    .map((each, index) => ({ ...each, quota: share + (index < extras ? 1 : 0) }));
}

function nearFirst(places: readonly Place[], { rackId }: AssignableMember, topics: AssignableTopics): readonly Place[] {
  if (rackId === null) return places;
  const isNear = ({ topicId, partition }: Place) => topics.racks(topicId, partition).has(rackId);
  return [...places.filter(isNear), ...places.filter((place) => !isNear(place))];
}

/** Gives partitions to members in whose rack there is a replica, while they may have more; returns the others. */
function fillNear(unfilled: readonly Unfilled[], free: readonly Place[], topics: AssignableTopics): readonly Place[] {
  const byRack = Map.groupBy(
    unfilled.filter(({ draft }) => draft.member.rackId !== null),
    ({ draft }) => draft.member.rackId ?? '',
  );
  if (byRack.size === 0) return free;
  return free.filter(({ topicId, partition }) => {
    for (const rack of topics.racks(topicId, partition)) {
      const here = byRack.get(rack);
      const last = here?.at(-1);
      if (here === undefined || last === undefined) continue;
      last.draft.add(topicId, partition);
      last.missing -= 1;
      if (last.missing === 0) here.pop();
      return false;
    }
    return true;
  });
}

function fill(unfilled: readonly Unfilled[], free: readonly Place[]): void {
  let next = 0;
  for (const { draft, missing } of unfilled) {
    for (const { topicId, partition } of free.slice(next, next + missing)) draft.add(topicId, partition);
    next += missing;
  }
  assert(next === free.length, 'quotas and partitions do not agree');
}
