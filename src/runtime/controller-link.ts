import type { Deadlines } from '#base/deadlines';
import { Fifo } from '#base/fifo';
import type { Clock } from '#base/ports';
import { type CommandOf, isUrgent, type OperationName, type ResponseOf } from '#metadata/controller';
import type { NodeId } from '#model/ids';
import type { ControllerHost } from './controller-host.ts';
import {
  DECIDE,
  DESCRIBE_QUORUM,
  type DecideAnswer,
  type DecideRequest,
  type QuorumAnswer,
  type QuorumDescription,
} from './controller-protocol.ts';
import type { Decided, MetadataController, Undecided } from './metadata-controller.ts';
import type { MetadataQuorum } from './metadata-quorum.ts';
import type { PeerNetwork } from './peer-network.ts';
import { REQUESTS_MAX } from './peer-requests.ts';
import type { PeerAnswer } from './peer-types.ts';

/** Between two tries to find the active controller; an election takes longer. */
const RETRY_MS = 30;
/** One try at another node; its own deadlines are shorter. */
const TRY_MS = 5_000;
/**
 * Commands of this node under way at a time, but for urgent ones: half of the requests that a peer takes, so that those find room, and
 * heartbeats, without which this node would be fenced. More wait here.
 */
const COMMANDS_MAX = REQUESTS_MAX / 2;

/**
 * Whether a command that may have been carried out already can be given again, and its answer be that of the first time: the topics
 * of a creation carry ids, registrations an incarnation, and the others say what shall be, not what shall change.
 */
const REPEATABLE: ReadonlySet<OperationName> = new Set<OperationName>([
  'registerBroker',
  'unfenceBroker',
  'fenceBroker',
  'drainBroker',
  'assignReplicas',
  'failDirectories',
  'loseReplicas',
  'updateFeatures',
  'updateVoter',
  'alterPartition',
  'electLeaders',
  'createTopics',
  'alterConfigs',
  'incrementalAlterConfigs',
  'allocateProducerIds',
]);

/** Answers of the controller as its client on any node sees them. */
export type Submitted<Name extends OperationName> =
  | ResponseOf<Name>
  | 'busy'
  | 'full'
  | 'tooLarge'
  | 'stopped'
  | 'timeout';

/**
 * The way of one node to the active controller, wherever that is: finds it, follows it from node to node, and answers when the decision
 * is in this node's image too.
 */
export class ControllerLink {
  readonly #clock: Clock;
  /** For pauses; as many as there are commands under way. */
  readonly #deadlines: Deadlines;
  readonly #quorum: MetadataQuorum;
  readonly #controller: MetadataController;
  readonly #peers: PeerNetwork;
  /** Tries at another node, by the leader and epoch that were asked: given up when there is a newer one. */
  readonly #tries = new Set<() => void>();
  /** Of commands, those that are urgent left out. */
  #underWay = 0;
  /** As many as there are requests of clients. */
  readonly #waiting = new Fifo<() => void>();
  #stopped = false;

  constructor(
    clock: Clock,
    deadlines: Deadlines,
    quorum: MetadataQuorum,
    controller: MetadataController,
    peers: PeerNetwork,
  ) {
    this.#clock = clock;
    this.#deadlines = deadlines;
    this.#quorum = quorum;
    this.#controller = controller;
    this.#peers = peers;
    quorum.onRole(() => {
      for (const reconsider of [...this.#tries]) reconsider();
    });
  }

  /** 'timeout' after `timeoutMs` without a controller, or when it cannot be known whether it was done. */
  async submit<Name extends OperationName>(
    operation: Name,
    command: CommandOf<Name>,
    timeoutMs: number,
  ): Promise<Submitted<Name>> {
    const until = this.#clock.now() + timeoutMs;
    for (;;) {
      const tried = isUrgent(operation)
        ? this.#try(operation, command, until)
        : this.#inTurn(operation, command, until);
      const decided = await this.#within(tried, until);
      if (this.#stopped) return 'stopped';
      if (typeof decided === 'object') {
        await this.#applied(decided.index, until);
        return this.#stopped ? 'stopped' : decided.response;
      }
      if (decided === 'busy' || decided === 'full' || decided === 'tooLarge') return decided;
      if (decided === 'unknown' && !REPEATABLE.has(operation)) return 'timeout';
      if (this.#clock.now() + RETRY_MS >= until) return 'timeout';
      await this.#pause(RETRY_MS);
      if (this.#stopped) return 'stopped';
    }
  }

  /** Asks the active controller something that is no decision; undefined while there is none, or it does not answer. */
  async ask(operation: string, body: unknown, timeoutMs: number): Promise<unknown> {
    const { leaderId } = this.#quorum;
    if (leaderId === undefined || leaderId === this.#quorum.self.id) return undefined;
    const answer = await this.#peers.request(leaderId, operation, body, timeoutMs);
    return answer.failure === undefined ? answer.body : undefined;
  }

  /** Asks the active controller, here or elsewhere, until it answers. */
  async describeQuorum(host: ControllerHost, timeoutMs: number): Promise<QuorumDescription | undefined> {
    const until = this.#clock.now() + timeoutMs;
    while (!this.#stopped && this.#clock.now() < until) {
      const answer = this.#quorum.isActive
        ? await host.describeQuorum()
        : ((await this.ask(DESCRIBE_QUORUM, null, Math.min(TRY_MS, until - this.#clock.now()))) as
            | QuorumAnswer
            | undefined);
      if (answer !== undefined && 'leaderId' in answer) return answer;
      await this.#pause(RETRY_MS);
    }
    return undefined;
  }

  /** Whether this node's image has come to hold, within `timeoutMs`, all that was committed when this was asked. */
  async catchUp(host: ControllerHost, timeoutMs: number): Promise<boolean> {
    const until = this.#clock.now() + timeoutMs;
    const quorum = await this.describeQuorum(host, timeoutMs);
    if (quorum === undefined) return false;
    const committed = quorum.highWatermark - 1;
    await this.#applied(committed, until);
    return this.#quorum.appliedIndex >= committed;
  }

  stop(): void {
    this.#stopped = true;
    for (const go of this.#waiting.drain()) go();
  }

  /** What has waited for too long is not asked for any more. */
  async #inTurn<Name extends OperationName>(
    operation: Name,
    command: CommandOf<Name>,
    until: number,
  ): Promise<Decided<Name> | Undecided> {
    if (this.#underWay < COMMANDS_MAX) this.#underWay += 1;
    else await new Promise<void>((go) => this.#waiting.push(go));
    const isOver = this.#stopped || this.#clock.now() >= until;
    const decided = isOver ? 'notController' : await this.#try(operation, command, until);
    // Its place goes to the next.
    if (this.#waiting.length > 0) this.#waiting.shift()();
    else this.#underWay -= 1;
    return decided;
  }

  /** Also this node may be a controller that commits nothing any more. */
  #within<Name extends OperationName>(
    tried: Promise<Decided<Name> | Undecided>,
    until: number,
  ): Promise<Decided<Name> | Undecided> {
    return new Promise((resolve) => {
      const deadline = this.#deadlines.after(Math.max(0, until - this.#clock.now()), () => resolve('unknown'));
      void tried.then((decided) => {
        this.#deadlines.cancel(deadline);
        resolve(decided);
      });
    });
  }

  async #try<Name extends OperationName>(
    operation: Name,
    command: CommandOf<Name>,
    until: number,
  ): Promise<Decided<Name> | Undecided> {
    const { leaderId, self } = this.#quorum;
    if (leaderId === undefined) return 'notController';
    if (leaderId === self.id) return await this.#controller.submit(operation, command);
    const request: DecideRequest = { operation, command };
    const leftMs = Math.max(1, Math.min(TRY_MS, until - this.#clock.now()));
    const answer = await this.#askWhileLeading(leaderId, request, leftMs);
    if (answer.failure === 'timeout' || answer.failure === 'disconnected') return 'unknown';
    if (answer.failure !== undefined) return 'notController';
    const body = answer.body as DecideAnswer;
    return 'undecided' in body ? body.undecided : { index: body.index, response: body.response as ResponseOf<Name> };
  }

  /** A controller that has stopped without a word would be waited for long after the others have another one. */
  #askWhileLeading(leaderId: NodeId, request: DecideRequest, timeoutMs: number): Promise<PeerAnswer> {
    const { epoch } = this.#quorum;
    return new Promise((resolve) => {
      const reconsider = (): void => {
        if (this.#quorum.epoch === epoch && this.#quorum.leaderId === leaderId) return;
        settle({ failure: 'disconnected', reason: 'there is another controller' });
      };
      const settle = (answer: PeerAnswer): void => {
        this.#tries.delete(reconsider);
        resolve(answer);
      };
      this.#tries.add(reconsider);
      void this.#peers.request(leaderId, DECIDE, request, timeoutMs).then(settle);
    });
  }

  /** Its own image may be behind, and this node even cut off: then the answer is given without it at the deadline. */
  async #applied(index: number, until: number): Promise<void> {
    const leftMs = until - this.#clock.now();
    if (index <= this.#quorum.appliedIndex || leftMs <= 0) return;
    await new Promise<void>((resolve) => {
      const deadline = this.#deadlines.after(leftMs, resolve);
      void this.#quorum.whenApplied(index).then(() => {
        this.#deadlines.cancel(deadline);
        resolve();
      });
    });
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => void this.#deadlines.after(ms, resolve));
  }
}
