import type { Random } from '#base/ports';
import { type Fault, fault, isFault } from '#metadata/decision';
import { ErrorCode } from '#model/errors';
import { newUuid } from '#model/uuids';
import { NO_BYTES } from './bytes.ts';
import type { ClassicGroup } from './classic-group.ts';
import { heartbeatInConsumerGroup } from './classic-in-consumer.ts';
import type { ConsumerDecision } from './consumer-decision.ts';
import { leaveConsumerGroup, removeMembers } from './consumer-departure.ts';
import { ConsumerGroup } from './consumer-group.ts';
import { consumerHeartbeat, consumerHeartbeatError } from './consumer-heartbeat.ts';
import { describeConsumerGroup, describeUnknownConsumerGroup } from './consumer-queries.ts';
import { becomeConsumer } from './conversion.ts';
import { contained, type Instant, type Outcome, type Output, outcome, output } from './effects.ts';
import { failedConsumerHeartbeat, failedJoin } from './failures.ts';
import {
  type ConsumerHeartbeatCommand,
  type ConsumerHeartbeatResponse,
  type DescribedConsumerGroup,
  GroupType,
  type HeartbeatCommand,
} from './group-commands.ts';
import { type ConsumerGroupConfig, GROUPS_MAX, type GroupConfig, REGEX_MATCHES_PER_TICK } from './group-config.ts';
import { groupRecord, readGroupRecord } from './group-records.ts';
import { regexesResolved } from './regex-subscriptions.ts';
import { RegexResolution } from './topic-regex.ts';
import type { TopicsView } from './topics-view.ts';

export interface ConsumerGroupsParts {
  readonly config: GroupConfig;
  readonly random: Random;
  /** The image as it is at each decision. */
  readonly topics: TopicsView;
  /** What holds for one consumer group. */
  configOf(groupId: string): ConsumerGroupConfig;
}

type Groups = ReadonlyMap<string, { readonly group: ClassicGroup | ConsumerGroup }>;

/** What a shard does with its consumer groups: it owns the groups, and they change through its replay alone. */
export class ConsumerGroups {
  readonly #parts: ConsumerGroupsParts;
  readonly #groups: Groups;
  /** Groups whose regexes are to be resolved; the first one's are being. */
  readonly #unresolved = new Set<string>();
  #resolution: RegexResolution | undefined;
  /** When a topic was last created, as far as this shard knows. */
  #topicsVersion: number;

  constructor(parts: ConsumerGroupsParts, groups: Groups) {
    this.#parts = parts;
    this.#groups = groups;
    this.#topicsVersion = parts.topics.index;
  }

  /** Whether `resolveRegexes` has something to do. */
  get isResolving(): boolean {
    return this.#unresolved.size > 0;
  }

  heartbeat(command: ConsumerHeartbeatCommand, now: Instant): Outcome<ConsumerHeartbeatResponse> {
    const out = output();
    const present = this.#groups.get(command.groupId)?.group;
    const response =
      consumerHeartbeatError(command, this.#parts.config) ??
      contained(
        out,
        (found) => this.#heartbeat(command, now, found),
        () => decisionFailed(present),
      );
    if (isFault(response)) {
      return outcome(
        { ...output(), failure: out.failure },
        failedConsumerHeartbeat(response.errorCode, response.message),
      );
    }
    if (present?.kind === GroupType.Classic) releaseWaiting(present, out);
    return outcome(out, response);
  }

  /** Of a member that speaks the classic protocol; writes nothing. */
  classicHeartbeat(group: ConsumerGroup, command: HeartbeatCommand, now: Instant): ErrorCode {
    return heartbeatInConsumerGroup({ group, groupConfig: this.#parts.configOf(group.groupId), now }, command);
  }

  describe(groupIds: readonly string[]): readonly DescribedConsumerGroup[] {
    const { topics, config } = this.#parts;
    return groupIds.map((groupId) => {
      const group = this.#groups.get(groupId)?.group;
      if (group?.kind !== GroupType.Consumer) return describeUnknownConsumerGroup(groupId, group !== undefined);
      return describeConsumerGroup(group, topics, config.consumerAssignors[0] ?? '');
    });
  }

  /** Topics have come (`created`), or have other partitions, replicas or racks. Looks at every group once. */
  topicsChanged(created: readonly string[], changed: readonly string[] | 'all'): void {
    if (created.length > 0) this.#topicsVersion = this.#parts.topics.index;
    for (const { group } of this.#groups.values()) {
      if (group.kind !== GroupType.Consumer || group.refreshDue) continue;
      group.refreshDue =
        changed === 'all' || [created, changed].some((names) => names.some((name) => group.isSubscribedTo(name)));
    }
  }

  /** Removes the members whose time is over. */
  expire(group: ConsumerGroup, now: Instant, out: Output): void {
    const { sessionTimeoutMs } = this.#parts.configOf(group.groupId);
    const over = group.timers.due(
      now.mono,
      (memberId) => group.member(memberId),
      ({ classic, rebalanceTimeoutMs }) => ({
        sessionMs: classic?.sessionTimeoutMs ?? sessionTimeoutMs,
        rebalanceMs: rebalanceTimeoutMs,
      }),
    );
    const members = over.flatMap((memberId) => group.member(memberId) ?? []);
    if (members.length === 0) return;
    // Should it fail, they are due again.
    this.decide(
      group,
      now,
      out,
      (decision) => removeMembers(decision, members),
      () => {},
    );
  }

  /** A slice of the work. */
  resolveRegexes(now: Instant, out: Output): void {
    let left = REGEX_MATCHES_PER_TICK;
    for (const groupId of this.#unresolved) {
      const group = this.#groups.get(groupId)?.group;
      if (group?.kind === GroupType.Consumer) {
        this.#resolution ??= new RegexResolution(group.regexSubscribers.keys(), this.#parts.topics);
        left -= this.#resolution.step(left);
        if (!this.#resolution.isDone) return;
        const resolution = this.#resolution;
        // Should it fail, heartbeats ask for it again.
        this.decide(
          group,
          now,
          out,
          (decision) => regexesResolved(decision, resolution),
          () => {},
        );
      }
      this.#unresolved.delete(groupId);
      this.#resolution = undefined;
      if (left <= 0) return;
    }
  }

  /** A decision about one group, as `contained`; `failed` is told UNKNOWN_SERVER_ERROR. */
  decide<Response>(
    group: ConsumerGroup,
    now: Instant,
    out: Output,
    decide: (decision: ConsumerDecision) => Response,
    failed: (errorCode: ErrorCode) => Response,
  ): Response {
    return contained(
      out,
      (found) => decide(this.#decision(group, now, found)),
      () => failed(decisionFailed(group).errorCode),
    );
  }

  #decision(group: ConsumerGroup, now: Instant, out: Output): ConsumerDecision {
    const { groupId } = group;
    const { topics, config, configOf } = this.#parts;
    return {
      group,
      topics,
      config,
      groupConfig: configOf(groupId),
      now,
      out,
      resolveRegexes: () => this.#unresolved.add(groupId),
      topicsVersion: this.#topicsVersion,
    };
  }

  #heartbeat(command: ConsumerHeartbeatCommand, now: Instant, out: Output): ConsumerHeartbeatResponse | Fault {
    const { groupId, memberEpoch } = command;
    if (memberEpoch < 0) {
      const group = this.#groups.get(groupId)?.group;
      if (group?.kind !== GroupType.Consumer) return unknownGroup(groupId, group !== undefined);
      return leaveConsumerGroup(this.#decision(group, now, out), command);
    }
    const group = this.#groupOf(groupId, memberEpoch === 0, now, out);
    if (isFault(group)) return group;
    const memberId = command.memberId === '' ? newUuid(this.#parts.random) : command.memberId;
    return consumerHeartbeat(this.#decision(group, now, out), { ...command, memberId });
  }

  /** The group to beat in. One that is new, or still classic, becomes a consumer group with the records that are replayed. */
  #groupOf(groupId: string, joins: boolean, now: Instant, out: Output): ConsumerGroup | Fault {
    const present = this.#groups.get(groupId)?.group;
    if (present?.kind === GroupType.Consumer) return present;
    if (!joins) return unknownGroup(groupId, present !== undefined);
    if (present === undefined) {
      if (this.#groups.size < GROUPS_MAX) return new ConsumerGroup(groupId);
      return fault(ErrorCode.CoordinatorNotAvailable, 'The coordinator has as many groups as it can hold.');
    }
    // Also one whose first members left before their rebalance was over.
    if (present.memberCount === 0) {
      if (present.isPersisted) out.records.push(groupRecord(groupId, null));
      return new ConsumerGroup(groupId);
    }
    const { topics, config } = this.#parts;
    const records = becomeConsumer(present, topics, config);
    if (isFault(records)) return records;
    out.records.push(...records);
    const group = new ConsumerGroup(groupId);
    for (const record of records) {
      const read = readGroupRecord(record);
      if (read.kind === 'consumer') group.replay(read.change, now.wall);
    }
    return group;
  }
}

/** Those who wait in a group that is about to be another's kind: they join again, and are then served by that. */
function releaseWaiting(group: ClassicGroup, out: Output): void {
  for (const member of group.members.all()) {
    group.answerJoin(member, failedJoin(member.memberId, ErrorCode.RebalanceInProgress), out);
    group.answerSync(member, ErrorCode.RebalanceInProgress, NO_BYTES, out);
  }
}

function decisionFailed(group: ClassicGroup | ConsumerGroup | undefined): Fault {
  // What it knew of its topics may have been in what was decided.
  if (group?.kind === GroupType.Consumer) group.refreshDue = true;
  return fault(ErrorCode.UnknownServerError, 'The coordinator failed to decide.');
}

function unknownGroup(groupId: string, isOther: boolean): Fault {
  const message = isOther ? `Group ${groupId} is not a consumer group.` : `Consumer group ${groupId} not found.`;
  return fault(ErrorCode.GroupIdNotFound, message);
}
