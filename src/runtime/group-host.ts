import type { Deadlines } from '#base/deadlines';
import type { Ports, Random } from '#base/ports';
import { coordinatorPartition } from '#coordinator/coordinator-partition';
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
import type { ObservedGroup } from '#coordinator/group-shard';
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
import { errorWithoutHost } from './error-without-host.ts';
import { GroupPartition } from './group-partition.ts';
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
  /** By partition; as many as the offsets topic has here. */
  readonly #hosted = new Map<number, GroupPartition>();
  /** By partition of the offsets topic; undefined while it is not known. */
  readonly #serving: ChangeWaiters<number | undefined>;

  constructor(parts: GroupHostParts) {
    this.#parts = parts;
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
    this.#hosted.set(partition.index, hosted);
  }

  resigning(partition: Partition): void {
    if (partition.topic !== OFFSETS_TOPIC) return;
    this.#hosted.get(partition.index)?.close();
    this.#hosted.delete(partition.index);
  }

  /**
   * The offsets committed for deleted topics are forgotten; groups that subscribe to changed ones get another target. Who waits for groups
   * to be served looks whether that is still to come.
   */
  topicsChanged({ topicsDeleted, topicsCreated, partitions, brokers }: MetadataDelta): void {
    if (topicsDeleted.length > 0) for (const hosted of this.#hosted.values()) hosted.topicsDeleted(topicsDeleted);
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
    for (const hosted of this.#hosted.values()) hosted.topicsChanged(created, affected);
  }

  /** Undefined while there is no coordinator: the client asks again, and meanwhile the offsets topic is made. */
  coordinatorOf(groupId: string): NodeId | undefined {
    const topic = this.#parts.image.topic(OFFSETS_TOPIC);
    if (topic === undefined) {
      if (this.#hasBrokersForOffsets) this.#parts.createOffsetsTopic();
      return undefined;
    }
    const index = coordinatorPartition(groupId, topic.partitions.length);
    const leader = topic.partitions[index]?.leader ?? undefined;
    return leader === this.#parts.nodeId && !this.#hosted.has(index) ? undefined : leader;
  }

  /** What is about to be served is waited for, see `servedPartition`: kafkajs ends its consumer where others try again. */
  async joinGroup(command: JoinGroupCommand): Promise<JoinGroupResponse> {
    const { groupId, memberId } = command;
    if (this.#hostedFor(groupId)?.error !== ErrorCode.None) await this.servedPartition(groupId);
    return this.#hostedFor(groupId)?.joinGroup(command) ?? failedJoin(memberId, this.#errorWithout(groupId));
  }

  syncGroup(command: SyncGroupCommand): Promise<SyncGroupResponse> {
    const refused = () => Promise.resolve(failedSync(this.#errorWithout(command.groupId)));
    return this.#hostedFor(command.groupId)?.syncGroup(command) ?? refused();
  }

  heartbeat(command: HeartbeatCommand): HeartbeatResponse {
    const failed = (errorCode: ErrorCode) => ({ errorCode });
    const hosted = this.#hostedFor(command.groupId);
    const error = hosted?.error ?? this.#errorWithout(command.groupId);
    // While groups load, members are spared a rejoin, as in Kafka: their sessions begin anew afterwards.
    if (error === ErrorCode.CoordinatorLoadInProgress) return failed(ErrorCode.None);
    return hosted?.readNow((shard, now) => shard.heartbeat(command, now), failed) ?? failed(error);
  }

  consumerHeartbeat(command: ConsumerHeartbeatCommand): Promise<ConsumerHeartbeatResponse> {
    const failed = (errorCode: ErrorCode) => failedConsumerHeartbeat(errorCode, null);
    const hosted = this.#hostedFor(command.groupId);
    const refused = () => Promise.resolve(failed(this.#errorWithout(command.groupId)));
    return hosted?.ask((shard, now) => shard.consumerHeartbeat(command, now), failed) ?? refused();
  }

  leaveGroup(command: LeaveGroupCommand): Promise<LeaveGroupResponse> {
    const failed = (errorCode: ErrorCode) => ({ errorCode, members: [] });
    const hosted = this.#hostedFor(command.groupId);
    return (
      hosted?.ask((shard, now) => shard.leaveGroup(command, now), failed) ??
      Promise.resolve(failed(this.#errorWithout(command.groupId)))
    );
  }

  offsetCommit(command: OffsetCommitCommand): Promise<OffsetCommitResponse> {
    const failed = (error: ErrorCode) => failedOffsetCommit(command, error);
    const hosted = this.#hostedFor(command.groupId);
    return (
      hosted?.ask((shard, now) => shard.offsetCommit(command, now), failed) ??
      Promise.resolve(failed(this.#errorWithout(command.groupId)))
    );
  }

  /**
   * Which partition of the offsets topic holds the group's offsets; the topic is made if there is none, and waited for. Undefined: this
   * node has not heard of it in time.
   */
  async partitionOf(groupId: string): Promise<number | undefined> {
    const { ports, deadlines } = this.#parts;
    const until = ports.clock.now() + TOPIC_WITHIN_MS;
    for (;;) {
      const partition = this.#partitionOf(groupId);
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
      const hosted = this.#hostedFor(groupId);
      const served = hosted === undefined ? this.#errorWithout(groupId) : hosted.error || hosted.partition;
      const leftMs = until - clock.now();
      if (typeof served !== 'number' || leftMs <= 0) return served;
      const partition = this.#partitionOf(groupId);
      if (served !== ErrorCode.CoordinatorLoadInProgress && partition !== undefined) return served;
      await this.#serving.wait(partition, leftMs);
    }
  }

  /** Within a transaction that has been verified for `servedPartition`. */
  txnOffsetCommit(command: OffsetCommitCommand, transaction: WithinTransaction): Promise<OffsetCommitResponse> {
    const failed = (error: ErrorCode) => failedOffsetCommit(command, error);
    const hosted = this.#hostedFor(command.groupId);
    return (
      hosted?.ask((shard, now) => shard.txnOffsetCommit(command, now), failed, transaction) ??
      Promise.resolve(failed(this.#errorWithout(command.groupId)))
    );
  }

  /** See GroupPartition.endTransaction. */
  endTransaction(
    partition: number,
    producerId: number,
    aborted: boolean,
    append: () => AppendOutcome,
  ): Promise<ErrorCode> {
    const hosted = this.#hosted.get(partition);
    return hosted?.endTransaction(producerId, aborted, append) ?? Promise.resolve(ErrorCode.NotLeaderOrFollower);
  }

  offsetFetch(command: OffsetFetchCommand): Promise<OffsetFetchResponse> {
    const failed = (errorCode: ErrorCode) => ({ groupId: command.groupId, errorCode, topics: [] });
    const hosted = this.#hostedFor(command.groupId);
    const refused = () => Promise.resolve(failed(this.#errorWithout(command.groupId)));
    return hosted?.read((shard) => shard.offsetFetch(command), failed, [command.groupId]) ?? refused();
  }

  offsetDelete(command: OffsetDeleteCommand): Promise<OffsetDeleteResponse> {
    const hosted = this.#hostedFor(command.groupId);
    const refused = () => Promise.resolve(failedOffsetDelete(this.#errorWithout(command.groupId)));
    return hosted?.ask((shard) => shard.offsetDelete(command), failedOffsetDelete) ?? refused();
  }

  /** The groups of this node; with an error, some are missing. */
  async listGroups(
    command: ListGroupsCommand,
  ): Promise<{ readonly errorCode: ErrorCode; readonly groups: readonly ListedGroup[] }> {
    const lists = await Promise.all(
      [...this.#hosted.values()].map((hosted) =>
        hosted.read<readonly ListedGroup[] | ErrorCode>(
          (shard) => shard.listGroups(command),
          (error) => error,
        ),
      ),
    );
    const groups: ListedGroup[] = [];
    for (const list of lists) {
      if (typeof list !== 'number') groups.push(...list);
      // A partition that is not served has no groups here, as one that another node leads.
      else if (list !== ErrorCode.NotCoordinator) return { errorCode: list, groups: [] };
    }
    return { errorCode: ErrorCode.None, groups };
  }

  /** See GroupShard.observed: of all partitions that are served here. */
  *observed(): IterableIterator<ObservedGroup> {
    for (const hosted of this.#hosted.values()) yield* hosted.observed();
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

  /** Asks each partition once for the groups that are its own. */
  async #eachPartition<Answer extends { readonly groupId: string }>(
    groupIds: readonly string[],
    ask: (hosted: GroupPartition, ids: readonly string[]) => Promise<readonly (Answer | UnservedGroup)[]>,
  ): Promise<readonly (Answer | UnservedGroup)[]> {
    const byPartition = Map.groupBy(groupIds, (id) => this.#hostedFor(id));
    const answers = await Promise.all(
      [...byPartition].map(([hosted, ids]) =>
        hosted === undefined ? ids.map((id) => this.#unserved(id)) : ask(hosted, ids),
      ),
    );
    const byId = new Map(answers.flat().map((answer) => [answer.groupId, answer]));
    return groupIds.map((groupId) => byId.get(groupId) ?? { groupId, errorCode: ErrorCode.UnknownServerError });
  }

  /** Made with fewer brokers, the topic would be less safe than the cluster is meant to be, for as long as nobody changes it. */
  get #hasBrokersForOffsets(): boolean {
    const { image, config } = this.#parts;
    let unfenced = 0;
    for (const { fenced } of image.brokers.values()) if (!fenced) unfenced += 1;
    return unfenced >= config().offsetsTopicReplicationFactor;
  }

  get #hasRacks(): boolean {
    for (const { rack } of this.#parts.image.brokers.values()) if (rack !== null) return true;
    return false;
  }

  /** Of the offsets topic; undefined while there is none. */
  #partitionOf(groupId: string): number | undefined {
    const topic = this.#parts.image.topic(OFFSETS_TOPIC);
    return topic === undefined ? undefined : coordinatorPartition(groupId, topic.partitions.length);
  }

  #hostedFor(groupId: string): GroupPartition | undefined {
    const partition = this.#partitionOf(groupId);
    return partition === undefined ? undefined : this.#hosted.get(partition);
  }

  /** Of a group that nothing here holds: this node may lead its partition, and not be ready to serve it. */
  #errorWithout(groupId: string): FailureCode {
    return errorWithoutHost(this.#parts.image.topic(OFFSETS_TOPIC), groupId, this.#parts.nodeId);
  }

  #unserved(groupId: string): UnservedGroup {
    return { groupId, errorCode: this.#errorWithout(groupId) };
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
