import { assert } from '#base/assert';
import type { Deadline, Deadlines } from '#base/deadlines';
import type { Clock, Codecs, Logger, Random } from '#base/ports';
import type { CoordinatorRecord, Effects, Instant, Outcome, Reply, RequestToken } from '#coordinator/effects';
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
import { ErrorCode, errorName } from '#model/errors';
import { type Offset, offset, type Uuid } from '#model/ids';
import { coordinatorBatches } from './coordinator-batches.ts';
import { GroupLoader } from './group-loader.ts';
import type { Partition } from './partition.ts';

export interface GroupPartitionWorld {
  readonly clock: Clock;
  readonly codecs: Codecs;
  readonly logger: Logger;
  readonly random: Random;
  readonly deadlines: Deadlines;
  readonly topics: TopicsView;
  groupConfig(): GroupConfig;
  configOf(groupId: string): ConsumerGroupConfig;
  /** offsets.commit.timeout.ms: how long an answer waits for durability. */
  commitTimeoutMs(): number;
  /** max.message.bytes of the partition's topic. */
  batchBytesMax(): number;
}

type TopicName = { readonly name: string; readonly id: Uuid };

/** 'failed': the log cannot be read; nothing is served until the partition is opened again. */
type State = 'loading' | 'serving' | 'failed' | 'closed';

/**
 * Carries out what the groups of one partition of __consumer_offsets decide: appends and replays their records, and sends each answer
 * once all that was replayed before it is durable. So nobody ever sees an offset or a generation that a crash takes back. Heartbeats
 * alone are answered at once: they tell of sessions, which are memory anyway.
 */
export class GroupPartition {
  readonly #partition: Partition;
  readonly #world: GroupPartitionWorld;
  /** Parked requests by token: at most one per connection, as each waits for its answer before it sends more. */
  readonly #parked = new Map<RequestToken, (reply: Reply) => void>();
  /** Told to the shard once it is loaded; bounded by the topics that are deleted meanwhile. */
  #deletedTopics: TopicName[] = [];
  #state: State = 'loading';
  #shard: GroupShard;
  #loader: GroupLoader | undefined;
  /** The last record that the shard has seen. */
  #last: Offset | undefined;
  #lastToken: RequestToken = 0;
  #wake: Deadline | undefined;

  constructor(partition: Partition, world: GroupPartitionWorld) {
    this.#partition = partition;
    this.#world = world;
    this.#shard = this.#newShard();
    this.#load();
  }

  /** What a request is told instead of an answer; None while groups are served. */
  get error(): ErrorCode {
    if (this.#state === 'loading') return ErrorCode.CoordinatorLoadInProgress;
    return this.#state === 'serving' && this.#partition.log !== undefined ? ErrorCode.None : ErrorCode.NotCoordinator;
  }

  /** Resolves with the shard's answer once it is committed, else with what `failed` makes of the error. */
  ask<Response>(
    decide: (shard: GroupShard, now: Instant) => Outcome<Response>,
    failed: (error: ErrorCode) => Response,
  ): Promise<Response> {
    return new Promise((resolve) => {
      if (this.error !== ErrorCode.None) return resolve(failed(this.error));
      const outcome = decide(this.#shard, this.#now());
      this.#carryOut(outcome, (error) =>
        resolve(error === ErrorCode.None ? outcome.response : failed(coordinatorError(error))),
      );
    });
  }

  /** As `ask`, of what changes nothing. */
  read<Response>(answer: (shard: GroupShard) => Response, failed: (error: ErrorCode) => Response): Promise<Response> {
    return this.ask((shard) => ({ records: [], replies: [], response: answer(shard) }), failed);
  }

  /** See GroupShard.observed; nothing while groups are not served. */
  observed(): Iterable<ObservedGroup> {
    return this.error === ErrorCode.None ? this.#shard.observed() : [];
  }

  /** For answers that need not be durable. */
  readNow<Response>(
    answer: (shard: GroupShard, now: Instant) => Response,
    failed: (error: ErrorCode) => Response,
  ): Response {
    if (this.error !== ErrorCode.None) return failed(this.error);
    const response = answer(this.#shard, this.#now());
    this.#arm();
    return response;
  }

  joinGroup(command: JoinGroupCommand): Promise<JoinGroupResponse> {
    return new Promise((resolve) => {
      if (this.error !== ErrorCode.None) return resolve(failedJoin(command.memberId, this.error));
      const token = this.#park((reply) => {
        assert(reply.kind === 'join', 'a join is answered as a join');
        resolve(reply.response);
      });
      this.#carryOut(this.#shard.joinGroup(command, token, this.#now()));
    });
  }

  syncGroup(command: SyncGroupCommand): Promise<SyncGroupResponse> {
    return new Promise((resolve) => {
      if (this.error !== ErrorCode.None) return resolve(failedSync(this.error));
      const token = this.#park((reply) => {
        assert(reply.kind === 'sync', 'a sync is answered as a sync');
        resolve(reply.response);
      });
      this.#carryOut(this.#shard.syncGroup(command, token, this.#now()));
    });
  }

  topicsDeleted(topics: readonly TopicName[]): void {
    if (this.#state === 'loading') this.#deletedTopics.push(...topics);
    else if (this.error === ErrorCode.None) this.#carryOut(this.#shard.topicsDeleted(topics));
  }

  /** See GroupShard.topicsChanged; a shard that is loaded later looks on its own. */
  topicsChanged(created: readonly string[], changed: readonly string[] | 'all'): void {
    if (this.error === ErrorCode.None) this.#shard.topicsChanged(created, changed);
  }

  /** The partition goes away; what waits for its log is answered by the partition. */
  close(): void {
    this.#resign('closed', ErrorCode.NotCoordinator);
  }

  #newShard(): GroupShard {
    const { random, topics, configOf } = this.#world;
    return new GroupShard({ config: this.#world.groupConfig(), random, topics, configOf });
  }

  #load(): void {
    const { log } = this.#partition;
    if (log === undefined) {
      this.#state = 'failed';
      return;
    }
    const loader = new GroupLoader(log, this.#shard, this.#world, (result) => {
      this.#loader = undefined;
      switch (result) {
        case 'loaded':
          this.#loaded(loader.end);
          return;
        case 'moved':
          this.#loadAgain();
          return;
        default:
          this.#state = 'failed';
      }
    });
    this.#loader = loader;
    loader.start();
  }

  #loaded(end: Offset): void {
    this.#state = 'serving';
    this.#last = end === 0 ? undefined : offset(end - 1);
    const deleted = this.#deletedTopics;
    this.#deletedTopics = [];
    this.#carryOut(this.#shard.loaded(this.#now()));
    if (deleted.length > 0) this.topicsDeleted(deleted);
  }

  /** In a turn of its own: whoever reports a loss has not finished it yet. */
  #loadAgain(): void {
    this.#state = 'loading';
    this.#shard = this.#newShard();
    this.#last = undefined;
    const shard = this.#shard;
    this.#world.clock.defer(() => {
      if (this.#shard === shard && this.#state === 'loading') this.#load();
    });
  }

  /** `answer` is told when the response of these effects may be sent, or why it must not. */
  #carryOut(effects: Effects, answer?: (error: ErrorCode) => void): void {
    const appendError = this.#append(effects.records);
    if (appendError === ErrorCode.None) {
      this.#settle(effects, answer);
    } else {
      answer?.(appendError);
      const instead = this.#shard.refused(effects, appendError, this.#now());
      const again = this.#append(instead.records);
      this.#settle(instead, undefined);
      // What stands in for refused records is refused as well: only the log knows the groups now.
      if (again !== ErrorCode.None) this.#lost(this.#shard, again);
    }
    this.#arm();
  }

  /** Appends the records as one write and replays them. */
  #append(records: readonly CoordinatorRecord[]): ErrorCode {
    if (records.length === 0) return ErrorCode.None;
    const { clock, codecs } = this.#world;
    const batches = coordinatorBatches(records, clock.wall(), this.#world.batchBytesMax(), codecs);
    if (batches === 'too-large') return ErrorCode.RecordListTooLarge;
    if (this.#partition.leadership?.isUnderMinIsr === true) return ErrorCode.NotEnoughReplicas;
    const appended = this.#partition.append(batches.bytes, batches.headers);
    if (appended.error !== ErrorCode.None) return appended.error;
    for (const record of records) this.#shard.replay(record);
    this.#last = appended.lastOffset;
    return ErrorCode.None;
  }

  /** Sends replies and answer when all that the shard has seen is durable; if it never will be, the shard begins anew from the log. */
  #settle(effects: Effects, answer: ((error: ErrorCode) => void) | undefined): void {
    const sends = effects.replies.map((reply) => this.#unpark(reply));
    if (answer !== undefined) sends.push(answer);
    const last = this.#last;
    if (last === undefined || (effects.records.length === 0 && sends.length === 0)) {
      for (const send of sends) send(ErrorCode.None);
      return;
    }
    const shard = this.#shard;
    let waiting: readonly ((error: ErrorCode) => void)[] = sends;
    let deadline: Deadline | undefined;
    let known = false;
    const finish = (error: ErrorCode): void => {
      const due = waiting;
      waiting = [];
      for (const send of due) send(error);
    };
    this.#partition.whenCommitted(last, (error) => {
      known = true;
      if (deadline !== undefined) this.#world.deadlines.cancel(deadline);
      if (error !== ErrorCode.None) this.#lost(shard, error);
      finish(error);
    });
    if (!known && sends.length > 0) {
      deadline = this.#world.deadlines.after(this.#world.commitTimeoutMs(), () => finish(ErrorCode.RequestTimedOut));
    }
  }

  /** Records that the shard has seen are not in the log. */
  #lost(shard: GroupShard, error: ErrorCode): void {
    if (this.#shard !== shard || this.#state !== 'serving') return;
    const { topic, index } = this.#partition;
    this.#world.logger.warn(
      { topic, partition: index, error: errorName(error) },
      'groups lost records: they are loaded again from the log',
    );
    this.#resign('failed', coordinatorError(error));
    if (this.#partition.log !== undefined) this.#loadAgain();
  }

  #resign(state: 'failed' | 'closed', error: ErrorCode): void {
    this.#state = state;
    this.#loader?.cancel();
    this.#loader = undefined;
    if (this.#wake !== undefined) this.#world.deadlines.cancel(this.#wake);
    this.#wake = undefined;
    for (const reply of this.#shard.resign(error)) this.#unpark(reply)(ErrorCode.None);
  }

  #park(send: (reply: Reply) => void): RequestToken {
    this.#lastToken += 1;
    this.#parked.set(this.#lastToken, send);
    return this.#lastToken;
  }

  /** How the reply is sent, or its failure. */
  #unpark(reply: Reply): (error: ErrorCode) => void {
    const send = this.#parked.get(reply.token);
    assert(send !== undefined, `a request is answered twice: ${reply.token}`);
    this.#parked.delete(reply.token);
    return (error) => send(error === ErrorCode.None ? reply : failedReply(reply, coordinatorError(error)));
  }

  #arm(): void {
    if (this.#state !== 'serving') return;
    const { clock, deadlines } = this.#world;
    const next = this.#shard.nextDeadline();
    // One that comes too early costs a look; moving it at each heartbeat would cost more.
    if (next === Number.POSITIVE_INFINITY || (this.#wake !== undefined && this.#wake.at <= next)) return;
    if (this.#wake !== undefined) deadlines.cancel(this.#wake);
    // Never at once: a long piece of work is done in slices, with turns of others between them.
    const wake = deadlines.after(Math.max(1, next - clock.now()), () => {
      this.#wake = undefined;
      this.#carryOut(this.#shard.tick(this.#now(), Math.max(0, clock.now() - wake.at)));
    });
    this.#wake = wake;
  }

  #now(): Instant {
    return { mono: this.#world.clock.now(), wall: this.#world.clock.wall() };
  }
}

function failedReply(reply: Reply, errorCode: ErrorCode): Reply {
  if (reply.response.errorCode !== ErrorCode.None) return reply;
  return reply.kind === 'join'
    ? { kind: 'join', token: reply.token, response: failedJoin(reply.response.memberId, errorCode) }
    : { kind: 'sync', token: reply.token, response: failedSync(errorCode) };
}
