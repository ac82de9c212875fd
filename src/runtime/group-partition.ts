import { assert } from '#base/assert';
import type { Random } from '#base/ports';
import type { Effects, Instant, Outcome, Reply, RequestToken } from '#coordinator/effects';
import { coordinatorError, failedJoin, failedSync } from '#coordinator/failures';
import type {
  JoinGroupCommand,
  JoinGroupResponse,
  SyncGroupCommand,
  SyncGroupResponse,
} from '#coordinator/group-commands';
import type { ConsumerGroupConfig, GroupConfig } from '#coordinator/group-config';
import { GroupShard, type ObservedGroup } from '#coordinator/group-shard';
import type { TopicsView } from '#coordinator/topics-view';
import { ErrorCode } from '#model/errors';
import type { Uuid } from '#model/ids';
import { CoordinatorDriver, type DriverWorld, type Send, type WithinTransaction } from './coordinator-driver.ts';
import type { AppendOutcome, Partition } from './partition.ts';

export interface GroupPartitionWorld extends DriverWorld {
  readonly random: Random;
  readonly topics: TopicsView;
  groupConfig(): GroupConfig;
  configOf(groupId: string): ConsumerGroupConfig;
  /** Its groups are served from now on, or no longer. */
  servingChanged(): void;
}

type TopicName = { readonly name: string; readonly id: Uuid };

/**
 * The groups of one partition of __consumer_offsets. Heartbeats alone are answered before what they rest on is durable: they tell of
 * sessions, which are memory anyway.
 */
export class GroupPartition {
  readonly partition: Partition;
  readonly #driver: CoordinatorDriver<GroupShard, Effects>;
  /** Parked requests by token: at most one per connection, as each waits for its answer before it sends more. */
  readonly #parked = new Map<RequestToken, (reply: Reply) => void>();
  /** Told to the shard once it is loaded; bounded by the topics that are deleted meanwhile. */
  #deletedTopics: TopicName[] = [];
  #lastToken: RequestToken = 0;

  constructor(partition: Partition, world: GroupPartitionWorld) {
    this.partition = partition;
    this.#driver = new CoordinatorDriver<GroupShard, Effects>(partition, world, {
      what: 'groups',
      newShard: () => {
        const { random, topics, configOf } = world;
        const { planted } = partition;
        return new GroupShard({ config: world.groupConfig(), random, topics, configOf, planted });
      },
      sends: ({ replies }) => replies.map((reply) => this.#unpark(reply)),
      loaded: () => {
        this.topicsDeleted(this.#deletedTopics.splice(0));
        world.servingChanged();
      },
      resigned: (shard, error) => {
        for (const reply of shard.resign(error)) this.#unpark(reply)(ErrorCode.None);
        world.servingChanged();
      },
    });
    this.#driver.open();
  }

  /** What a request is told instead of an answer; None while groups are served. */
  get error(): ErrorCode {
    return this.#driver.error;
  }

  /** Resolves with the shard's answer once it is committed, else with what `failed` makes of the error. */
  ask<Response>(
    decide: (shard: GroupShard, now: Instant) => Outcome<Response>,
    failed: (error: ErrorCode) => Response,
    transaction?: WithinTransaction,
  ): Promise<Response> {
    return this.#driver.ask(decide, failed, transaction);
  }

  /**
   * The end of a transaction with offsets of groups of this partition. `append` writes its marker, which decides on them at once; resolves
   * when it is committed. NOT_LEADER_OR_FOLLOWER while groups are not served: the coordinator comes again.
   */
  endTransaction(producerId: number, aborted: boolean, append: () => AppendOutcome): Promise<ErrorCode> {
    if (this.error !== ErrorCode.None) return Promise.resolve(ErrorCode.NotLeaderOrFollower);
    return this.#driver.endTransaction(producerId, aborted, append);
  }

  /** As `ask`, of what changes nothing, and rests on the records of these groups alone; undefined: on all. */
  read<Response>(
    answer: (shard: GroupShard) => Response,
    failed: (error: ErrorCode) => Response,
    groupIds?: readonly string[],
  ): Promise<Response> {
    return this.#driver.read(answer, failed, groupIds);
  }

  /** See GroupShard.observed; nothing while groups are not served. */
  observed(): Iterable<ObservedGroup> {
    return this.error === ErrorCode.None ? this.#driver.shard.observed() : [];
  }

  /** For answers that need not be durable. */
  readNow<Response>(
    answer: (shard: GroupShard, now: Instant) => Response,
    failed: (error: ErrorCode) => Response,
  ): Response {
    return this.#driver.readNow(answer, failed);
  }

  joinGroup(command: JoinGroupCommand): Promise<JoinGroupResponse> {
    return new Promise((resolve) => {
      if (this.error !== ErrorCode.None) return resolve(failedJoin(command.memberId, this.error));
      const token = this.#park((reply) => {
        assert(reply.kind === 'join', 'a join is answered as a join');
        resolve(reply.response);
      });
      this.#driver.run((shard, now) => shard.joinGroup(command, token, now));
    });
  }

  syncGroup(command: SyncGroupCommand): Promise<SyncGroupResponse> {
    return new Promise((resolve) => {
      if (this.error !== ErrorCode.None) return resolve(failedSync(this.error));
      const token = this.#park((reply) => {
        assert(reply.kind === 'sync', 'a sync is answered as a sync');
        resolve(reply.response);
      });
      this.#driver.run((shard, now) => shard.syncGroup(command, token, now));
    });
  }

  topicsDeleted(topics: readonly TopicName[]): void {
    if (topics.length === 0) return;
    if (this.error === ErrorCode.CoordinatorLoadInProgress) this.#deletedTopics.push(...topics);
    else if (this.error === ErrorCode.None) this.#driver.run((shard) => shard.topicsDeleted(topics));
  }

  /** See GroupShard.topicsChanged; a shard that is loaded later looks on its own. */
  topicsChanged(created: readonly string[], changed: readonly string[] | 'all'): void {
    if (this.error === ErrorCode.None) this.#driver.shard.topicsChanged(created, changed);
  }

  /** The partition goes away; what waits for its log is answered by the partition. */
  close(): void {
    this.#driver.close();
  }

  #park(send: (reply: Reply) => void): RequestToken {
    this.#lastToken += 1;
    this.#parked.set(this.#lastToken, send);
    return this.#lastToken;
  }

  /** How the reply is sent, or its failure. */
  #unpark(reply: Reply): Send {
    const send = this.#parked.get(reply.token);
    assert(send !== undefined, `a request is answered twice: ${reply.token}`);
    this.#parked.delete(reply.token);
    return (error) => send(error === ErrorCode.None ? reply : failedReply(reply, coordinatorError(error)));
  }
}

function failedReply(reply: Reply, errorCode: ErrorCode): Reply {
  if (reply.response.errorCode !== ErrorCode.None) return reply;
  return reply.kind === 'join'
    ? { kind: 'join', token: reply.token, response: failedJoin(reply.response.memberId, errorCode) }
    : { kind: 'sync', token: reply.token, response: failedSync(errorCode) };
}
