import { assert } from '#base/assert';
import type { Mono, Ports } from '#base/ports';
import { bootstrap } from '#metadata/brokers';
import { bootstrapIn } from '#metadata/voters';
import type { NodeId, Uuid } from '#model/ids';
import type { PlantedBugs } from '#model/planted-bugs';
import type { Voter } from '#model/voter';
import { FirstQuorum } from '#raft/first-quorum';
import type { FirstQuorumMessage, PeerAddress, RaftEntry, ReplicaMessage } from '#raft/messages';
import type { Raft } from '#raft/raft';
import type { MetadataReplay } from './metadata-replay.ts';

export interface QuorumFoundingOptions {
  readonly self: Voter;
  /** See MetadataQuorumOptions, as of all the others. */
  readonly voters: readonly PeerAddress[];
  readonly targetSize: number;
  readonly planted: PlantedBugs;
  readonly send: (to: PeerAddress, message: ReplicaMessage) => void;
  readonly joined: (clusterId: Uuid) => void;
}

interface Membership {
  readonly clusterId: Uuid;
  readonly bootstrap: RaftEntry | undefined;
}

const INTRODUCTION_MS = 100;

/** How an empty replica of the metadata log comes to its first entry: the voters found the cluster, or it is given the entry as any other. */
export class QuorumFounding {
  readonly #ports: Pick<Ports, 'random' | 'logger'>;
  readonly #options: QuorumFoundingOptions;
  readonly #raft: Raft;
  readonly #replay: MetadataReplay;
  readonly #firstQuorum: FirstQuorum;

  constructor(
    ports: Pick<Ports, 'random' | 'logger'>,
    options: QuorumFoundingOptions,
    { raft, replay }: { readonly raft: Raft; readonly replay: MetadataReplay },
    now: Mono,
  ) {
    this.#ports = ports;
    this.#options = options;
    this.#raft = raft;
    this.#replay = replay;
    this.#firstQuorum = new FirstQuorum(
      {
        self: options.self,
        voters: options.voters,
        random: ports.random.fork('first quorum'),
        introductionMs: INTRODUCTION_MS,
        bootstrapIn: (payload) => bootstrapIn(replay.recordsOf(payload)),
        member: this.#membership(),
      },
      now,
    );
  }

  /** When `tick` is to be called next. */
  get deadline(): Mono {
    return this.#firstQuorum.deadline;
  }

  /** A log that was recovered with its first entry belongs to a cluster already. */
  start(): void {
    const member = this.#membership();
    if (member !== undefined) this.#options.joined(member.clusterId);
  }

  tick(now: Mono): void {
    this.#firstQuorum.tick(now);
  }

  connected(id: NodeId): void {
    this.#firstQuorum.connected(id);
  }

  received(message: FirstQuorumMessage, from: PeerAddress): void {
    this.#firstQuorum.received(message, from);
  }

  /** There was no room for the first entry. */
  dropped(now: Mono): void {
    this.#firstQuorum.dropped(now);
  }

  /** Does what the machine says. */
  carryOut(now: Mono): void {
    if (this.#firstQuorum.stage !== 'member' && this.#raft.durableIndex > 0) this.#noteJoined(now);
    const { messages, propose, accept, notice } = this.#firstQuorum.takeOutput();
    for (const { to, message } of messages) this.#options.send(to, message);
    if (accept !== undefined) this.#raft.bootstrap(accept, now);
    if (propose !== undefined) this.#raft.bootstrap(this.#foundingEntry(propose), now);
    if (notice !== undefined) this.#ports.logger.info({}, `first quorum: ${notice}`);
  }

  #foundingEntry(voters: readonly Voter[]): RaftEntry {
    const { targetSize, planted } = this.#options;
    const { image } = this.#replay;
    const state = { image, random: this.#ports.random, given: new Map<string, string>(), planted };
    const { records } = bootstrap(state, { voters, targetSize });
    return { index: 1, epoch: 0, payload: this.#replay.encode(records) };
  }

  #noteJoined(now: Mono): void {
    const member = this.#membership();
    assert(member !== undefined, 'the log begins with the cluster');
    const isFirst = this.#raft.epoch === 0;
    this.#firstQuorum.joined(member);
    this.#options.joined(member.clusterId);
    // The last of a majority to have the first entry finds the others ready to vote.
    if (isFirst) this.#raft.campaign(now);
  }

  #membership(): Membership | undefined {
    const first = this.#raft.entry(1);
    const founded = first === undefined ? undefined : bootstrapIn(this.#replay.recordsOf(first.payload));
    const clusterId = founded?.clusterId ?? this.#replay.image.cluster?.id;
    return clusterId === undefined ? undefined : { clusterId, bootstrap: first };
  }
}
