/** Assignors on the coordinator's side: which member shall have which partitions. Pure, and the same at every call. */
import type { Uuid } from '#model/ids';
import type { Assignment } from './partition-sets.ts';
import { rangeAssignment } from './range-assignor.ts';
import { uniformAssignment } from './uniform-assignor.ts';

export interface AssignableMember {
  readonly memberId: string;
  readonly rackId: string | null;
  /** Topics that exist and that it subscribes to. */
  readonly topicIds: ReadonlySet<Uuid>;
  /** Its target so far. */
  readonly before: Assignment;
}

export interface AssignableTopics {
  /** 0 for a topic that is gone. */
  partitionCount(topicId: Uuid): number;
  /** Where the replicas are; empty if brokers have no racks. */
  racks(topicId: Uuid, partition: number): ReadonlySet<string>;
}

/** Every partition of a topic goes to exactly one of its subscribers. A member that gets nothing may be missing. */
export type Assignor = (members: readonly AssignableMember[], topics: AssignableTopics) => Map<string, Assignment>;

const ASSIGNORS: Readonly<Record<string, Assignor>> = { uniform: uniformAssignment, range: rangeAssignment };
/** What group.consumer.assignors may name, Kafka's default order. */
export const ASSIGNOR_NAMES: readonly string[] = Object.keys(ASSIGNORS);

export function assignorOf(name: string): Assignor | undefined {
  return Object.hasOwn(ASSIGNORS, name) ? ASSIGNORS[name] : undefined;
}
