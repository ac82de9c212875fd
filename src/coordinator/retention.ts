/** Which committed offsets are kept for how long (KIP-211). */
import type { Mono, Timestamp } from '#base/ports';
import type { ClassicGroup } from './classic-group.ts';
import type { ConsumerGroup } from './consumer-group.ts';
import { CONSUMER_PROTOCOL_TYPE } from './consumer-protocol.ts';
import type { Instant, Output } from './effects.ts';
import { GroupState, GroupType } from './group-commands.ts';
import { type GroupConfig, RETENTION_STEPS_PER_TICK } from './group-config.ts';
import { type CommittedOffset, offsetRecord } from './group-records.ts';
import { deleteGroup } from './offset-deletion.ts';
import type { GroupOffsets } from './offsets.ts';
import type { TransactionalOffsets } from './transactional-offsets.ts';

interface Kept {
  readonly group: ClassicGroup | ConsumerGroup;
  readonly offsets: GroupOffsets;
}

/** The look through all groups, every offsets.retention.check.interval.ms, in slices. */
export class Retention {
  readonly #config: GroupConfig;
  #dueAt: Mono;
  /** Where the next slice goes on; a Map's iterator bears that groups come and go. */
  #rest: Iterator<Kept> | undefined;

  constructor(config: GroupConfig, now: Mono) {
    this.#config = config;
    this.#dueAt = now + config.offsetsRetentionCheckIntervalMs;
  }

  /** In the past while a look goes on. */
  get nextDueAt(): Mono {
    return this.#rest === undefined ? this.#dueAt : 0;
  }

  /**
   * One slice, if it is due: tombstones for what has expired, and for groups that have neither members nor offsets
   * left. What an open transaction may change stays, and its group with it.
   */
  run(groups: ReadonlyMap<string, Kept>, pending: TransactionalOffsets, now: Instant, out: Output): void {
    if (this.#rest === undefined) {
      if (now.mono < this.#dueAt) return;
      this.#dueAt = now.mono + this.#config.offsetsRetentionCheckIntervalMs;
      this.#rest = groups.values();
    }
    for (let steps = 0; steps < RETENTION_STEPS_PER_TICK; ) {
      const next = this.#rest.next();
      if (next.done === true) {
        this.#rest = undefined;
        return;
      }
      const { group, offsets } = next.value;
      const expiry = expireOffsets(group, offsets, pending, this.#config.offsetsRetentionMs, now.wall, out);
      const isLeft = expiry.left || pending.hasPending(group.groupId);
      if (!isLeft && group.isDeserted) deleteGroup(group, undefined, pending, out);
      steps += expiry.steps;
    }
  }
}

/**
 * Tombstones for the offsets that have expired; says whether any is left, and how many it looked at. An offset lives
 * for the retention
 * - from its commit, in a group that never had members (simple consumers), and for topics that a stable group of
 *   consumers, or a consumer group with members, no longer subscribes to;
 * - from when its group became empty, or from its commit if that is later (also of consumer groups, where Kafka's lose at
 *   once what was committed long ago, though they consumed until they stopped for a moment);
 * and otherwise as long as its group. An expiry that the commit asked for itself (OffsetCommit v2 to v4) counts in
 * place of the retention.
 */
function expireOffsets(
  group: ClassicGroup | ConsumerGroup,
  offsets: GroupOffsets,
  pending: TransactionalOffsets,
  retentionMs: number,
  now: Timestamp,
  out: Output,
): { readonly left: boolean; readonly steps: number } {
  const rule = expiryRule(group);
  if (rule === 'never') return { left: !offsets.isEmpty, steps: 1 };
  const emptySince = rule === 'since-empty' ? stateSince(group) : 0;
  let left = false;
  let steps = 1;
  for (const [topic, partitions] of offsets.topics()) {
    steps += partitions.size;
    if (group.isSubscribedTo(topic)) {
      left = true;
      continue;
    }
    for (const [partition, value] of partitions) {
      const isPending = pending.isPending(group.groupId, topic, partition);
      if (!isPending && hasExpired(value, emptySince, retentionMs, now)) {
        out.records.push(offsetRecord(group.groupId, topic, partition, null));
      } else {
        left = true;
      }
    }
  }
  return { left, steps };
}

function expiryRule(group: ClassicGroup | ConsumerGroup): 'since-commit' | 'since-empty' | 'never' {
  if (group.kind === GroupType.Consumer) return group.memberCount === 0 ? 'since-empty' : 'since-commit';
  if (group.protocolType === null) return 'since-commit';
  if (group.state === GroupState.Empty) return 'since-empty';
  const subscriptionsKnown = group.protocolType === CONSUMER_PROTOCOL_TYPE && group.subscribedTopics !== undefined;
  return subscriptionsKnown && group.state === GroupState.Stable ? 'since-commit' : 'never';
}

function stateSince(group: ClassicGroup | ConsumerGroup): Timestamp {
  return group.kind === GroupType.Classic ? group.stateSince : group.epochSince;
}

function hasExpired(value: CommittedOffset, emptySince: Timestamp, retentionMs: number, now: Timestamp): boolean {
  if (value.expiresAt !== -1) return now >= value.expiresAt;
  return now - Math.max(value.committedAt, emptySince) >= retentionMs;
}
