import type { Deadlines } from '#base/deadlines';
import type { Ports, Random } from '#base/ports';
import type { Instant, Outcome } from '#coordinator/effects';
import {
  failedConsumerHeartbeat,
  failedJoin,
  failedOffsetCommit,
  failedOffsetDelete,
  failedSync,
} from '#coordinator/failures';
import type {
  ConsumerHeartbeatCommand,
  ConsumerHeartbeatResponse,
  DeletedGroup,
  DescribedConsumerGroup,
  DescribedGroup,
  HeartbeatCommand,
  HeartbeatResponse,
  JoinGroupCommand,
  JoinGroupResponse,
  LeaveGroupCommand,
  LeaveGroupResponse,
  ListedGroup,
  ListGroupsCommand,
  OffsetCommitCommand,
  OffsetCommitResponse,
  OffsetDeleteCommand,
  OffsetDeleteResponse,
  OffsetFetchCommand,
  OffsetFetchResponse,
  SyncGroupCommand,
  SyncGroupResponse,
} from '#coordinator/group-commands';
import type { GroupConfig, MigrationPolicy } from '#coordinator/group-config';
import type { GroupShard, ObservedGroup } from '#coordinator/group-shard';
import type { MetadataDelta } from '#metadata/delta';
import type { MetadataImage } from '#metadata/image';
import { ResourceType } from '#metadata/records';
import type { NewTopic } from '#metadata/topics';
import type { BrokerConfig } from '#model/broker-config';
import { ErrorCode, type FailureCode } from '#model/errors';
import { consumerGroupSettings } from '#model/group-config';
import type { NodeId } from '#model/ids';
import { OFFSETS_TOPIC } from '#model/internal-topics';
import { ChangeWaiters } from './change-waiters.ts';
import type { WithinTransaction } from './coordinator-driver.ts';
import { GroupPartition } from './group-partition.ts';
import { HostedPartitions } from './hosted-partitions.ts';
import type { AppendOutcome, Partition } from './partition.ts';
import type { LeadershipObserver, PartitionTable } from './partition-table.ts';

export interface GroupHostParts {
  readonly ports: Pick<Ports, 'clock' | 'codecs' | 'logger' | 'random'>;
  readonly nodeId: NodeId;
  readonly image: MetadataImage;
  readonly partitions: Pick<PartitionTable, 'configOf' | 'quarantine'>;
  readonly deadlines: Deadlines;
  config(): BrokerConfig;
  /** Asks for the offsets topic (`offsetsTopic`) in the background; called at every request that misses it. */
  createOffsetsTopic(): void;
}

/** How long a request waits for groups that are about to be served; at most one of each connection. */
const SERVED_WITHIN_MS = 1_000;
/** How long one waits for the offsets topic, which may have to be made; at most one of each connection. */
const TOPIC_WITHIN_MS = 5_000;
/** How often it is asked and looked for. */
const TOPIC_LOOK_MS = 20;

/** A group whose coordinator is not here, or not ready. */
export interface UnservedGroup {
  readonly groupId: string;
  readonly errorCode: ErrorCode;
}

/**
 * The group coordinators of this node: one for each partition of __consumer_offsets that it leads. A group belongs to the partition
 * that its id hashes to. Subscribe it to the partition table before that leads anything.
 */
export class GroupHost implements LeadershipObserver {
  readonly #parts: GroupHostParts;
  readonly #random: Random;
  readonly #hosted: HostedPartitions<GroupPartition>;
  /** By partition of the offsets topic; undefined while it is not known. */
  readonly #serving: ChangeWaiters<number | undefined>;

  constructor(parts: GroupHostParts) {
    this.#parts = parts;
    this.#hosted = new HostedPartitions({
      name: OFFSETS_TOPIC,
      nodeId: parts.nodeId,
      image: parts.image,
      logger: parts.ports.logger,
      replicationFactor: () => parts.config().offsetsTopicReplicationFactor,
      factorConfig: 'offsets.topic.replication.factor',
      create: () => parts.createOffsetsTopic(),
    });
    this.#serving = new ChangeWaiters(parts.deadlines);
    this.#random = parts.ports.random.fork('groups');
  }

  ready(partition: Partition): void {
    if (partition.topic !== OFFSETS_TOPIC) return;
    const { ports, deadlines, partitions, config, image } = this.#parts;
    const hosted = new GroupPartition(partition, {
      clock: ports.clock,
      codecs: ports.codecs,
      logger: ports.logger,
      random: this.#random,
      deadlines,
      topics: image,
      groupConfig: () => groupConfig(config()),
      configOf: (groupId) => consumerGroupSettings(image.configs(ResourceType.Group, groupId), config()),
      commitTimeoutMs: () => config().offsetsCommitTimeoutMs,
      batchBytesMax: () => partitions.configOf(partition).maxMessageBytes,
      servingChanged: () => this.#serving.changed(partition.index),
      damaged: (reason) => void partitions.quarantine(partition, reason),
    });
    this.#hosted.add(partition.index, hosted);
  }

  resigning(partition: Partition): void {
    if (partition.topic === OFFSETS_TOPIC) this.#hosted.close(partition.index);
  }

  /**
   * The offsets committed for deleted topics are forgotten; groups that subscribe to changed ones get another target. Who waits for groups
   * to be served looks whether that is still to come.
   */
  topicsChanged({ topicsDeleted, topicsCreated, partitions, brokers }: MetadataDelta): void {
    if (topicsDeleted.length > 0) for (const hosted of this.#hosted.all()) hosted.topicsDeleted(topicsDeleted);
    const created = topicsCreated.map(({ name }) => name);
    const changed = new Set<string>();
    for (const { topic, partition, before, after } of partitions) {
      if (before === undefined || before.replicas !== after.replicas) changed.add(topic);
      if (topic === OFFSETS_TOPIC && before?.leader !== after.leader) this.#serving.changed(partition);
    }
    if (created.includes(OFFSETS_TOPIC)) this.#serving.changed(undefined);
    // With a broker its rack comes, or changes.
    const affected = brokers.length > 0 && this.#hasRacks ? 'all' : [...changed];
    if (created.length === 0 && affected.length === 0) return;
    for (const hosted of this.#hosted.all()) hosted.topicsChanged(created, affected);
  }

  /** Undefined while there is no coordinator: the client asks again, and meanwhile the offsets topic is made. */
  coordinatorOf(groupId: string): NodeId | undefined {
    return this.#hosted.coordinatorOf(groupId);
  }

  /** What is about to be served is waited for, see `servedPartition`: kafkajs ends its consumer where others try again. */
  async joinGroup(command: JoinGroupCommand): Promise<JoinGroupResponse> {
    const { groupId, memberId } = command;
    if (this.#hosted.of(groupId)?.error !== ErrorCode.None) await this.servedPartition(groupId);
    return this.#hosted.of(groupId)?.joinGroup(command) ?? failedJoin(memberId, this.#hosted.errorWithout(groupId));
  }

  syncGroup(command: SyncGroupCommand): Promise<SyncGroupResponse> {
    return this.#hosted.ask(command.groupId, (hosted) => hosted.syncGroup(command), failedSync);
  }

  heartbeat(command: HeartbeatCommand): HeartbeatResponse {
    const failed = (errorCode: ErrorCode) => ({ errorCode });
    const hosted = this.#hosted.of(command.groupId);
    const error = hosted?.error ?? this.#hosted.errorWithout(command.groupId);
    // While groups load, members are spared a rejoin, as in Kafka: their sessions begin anew afterwards.
    if (error === ErrorCode.CoordinatorLoadInProgress) return failed(ErrorCode.None);
    return hosted?.readNow((shard, now) => shard.heartbeat(command, now), failed) ?? failed(error);
  }

  consumerHeartbeat(command: ConsumerHeartbeatCommand): Promise<ConsumerHeartbeatResponse> {
    const failed = (errorCode: ErrorCode) => failedConsumerHeartbeat(errorCode, null);
    return this.#ask(command, (shard, now) => shard.consumerHeartbeat(command, now), failed);
  }

  leaveGroup(command: LeaveGroupCommand): Promise<LeaveGroupResponse> {
    const failed = (errorCode: ErrorCode) => ({ errorCode, members: [] });
    return this.#ask(command, (shard, now) => shard.leaveGroup(command, now), failed);
  }

  offsetCommit(command: OffsetCommitCommand): Promise<OffsetCommitResponse> {
    const failed = (error: ErrorCode) => failedOffsetCommit(command, error);
    return this.#ask(command, (shard, now) => shard.offsetCommit(command, now), failed);
  }

  /**
   * Which partition of the offsets topic holds the group's offsets; the topic is made if there is none, and waited for. Undefined: this
   * node has not heard of it in time.
   */
  async partitionOf(groupId: string): Promise<number | undefined> {
    const { ports, deadlines } = this.#parts;
    const until = ports.clock.now() + TOPIC_WITHIN_MS;
    for (;;) {
      const partition = this.#hosted.partitionOf(groupId);
      if (partition !== undefined) return partition;
      if (ports.clock.now() >= until) return undefined;
      this.coordinatorOf(groupId);
      await new Promise<void>((resolve) => deadlines.after(TOPIC_LOOK_MS, resolve));
    }
  }

  /**
   * The partition that holds the group's offsets, while its groups are served here. It may have been named as the coordinator by a broker
   * that heard of it first: what is about to be served is waited for, since kafkajs, which commits offsets in transactions, gives up at
   * an error that others try again after.
   */
  async servedPartition(groupId: string): Promise<Partition | FailureCode> {
    const { clock } = this.#parts.ports;
    const until = clock.now() + SERVED_WITHIN_MS;
    for (;;) {
      const hosted = this.#hosted.of(groupId);
      const served = hosted === undefined ? this.#hosted.errorWithout(groupId) : hosted.error || hosted.partition;
      const leftMs = until - clock.now();
      if (typeof served !== 'number' || leftMs <= 0) return served;
      const partition = this.#hosted.partitionOf(groupId);
      if (served !== ErrorCode.CoordinatorLoadInProgress && partition !== undefined) return served;
      await this.#serving.wait(partition, leftMs);
    }
  }

  /** Within a transaction that has been verified for `servedPartition`. */
  txnOffsetCommit(command: OffsetCommitCommand, transaction: WithinTransaction): Promise<OffsetCommitResponse> {
    const failed = (error: ErrorCode) => failedOffsetCommit(command, error);
    return this.#ask(command, (shard, now) => shard.txnOffsetCommit(command, now), failed, transaction);
  }

  /** See GroupPartition.endTransaction. */
  endTransaction(
    partition: number,
    producerId: number,
    aborted: boolean,
    append: () => AppendOutcome,
  ): Promise<ErrorCode> {
    const hosted = this.#hosted.at(partition);
    return hosted?.endTransaction(producerId, aborted, append) ?? Promise.resolve(ErrorCode.NotLeaderOrFollower);
  }

  offsetFetch(command: OffsetFetchCommand): Promise<OffsetFetchResponse> {
    const failed = (errorCode: ErrorCode) => ({ groupId: command.groupId, errorCode, topics: [] });
    const fetch = (hosted: GroupPartition) =>
      hosted.read((shard) => shard.offsetFetch(command), failed, [command.groupId]);
    return this.#hosted.ask(command.groupId, fetch, failed);
  }

  offsetDelete(command: OffsetDeleteCommand): Promise<OffsetDeleteResponse> {
    return this.#ask(command, (shard) => shard.offsetDelete(command), failedOffsetDelete);
  }

  /** The groups of this node; with an error, some are missing. */
  async listGroups(
    command: ListGroupsCommand,
  ): Promise<{ readonly errorCode: ErrorCode; readonly groups: readonly ListedGroup[] }> {
    const { errorCode, items } = await this.#hosted.list<ListedGroup>((hosted) =>
      hosted.read<readonly ListedGroup[] | ErrorCode>(
        (shard) => shard.listGroups(command),
        (error) => error,
      ),
    );
    return { errorCode, groups: items };
  }

  /** See GroupShard.observed: of all partitions that are served here. */
  *observed(): IterableIterator<ObservedGroup> {
    for (const hosted of this.#hosted.all()) yield* hosted.observed();
  }

  /** One answer per id, in their order. */
  describeGroups(groupIds: readonly string[]): Promise<readonly (DescribedGroup | UnservedGroup)[]> {
    return this.#eachPartition<DescribedGroup | UnservedGroup>(groupIds, (hosted, ids) =>
      hosted.read(
        (shard) => shard.describeGroups(ids),
        (errorCode) => unserved(ids, errorCode),
        ids,
      ),
    );
  }

  /** As describeGroups. */
  consumerGroupDescribe(groupIds: readonly string[]): Promise<readonly (DescribedConsumerGroup | UnservedGroup)[]> {
    return this.#eachPartition<DescribedConsumerGroup | UnservedGroup>(groupIds, (hosted, ids) =>
      hosted.read(
        (shard) => shard.consumerGroupDescribe(ids),
        (errorCode) => unserved(ids, errorCode),
        ids,
      ),
    );
  }

  /** As describeGroups. */
  deleteGroups(groupIds: readonly string[]): Promise<readonly DeletedGroup[]> {
    return this.#eachPartition(groupIds, (hosted, ids) =>
      hosted.ask(
        (shard) => shard.deleteGroups(ids),
        (errorCode) => unserved(ids, errorCode),
      ),
    );
  }

  #ask<Answer>(
    { groupId }: { readonly groupId: string },
    decide: (shard: GroupShard, now: Instant) => Outcome<Answer>,
    failed: (errorCode: ErrorCode) => Answer,
    transaction?: WithinTransaction,
  ): Promise<Answer> {
    return this.#hosted.ask(groupId, (hosted) => hosted.ask(decide, failed, transaction), failed);
  }

  /** Asks each partition once for the groups that are its own. */
  async #eachPartition<Answer extends { readonly groupId: string }>(
    groupIds: readonly string[],
    ask: (hosted: GroupPartition, ids: readonly string[]) => Promise<readonly (Answer | UnservedGroup)[]>,
  ): Promise<readonly (Answer | UnservedGroup)[]> {
    const byPartition = Map.groupBy(groupIds, (id) => this.#hosted.of(id));
    const answers = await Promise.all(
      [...byPartition].map(([hosted, ids]) =>
        hosted === undefined ? ids.map((id) => this.#unserved(id)) : ask(hosted, ids),
      ),
    );
    const byId = new Map(answers.flat().map((answer) => [answer.groupId, answer]));
    return groupIds.map((groupId) => byId.get(groupId) ?? { groupId, errorCode: ErrorCode.UnknownServerError });
  }

  get #hasRacks(): boolean {
    for (const { rack } of this.#parts.image.brokers.values()) if (rack !== null) return true;
    return false;
  }

  #unserved(groupId: string): UnservedGroup {
    return { groupId, errorCode: this.#hosted.errorWithout(groupId) };
  }
}

/** What __consumer_offsets is made as. */
export function offsetsTopic(config: BrokerConfig): NewTopic {
  return {
    name: OFFSETS_TOPIC,
    partitionCount: config.offsetsTopicNumPartitions,
    replicationFactor: config.offsetsTopicReplicationFactor,
    assignments: [],
    configs: new Map([
      ['cleanup.policy', 'compact'],
      ['compression.type', 'producer'],
      ['segment.bytes', String(config.offsetsTopicSegmentBytes)],
    ]),
  };
}

function unserved(groupIds: readonly string[], errorCode: ErrorCode): readonly UnservedGroup[] {
  return groupIds.map((groupId) => ({ groupId, errorCode }));
}

function groupConfig(config: BrokerConfig): GroupConfig {
  return {
    sessionTimeoutMsMin: config.groupMinSessionTimeoutMs,
    sessionTimeoutMsMax: config.groupMaxSessionTimeoutMs,
    groupSizeMax: config.groupMaxSize,
    initialRebalanceDelayMs: config.groupInitialRebalanceDelayMs,
    offsetMetadataSizeMax: config.offsetMetadataMaxBytes,
    offsetsRetentionMs: config.offsetsRetentionMinutes * 60_000,
    offsetsRetentionCheckIntervalMs: config.offsetsRetentionCheckIntervalMs,
    consumerGroupSizeMax: config.groupConsumerMaxSize,
    consumerAssignors: config.groupConsumerAssignors,
    migrationPolicy: config.groupConsumerMigrationPolicy.toLowerCase() as MigrationPolicy,
  };
}
