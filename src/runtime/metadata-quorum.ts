/**
 * One node's replica of the metadata log: drives the consensus machine with the disk, the clock and what peers say, replays committed
 * entries into the image, publishes them, and only then confirms them, all in the order of the log. It decides nothing itself.
 */
import { assert } from '#base/assert';
import type { Disk, Mono, Ports, Timer } from '#base/ports';
import type { MetadataImage } from '#metadata/image';
import type { MetadataRecord } from '#metadata/records';
import { votersIn } from '#metadata/voters';
import type { NodeId, Uuid } from '#model/ids';
import type { PlantedBugs } from '#model/planted-bugs';
import type { Voter } from '#model/voter';
import { MESSAGE_BYTES_MAX } from '#net/peer-frames';
import type { PeerAddress, RaftEntry, ReplicaMessage } from '#raft/messages';
import { Raft } from '#raft/raft';
import type { HardState, LogPosition, RaftOutput, RaftRole, ReplicaProgress } from '#raft/raft-types';
import { RaftLog, type RecoveredRaftLog } from '#storage/raft-log';
import { IndexWaiters } from './index-waiters.ts';
import type { MetadataPublisher } from './metadata-publisher.ts';
import { MetadataReplay } from './metadata-replay.ts';
import { MetadataSnapshots } from './metadata-snapshots.ts';
import { Proposals, type Proposed } from './proposals.ts';
import { QuorumFounding } from './quorum-founding.ts';
import { QuorumLog } from './quorum-log.ts';
import { SnapshotSender } from './snapshot-sender.ts';

export interface MetadataQuorumOptions {
  /** This node, with its own peer address. Its directory is the one that holds the log. */
  readonly self: Voter;
  /** The first voters, as every one of them is told; this node alone founds a cluster at once. Empty: it joins by nobody's list. */
  readonly voters: readonly PeerAddress[];
  /** Recorded at first start, see cluster.target.size. */
  readonly targetSize: number;
  readonly snapshotBytes: number;
  /** See MetadataSnapshotsOptions. */
  readonly snapshotIntervalMs: number;
  readonly electionTimeoutMs: number;
  readonly heartbeatMs: number;
  readonly planted: PlantedBugs;
  /** Best effort, in order as far as nothing is lost. */
  readonly send: (to: PeerAddress, message: ReplicaMessage) => void;
  /** The log's first entry is on this disk: the node belongs to the cluster from now on, or has before. */
  readonly joined: (clusterId: Uuid) => void;
  /** Nothing is committed here any more. Called once; the process should end. */
  readonly onFailed: (failure: Error) => void;
}

/** The folder of the metadata log within the data directory. */
export const METADATA_FOLDER = 'metadata';

/** Replayed in one turn at most, so that others have theirs. */
const ENTRIES_PER_TURN = 200;
/** An entry goes to other nodes whole, in one message. */
const ENTRY_BYTES_MAX = MESSAGE_BYTES_MAX - 64 * 1024;
/** A follower stands after one to two of them. */
const SILENT_TIMEOUTS = 2;

export class MetadataQuorum {
  readonly self: Voter;
  /** Of proposals, from the append to the effect, in milliseconds; for metrics. */
  onCommit: (latencyMs: number) => void = () => {};
  readonly #ports: Pick<Ports, 'clock' | 'random' | 'logger'>;
  readonly #options: MetadataQuorumOptions;
  readonly #log: RaftLog;
  readonly #operations: QuorumLog;
  readonly #sender: SnapshotSender;
  readonly #snapshots: MetadataSnapshots;
  readonly #replay = new MetadataReplay();
  readonly #raft: Raft;
  readonly #founding: QuorumFounding;
  readonly #timer: Timer;
  #armedFor: Mono = Number.POSITIVE_INFINITY;
  readonly #proposals = new Proposals();
  /** As many as there are callers. */
  readonly #reads = new Map<number, (isLeader: boolean) => void>();
  readonly #waiters = new IndexWaiters();
  readonly #roleListeners: (() => void)[] = [];
  /** The epoch in which this node has become the active controller. */
  #activeEpoch = -1;
  #lastRole = '';
  #version = 0;
  #elections = 0;
  #stalls = 0;
  #isDiskFull = false;
  #isPumping = false;
  #pumpAgain = false;
  #deferred = false;
  #stopped = false;

  private constructor(
    ports: Pick<Ports, 'clock' | 'random' | 'logger'>,
    options: MetadataQuorumOptions,
    log: RaftLog,
    recovered: RecoveredRaftLog,
  ) {
    this.#ports = ports;
    this.#options = options;
    this.#log = log;
    this.self = options.self;
    const { snapshot, entries, hardState } = recovered;
    if (snapshot !== undefined) this.#replay.load(snapshot.chunks, snapshot);
    const now = ports.clock.now();
    this.#raft = new Raft(
      {
        self: options.self,
        random: ports.random.fork('raft'),
        electionTimeoutMs: options.electionTimeoutMs,
        heartbeatMs: options.heartbeatMs,
        votersIn: (payload) => votersIn(this.#replay.recordsOf(payload)),
        leaderPayload: this.#replay.codec.encode([{ kind: 'noOp' }]),
        wantsVote: options.voters.some(({ id }) => id === options.self.id),
        contacts: options.voters.filter(({ id }) => id !== options.self.id),
        planted: options.planted,
      },
      {
        hardState,
        snapshot: snapshot && {
          index: snapshot.index,
          epoch: snapshot.epoch,
          voters: this.image.cluster?.voters ?? [],
        },
        entries,
      },
      now,
    );
    this.#founding = new QuorumFounding(ports, options, { raft: this.#raft, replay: this.#replay }, now);
    this.#operations = new QuorumLog(log, {
      hardStateSaved: (state) => this.#input((at) => this.#raft.hardStateSaved(state, at)),
      persisted: (index, generation) => {
        this.#foundRoom();
        this.#input((at) => this.#raft.persisted(index, generation, at));
      },
      full: () => this.#diskFull(),
      snapshotStored: (position) => this.#input(() => this.#raft.snapshotStored(position)),
      installHeldUp: () => this.#foundNoRoom(),
      snapshotInstalled: (covers) => {
        this.#foundRoom();
        this.#input(() => this.#snapshotInstalled(covers));
      },
      failed: (failure) => this.#fail(failure),
    });
    this.#sender = new SnapshotSender(log, (to, chunk) => this.#input((at) => this.#raft.snapshotRead(to, chunk, at)));
    this.#snapshots = new MetadataSnapshots(
      ports,
      { log, operations: this.#operations, image: this.image, codec: this.#replay.codec },
      {
        snapshotBytes: options.snapshotBytes,
        snapshotIntervalMs: options.snapshotIntervalMs,
        planted: options.planted,
        applied: () => this.#replay.applied,
        compacted: (covers) => this.#input(() => this.#raft.compacted(covers)),
        onFailed: (failure) => this.#fail(failure),
      },
    );
    this.#timer = ports.clock.timer((lateMs) => {
      this.#armedFor = Number.POSITIVE_INFINITY;
      if (lateMs >= options.electionTimeoutMs) this.#stalled(lateMs);
      this.#input((at) => {
        this.#raft.tick(at, lateMs);
        this.#founding.tick(at);
      });
    });
  }

  /**
   * Recovers the log. Rejects with RaftLogError or MalformedRecordError when the log cannot be trusted, with IoError when it cannot be
   * read or written. Nothing happens before `start`.
   */
  static async open(
    ports: Pick<Ports, 'clock' | 'random' | 'codecs' | 'logger'>,
    disk: Disk,
    options: MetadataQuorumOptions,
  ): Promise<MetadataQuorum> {
    const { directoryId } = options.self;
    const crc32c = ports.codecs.crc32c.bind(ports.codecs);
    const { log, recovered } = await RaftLog.open(disk, { crc32c, folder: METADATA_FOLDER, directoryId });
    try {
      return new MetadataQuorum(ports, options, log, recovered);
    } catch (failure) {
      await log.close();
      throw failure;
    }
  }

  start(): void {
    this.#founding.start();
    this.#input(() => {});
  }

  get image(): MetadataImage {
    return this.#replay.image;
  }

  get publisher(): MetadataPublisher {
    return this.#replay.publisher;
  }

  /** Rises with every change of what the members below say. */
  get version(): number {
    return this.#version;
  }

  get role(): RaftRole {
    return this.#raft.role;
  }

  get epoch(): number {
    return this.#raft.epoch;
  }

  /** With its address; undefined while none is known. */
  get leader(): Voter | undefined {
    return this.#raft.leader;
  }

  get leaderId(): NodeId | undefined {
    return this.#raft.leader?.id;
  }

  /**
   * The leader, unless it has been silent for so long that there is none by all appearances. A replica whose leader is gone, and which
   * finds no majority for another one, has no later epoch to forget it in.
   */
  get heardLeaderId(): NodeId | undefined {
    const isSilent = this.#ports.clock.now() - this.leaderHeardAt > SILENT_TIMEOUTS * this.#options.electionTimeoutMs;
    return this.role !== 'leader' && isSilent ? undefined : this.leaderId;
  }

  /** It leads, and has replayed everything that was committed before: the active controller. */
  get isActive(): boolean {
    return this.#raft.isActive && this.#activeEpoch === this.#raft.epoch && !this.#stopped;
  }

  /** When another leader was last heard of. */
  get leaderHeardAt(): Mono {
    return this.#raft.leaderHeardAt(this.#ports.clock.now());
  }

  get hardState(): HardState {
    return this.#raft.hardState;
  }

  /** By the latest change in the log, committed or not. */
  get voters(): readonly Voter[] {
    return this.#raft.voters;
  }

  get votersIndex(): number {
    return this.#raft.votersIndex;
  }

  get mayChangeVoters(): boolean {
    return this.#raft.mayChangeVoters;
  }

  get lastIndex(): number {
    return this.#raft.lastIndex;
  }

  get durableIndex(): number {
    return this.#raft.durableIndex;
  }

  get commitIndex(): number {
    return this.#raft.commitIndex;
  }

  /** The last entry that the image holds. */
  get appliedIndex(): number {
    return this.#replay.applied.index;
  }

  get snapshotIndex(): number {
    return this.#raft.snapshot.index;
  }

  get snapshotEpoch(): number {
    return this.#raft.snapshot.epoch;
  }

  /** Of all segments on disk. */
  get logSizeBytes(): number {
    return this.#log.sizeBytes;
  }

  /** How often this node has stood for election. */
  get electionCount(): number {
    return this.#elections;
  }

  /** How often this node did nothing for longer than an election takes. */
  get stallCount(): number {
    return this.#stalls;
  }

  /** Of an entry in memory, or of what precedes the first. */
  epochAt(index: number): number | undefined {
    return this.#raft.epochAt(index);
  }

  /** Of an entry in memory; borrowed. */
  payloadAt(index: number): Uint8Array | undefined {
    return this.#raft.entry(index)?.payload;
  }

  /** The leader's view of all replicas, itself first; empty elsewhere. */
  progress(): readonly ReplicaProgress[] {
    return this.#raft.progress(this.#ports.clock.now());
  }

  /** Whether it leads and is active, or whom it follows, has changed: `run` reads it here. */
  onRole(run: () => void): void {
    this.#roleListeners.push(run);
  }

  /**
   * Appends the records as one atomic entry; `done` runs in a later turn. The records must hold against the image and everything
   * proposed before. Proposals that arrive during a write share the next write and sync.
   */
  propose(records: readonly MetadataRecord[], done: Proposed): void {
    assert(records.length > 0, 'an entry has records');
    const now = this.#ports.clock.now();
    const payload = this.isActive ? this.#replay.encode(records) : undefined;
    if (payload !== undefined && payload.length > ENTRY_BYTES_MAX) {
      this.#ports.clock.defer(() => done('tooLarge'));
      return;
    }
    const index = payload === undefined ? undefined : this.#raft.propose(payload, now);
    if (index === undefined) {
      const answer = this.#stopped ? 'unknown' : 'lost';
      this.#ports.clock.defer(() => done(answer));
      return;
    }
    this.#proposals.add({ index, epoch: this.#raft.epoch, at: now, done });
    this.#pump();
  }

  /** Whether this node still was the active controller at some time after the call, and has applied all that was committed by then (thesis §6.4). */
  confirm(done: (isLeader: boolean) => void): void {
    if (!this.isActive) {
      this.#ports.clock.defer(() => done(false));
      return;
    }
    this.#input(() => this.#reads.set(this.#raft.read(), done));
  }

  /** Resolves when the image holds that entry; never after a stop. */
  whenApplied(index: number): Promise<void> {
    if (index <= this.appliedIndex) return Promise.resolve();
    return new Promise((run) => this.#waiters.add(index, run));
  }

  received(message: ReplicaMessage, from: PeerAddress): void {
    this.#input((now) => {
      if (message.kind === 'introduction' || message.kind === 'bootstrap') this.#founding.received(message, from);
      else this.#raft.received(message, from, now);
    });
  }

  /** A connection to the node stands. */
  connected(id: NodeId): void {
    this.#input(() => this.#founding.connected(id));
  }

  /** A connection with the node is lost; `byPeer`: it was closed or reset at the other end. */
  disconnected(id: NodeId, byPeer: boolean): void {
    if (byPeer || this.#raft.role === 'leader') this.#input((now) => this.#raft.disconnected(id, now));
  }

  /** The leader that it follows has answered that it is none. */
  doubtLeader(): void {
    this.#input(() => this.#raft.doubtLeader());
  }

  /** Hands the leadership over, if it has it and there is someone to take it. Resolves when it leads no more, or after `patienceMs`. */
  async resign(patienceMs: number): Promise<void> {
    if (this.#raft.role !== 'leader' || this.voters.length < 2) return;
    await new Promise<void>((resolve) => {
      const timer = this.#ports.clock.timer(() => resolve());
      timer.arm(patienceMs);
      this.onRole(() => {
        if (this.#raft.role === 'leader') return;
        timer.disarm();
        resolve();
      });
      this.#input((now) => this.#raft.transfer(undefined, now));
    });
  }

  /** Stops: what is not confirmed yet is answered within the call. The disk is quiet when it resolves. */
  async close(): Promise<void> {
    this.#stop();
    await this.#snapshots.close();
    await this.#sender.close();
    await this.#operations.close();
    await this.#log.close();
  }

  /** Others may have taken it for dead: whoever wonders why finds the reason here. */
  #stalled(lateMs: number): void {
    this.#stalls += 1;
    const ms = Math.round(lateMs);
    this.#ports.logger.warn({ ms }, `this node stood still for ${ms} ms, longer than an election takes`);
  }

  #input(act: (now: Mono) => void): void {
    if (this.#stopped) return;
    act(this.#ports.clock.now());
    this.#pump();
  }

  /** Does what the machines say until they have nothing more to say. */
  #pump(): void {
    if (this.#isPumping) {
      this.#pumpAgain = true;
      return;
    }
    this.#isPumping = true;
    do {
      this.#pumpAgain = false;
      this.#founding.carryOut(this.#ports.clock.now());
      this.#carryOut(this.#raft.takeOutput(this.#ports.clock.now()));
      this.#apply();
    } while (this.#pumpAgain && !this.#stopped);
    this.#isPumping = false;
    this.#version += 1;
    if (this.#stopped) return;
    this.#noteRole();
    this.#arm();
  }

  #carryOut(output: RaftOutput): void {
    // Another replica may have the entry still, and lead later.
    if (output.truncateFrom !== undefined) this.#proposals.giveUp(output.truncateFrom, 'unknown');
    for (const piece of output.storeSnapshot) this.#replay.take(piece);
    this.#operations.carryOut(output);
    for (const { to, message } of output.messages) this.#options.send(to, message);
    for (const wanted of output.sendSnapshot) this.#sender.want(wanted);
    for (const to of output.releaseSnapshot) this.#sender.release(to);
    for (const ticket of output.refusedReads) this.#answerRead(ticket, false);
    for (const { ticket, index } of output.reads)
      void this.whenApplied(index).then(() => this.#answerRead(ticket, !this.#stopped));
  }

  #answerRead(ticket: number, isLeader: boolean): void {
    const done = this.#reads.get(ticket);
    this.#reads.delete(ticket);
    if (done !== undefined) this.#ports.clock.defer(() => done(isLeader));
  }

  #apply(): void {
    let count = 0;
    // PLANTED BUG replay-before-commit: what is on this node's disk is taken for decided.
    const early = this.#options.planted.has('replay-before-commit');
    while (this.appliedIndex < (early ? this.#raft.durableIndex : this.#raft.commitIndex) && !this.#stopped) {
      if (count === ENTRIES_PER_TURN) return this.#applyLater();
      count += 1;
      const entry = this.#raft.entry(this.appliedIndex + 1);
      assert(entry !== undefined, `the committed entry ${this.appliedIndex + 1} is in memory`);
      this.#replay.apply(entry);
      this.#confirm(entry);
      this.#waiters.reached(entry.index);
      this.#snapshots.replayed(entry.payload.length);
    }
    if (this.#raft.isActive) this.#activeEpoch = this.#raft.epoch;
  }

  #applyLater(): void {
    if (this.#deferred) return;
    this.#deferred = true;
    this.#ports.clock.defer(() => {
      this.#deferred = false;
      this.#input(() => {});
    });
  }

  #confirm(entry: RaftEntry): void {
    const proposal = this.#proposals.applied(entry);
    if (proposal === undefined) return;
    this.onCommit(this.#ports.clock.now() - proposal.at);
    proposal.done({ index: entry.index });
  }

  #diskFull(): void {
    this.#foundNoRoom();
    this.#input((now) => {
      this.#raft.diskFull(now);
      if (this.#raft.lastIndex === 0) this.#founding.dropped(now);
      // Whoever hears of it proposes nothing more here: this node does not lead any longer.
      // With other voters it has left for them, and they may commit it.
      this.#proposals.giveUp(this.#raft.durableIndex + 1, this.voters.length === 1 ? 'full' : 'unknown');
    });
  }

  /** It is tried again and again: told once. */
  #foundNoRoom(): void {
    if (!this.#isDiskFull)
      this.#ports.logger.warn({}, 'no room on the disk of the metadata log: nothing is appended to it');
    this.#isDiskFull = true;
  }

  #foundRoom(): void {
    if (this.#isDiskFull) this.#ports.logger.info({}, 'the disk of the metadata log has room again');
    this.#isDiskFull = false;
  }

  #snapshotInstalled(covers: LogPosition): void {
    this.#replay.install(covers);
    const { index, epoch } = covers;
    this.#raft.snapshotInstalled({ index, epoch, voters: this.image.cluster?.voters ?? [] });
    this.#snapshots.replaced();
    this.#proposals.giveUp(0, 'unknown');
    this.#waiters.reached(covers.index);
  }

  #noteRole(): void {
    const { role, epoch, leaderId } = this;
    const state = `${role} ${epoch} ${leaderId} ${this.isActive}`;
    if (state === this.#lastRole) return;
    if (role === 'candidate' && !this.#lastRole.startsWith(`candidate ${epoch} `)) this.#elections += 1;
    this.#lastRole = state;
    this.#ports.logger.info({ role, epoch, leader: leaderId, active: this.isActive }, 'metadata quorum');
    for (const run of this.#roleListeners) run();
  }

  #arm(): void {
    const deadline = Math.min(this.#raft.deadline, this.#founding.deadline);
    if (deadline === this.#armedFor || deadline === Number.POSITIVE_INFINITY) return;
    this.#armedFor = deadline;
    this.#timer.arm(Math.max(0, deadline - this.#ports.clock.now()));
  }

  #fail(failure: Error): void {
    if (this.#stopped) return;
    this.#stop();
    this.#options.onFailed(failure);
  }

  #stop(): void {
    if (this.#stopped) return;
    this.#stopped = true;
    this.#timer.disarm();
    this.#proposals.giveUp(0, 'unknown');
    for (const done of this.#reads.values()) done(false);
    this.#reads.clear();
    for (const run of this.#roleListeners) run();
  }
}
