/** Elections that are asked for (KIP-460), and the return of leaders to their preferred replicas. */
import { ErrorCode } from '#model/errors';
import { partitionName, type Uuid } from '#model/ids';
import {
  type ControllerState,
  type Decision,
  type Fault,
  fault,
  isFault,
  OK,
  type Outcome,
  RECORDS_PER_REQUEST_MAX,
} from './decision.ts';
import type { MetadataImage, Topic } from './image.ts';
import { changePartition } from './partition-change.ts';
import type { Partition, PartitionChangeRecord } from './records.ts';
import { DecisionRules } from './topic-rules.ts';

/** The wire's numbers. */
export const ElectionType = { Preferred: 0, Unclean: 1 } as const;
export type ElectionType = (typeof ElectionType)[keyof typeof ElectionType];

export interface PartitionReference {
  readonly topic: string;
  readonly partition: number;
}

export interface ElectLeadersCommand {
  /** One of ElectionType; anything else is refused. */
  readonly type: number;
  /** Null: all of them; then those that need none are left out of the answer. */
  readonly partitions: readonly PartitionReference[] | null;
}

export interface ElectedLeader extends Outcome, PartitionReference {}

export interface ElectedLeaders extends Outcome {
  /** In the order of the request; empty with an error. */
  readonly partitions: readonly ElectedLeader[];
}

/** Repeatable: what was elected the first time needs no election. */
export function electLeaders(state: ControllerState, command: ElectLeadersCommand): Decision<ElectedLeaders> {
  const { type } = command;
  if (type !== ElectionType.Preferred && type !== ElectionType.Unclean) {
    const unknown = fault(ErrorCode.InvalidRequest, `Unknown election type ${type}.`);
    return { records: [], response: { ...unknown, partitions: [] } };
  }
  const rules = new DecisionRules(state);
  const records: PartitionChangeRecord[] = [];
  const partitions: ElectedLeader[] = [];
  const seen = new Set<string>();
  for (const { topic, partition } of command.partitions ?? everyPartition(state.image)) {
    const name = partitionName(topic, partition);
    const elected = seen.has(name)
      ? fault(ErrorCode.InvalidRequest, 'The partition is in the request twice.')
      : electLeader(state.image.topic(topic), { topic, partition }, type, rules);
    seen.add(name);
    const isNeedless = isFault(elected) && elected.errorCode === ErrorCode.ElectionNotNeeded;
    if (isNeedless && command.partitions === null) continue;
    if (isFault(elected)) partitions.push({ topic, partition, ...elected });
    else if (records.length === RECORDS_PER_REQUEST_MAX) {
      const message = 'Too many elections for one request: the others have been carried out.';
      partitions.push({ topic, partition, ...fault(ErrorCode.ThrottlingQuotaExceeded, message) });
    } else {
      records.push(elected);
      partitions.push({ topic, partition, ...OK });
    }
  }
  return { records, response: { ...OK, partitions } };
}

export interface BalanceLeadersCommand {
  /** Directories that leaders do not return to: they have no room, or had none a moment ago. */
  readonly fullDirectories?: readonly Uuid[];
  /** Leaders stay where they are (auto.leader.rebalance.enable is false): only what has none gets one. */
  readonly leaderlessOnly?: boolean;
  /** At most so many partitions change in one entry. */
  readonly changesMax: number;
}

export interface BalancedLeaders extends Outcome {
  readonly changed: number;
  /** There are others: ask again. */
  readonly isPartial: boolean;
}

/**
 * Leaders return to preferred replicas that are in sync, and what has no leader gets one if its topic has come to allow an unclean
 * election. Looks at every partition. Repeatable.
 */
export function balanceLeaders(state: ControllerState, command: BalanceLeadersCommand): Decision<BalancedLeaders> {
  const rules = new DecisionRules(state);
  const returning = new DecisionRules(state, { full: new Set(command.fullDirectories ?? []) });
  const records: PartitionChangeRecord[] = [];
  const answer = (isPartial: boolean) => ({ records, response: { ...OK, changed: records.length, isPartial } });
  for (const topic of state.image.topics()) {
    for (const partition of topic.partitions) {
      const { leader, replicas } = partition;
      if (leader === replicas[0] || (leader !== null && command.leaderlessOnly === true)) continue;
      const ofPartition =
        leader === null ? rules.ofPartition(topic.name) : returning.ofPartition(topic.name, 'preferred');
      const change = changePartition(topic.id, partition, {}, ofPartition);
      if (change === undefined || change.leader === null) continue;
      if (records.length >= command.changesMax) return answer(true);
      records.push(change);
    }
  }
  return answer(false);
}

function electLeader(
  topic: Topic | undefined,
  { topic: name, partition }: PartitionReference,
  type: ElectionType,
  rules: DecisionRules,
): PartitionChangeRecord | Fault {
  if (topic === undefined) return fault(ErrorCode.UnknownTopicOrPartition, `No such topic as ${name}`);
  const state: Partition | undefined = topic.partitions[partition];
  if (state === undefined) {
    return fault(ErrorCode.UnknownTopicOrPartition, `No such partition as ${name}-${partition}`);
  }
  const isPreferred = type === ElectionType.Preferred;
  if (isPreferred ? state.leader === state.replicas[0] : state.leader !== null) {
    return fault(ErrorCode.ElectionNotNeeded, 'Leader election not needed for topic partition.');
  }
  const election = isPreferred ? 'preferred' : 'unclean';
  const change = changePartition(topic.id, state, {}, rules.ofPartition(name, election));
  if (change !== undefined && change.leader !== null) return change;
  return isPreferred
    ? fault(ErrorCode.PreferredLeaderNotAvailable, 'The preferred leader was not available.')
    : fault(ErrorCode.EligibleLeadersNotAvailable, 'Eligible topic partition leaders are not available.');
}

function* everyPartition(image: MetadataImage): IterableIterator<PartitionReference> {
  for (const { name, partitions } of image.topics())
    for (const { partition } of partitions) yield { topic: name, partition };
}
