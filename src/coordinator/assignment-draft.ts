import type { Uuid } from '#model/ids';
import type { AssignableMember, AssignableTopics } from './assignors.ts';
import type { Assignment } from './partition-sets.ts';

/** What one member is about to get. */
export class AssignmentDraft {
  readonly member: AssignableMember;
  readonly #topics = new Map<Uuid, Set<number>>();
  #size = 0;

  constructor(member: AssignableMember) {
    this.member = member;
  }

  /** Partitions, of all topics. */
  get size(): number {
    return this.#size;
  }

  get assignment(): Assignment {
    return this.#topics;
  }

  of(topicId: Uuid): ReadonlySet<number> | undefined {
    return this.#topics.get(topicId);
  }

  add(topicId: Uuid, partition: number): void {
    const partitions = this.#topics.get(topicId);
    if (partitions === undefined) this.#topics.set(topicId, new Set([partition]));
    else partitions.add(partition);
    this.#size += 1;
  }

  remove(topicId: Uuid, partition: number): void {
    const partitions = this.#topics.get(topicId);
    if (partitions?.delete(partition) !== true) return;
    this.#size -= 1;
    if (partitions.size === 0) this.#topics.delete(topicId);
  }
}

export interface Place {
  readonly topicId: Uuid;
  readonly partition: number;
}

export function finished(drafts: readonly AssignmentDraft[]): Map<string, Assignment> {
  return new Map(drafts.map(({ member, assignment }) => [member.memberId, assignment]));
}

/** What it had, as far as it still exists and it still subscribes to it. */
export function placesBefore(member: AssignableMember, topics: AssignableTopics): Place[] {
  const places: Place[] = [];
  for (const [topicId, partitions] of member.before) {
    if (!member.topicIds.has(topicId)) continue;
    const count = topics.partitionCount(topicId);
    for (const partition of partitions) {
      if (partition >= 0 && partition < count) places.push({ topicId, partition });
    }
  }
  return places;
}
