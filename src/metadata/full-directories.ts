/** Leaders leave log directories that have no room, where another in-sync replica has some. */
import type { Uuid } from '#model/ids';
import { type ControllerState, type Decision, OK } from './decision.ts';
import type { BalancedLeaders } from './elect-leaders.ts';
import { changePartition } from './partition-change.ts';
import type { PartitionChangeRecord } from './records.ts';
import { DecisionRules } from './topic-rules.ts';

export interface LeaveFullDirectoriesCommand {
  /** Of all brokers. */
  readonly directories: readonly Uuid[];
  /** At most so many partitions change in one entry. */
  readonly changesMax: number;
}

/**
 * A leader in a full directory takes no writes, though nothing is wrong with what it has: it makes way for an in-sync replica elsewhere,
 * stays in sync as long as it keeps up, and stays leader where every other one is full or away. Looks at every partition. Repeatable.
 */
export function leaveFullDirectories(
  state: ControllerState,
  { directories, changesMax }: LeaveFullDirectoriesCommand,
): Decision<BalancedLeaders> {
  const rules = new DecisionRules(state, { full: new Set(directories) });
  const records: PartitionChangeRecord[] = [];
  const answer = (isPartial: boolean) => ({ records, response: { ...OK, changed: records.length, isPartial } });
  for (const topic of state.image.topics()) {
    for (const partition of topic.partitions) {
      const { leader } = partition;
      if (leader === null || !rules.electorate.isFull(leader, partition)) continue;
      const change = changePartition(topic.id, partition, {}, rules.ofPartition(topic.name, 'online'));
      if (change === undefined || change.leader === null) continue;
      if (records.length >= changesMax) return answer(true);
      records.push(change);
    }
  }
  return answer(false);
}
