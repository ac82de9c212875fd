/**
 * Several machines in one process, with disks that finish a write when they are told to, and a network that delivers what it is told to.
 * Messages pass as bytes. `check` sees each replica after each step.
 */
import { NO_PLANTED_BUGS, type PlantedBugs } from '#model/planted-bugs';
import type { Voter } from '#model/voter';
import type { PeerAddress, RaftEntry, RaftMessage } from '#raft/messages';
import { Raft } from '#raft/raft';
import { RaftMessageCodec } from '#raft/raft-message-codec';
import type { HardState, LogPosition, RaftOutput, SnapshotPiece, SnapshotWanted } from '#raft/raft-types';
import {
  bytesOf,
  ELECTION_TIMEOUT_MS,
  entryOf,
  HEARTBEAT_MS,
  LEADER_PAYLOAD,
  seededRandom,
  textOf,
  voterOf,
  votersIn,
  votersInText,
  votersPayload,
} from './support.ts';

/** What survives a crash. */
export interface Disk {
  hardState: HardState;
  snapshot: (LogPosition & { readonly chunks: readonly string[] }) | undefined;
  /** Behind the snapshot. */
  entries: RaftEntry[];
}

interface LogWrite {
  readonly kind: 'write';
  readonly truncateFrom: number | undefined;
  readonly append: readonly RaftEntry[];
  readonly generation: number;
}

type LogWork = LogWrite | { readonly kind: 'piece'; readonly piece: SnapshotPiece };

export interface Flight {
  readonly from: number;
  readonly to: number;
  readonly bytes: Uint8Array;
  readonly message: RaftMessage;
}

export class Machine {
  readonly id: number;
  /** How often it was wiped. */
  wiped = 0;
  disk: Disk = emptyDisk();
  raft: Raft | undefined;
  /** All entries since the snapshot that the machine has taken, durable or not. */
  log: RaftEntry[] = [];
  hardStates: HardState[] = [];
  logWork: LogWork[] = [];
  reads: SnapshotWanted[] = [];
  arriving: string[] = [];
  readers = new Map<string, Disk['snapshot']>();
  starts = 0;
  isDiskSlow = false;

  constructor(id: number) {
    this.id = id;
  }

  get self(): Voter {
    return voterOf(this.id, this.wiped);
  }

  get isWriting(): boolean {
    return this.hardStates.length + this.logWork.length + this.reads.length > 0;
  }
}

/** What watches every step; throws when something is not as it must be. */
export interface Watch {
  /** Before the output is carried out. */
  output(machine: Machine, raft: Raft, output: RaftOutput): void;
  saved(machine: Machine, before: HardState, after: HardState): void;
  snapshotInstalled(machine: Machine, raft: Raft, snapshot: NonNullable<Disk['snapshot']>): void;
  delivered(flight: Flight): void;
  stepped(machine: Machine, raft: Raft): void;
}

export interface ClusterOptions {
  readonly voters: readonly number[];
  readonly observers?: readonly number[];
  readonly planted?: PlantedBugs;
  readonly seed?: number;
  readonly watch?: (cluster: Cluster) => Watch;
  /** Told of each message that leaves. */
  readonly sent?: (flight: Flight) => void;
}

export class Cluster {
  readonly machines: readonly Machine[];
  flying: Flight[] = [];
  now = 0;
  readonly reads: { machine: number; ticket: number; index: number }[] = [];
  readonly refusedReads: { machine: number; ticket: number }[] = [];
  readonly #options: ClusterOptions;
  readonly #codec = new RaftMessageCodec();
  readonly #watch: Watch | undefined;

  /** All voters begin with the first entry on their disks, none has started. */
  constructor(options: ClusterOptions) {
    this.#options = options;
    const { voters, observers = [] } = options;
    const first = entryOf(1, 0, votersPayload(voters.map((id) => voterOf(id))));
    this.machines = [...voters, ...observers].map((id) => {
      const machine = new Machine(id);
      if (voters.includes(id)) machine.disk.entries.push(first);
      return machine;
    });
    this.#watch = options.watch?.(this);
  }

  machine(id: number): Machine {
    const found = this.machines.find((machine) => machine.id === id);
    if (found === undefined) throw new Error(`no machine ${id}`);
    return found;
  }

  start(machine: Machine): void {
    const { disk } = machine;
    machine.starts += 1;
    machine.log = [...disk.entries];
    const options = {
      self: machine.self,
      random: seededRandom((this.#options.seed ?? 1) * 1000 + machine.id * 100 + machine.starts),
      electionTimeoutMs: ELECTION_TIMEOUT_MS,
      heartbeatMs: HEARTBEAT_MS,
      votersIn,
      leaderPayload: bytesOf(LEADER_PAYLOAD),
      wantsVote: true,
      contacts: this.machines.map(({ id }) => voterOf(id)),
      planted: this.#options.planted ?? NO_PLANTED_BUGS,
    };
    const snapshot = disk.snapshot && { ...disk.snapshot, voters: votersOf(disk.snapshot) };
    machine.raft = new Raft(options, { hardState: disk.hardState, snapshot, entries: disk.entries }, this.now);
    this.settle(machine);
  }

  /** Everything that was not on disk is gone, but for the first entries of a write that was under way. */
  crash(machine: Machine, entriesKept = 0): void {
    const [work] = machine.logWork;
    if (work?.kind === 'write' && entriesKept > 0) {
      if (work.truncateFrom !== undefined) truncate(machine.disk, work.truncateFrom);
      machine.disk.entries.push(...work.append.slice(0, entriesKept));
    }
    machine.raft = undefined;
    machine.hardStates = [];
    machine.logWork = [];
    machine.reads = [];
    machine.arriving = [];
    machine.readers.clear();
  }

  wipe(machine: Machine): void {
    this.crash(machine);
    machine.wiped += 1;
    machine.disk = emptyDisk();
  }

  /** After any call to the machine's raft. */
  settle(machine: Machine): void {
    const { raft } = machine;
    if (raft === undefined) return;
    const output = raft.takeOutput(this.now);
    this.#mirror(machine, output);
    this.#watch?.output(machine, raft, output);
    const { hardState, truncateFrom, append, generation } = output;
    if (hardState !== undefined) machine.hardStates.push(hardState);
    if (truncateFrom !== undefined || append.length > 0)
      machine.logWork.push({ kind: 'write', truncateFrom, append, generation });
    for (const piece of output.storeSnapshot) machine.logWork.push({ kind: 'piece', piece });
    machine.reads.push(...output.sendSnapshot);
    for (const key of output.releaseSnapshot) machine.readers.delete(`${key.id}/${key.directoryId}`);
    for (const read of output.reads) this.reads.push({ machine: machine.id, ...read });
    for (const ticket of output.refusedReads) this.refusedReads.push({ machine: machine.id, ticket });
    for (const { to, message } of output.messages) {
      const flight = { from: machine.id, to: to.id, bytes: this.#codec.encode(message), message };
      this.#options.sent?.(flight);
      this.flying.push(flight);
    }
    this.#watch?.stepped(machine, raft);
  }

  deliver(flight: Flight): void {
    const machine = this.machine(flight.to);
    const { raft } = machine;
    if (raft === undefined) return;
    this.#watch?.delivered(flight);
    const from: PeerAddress = voterOf(flight.from);
    raft.received(this.#codec.decode(flight.bytes) as RaftMessage, from, this.now);
    this.settle(machine);
  }

  tick(machine: Machine, lateMs = 0): void {
    machine.raft?.tick(this.now, lateMs);
    this.settle(machine);
  }

  saveHardState(machine: Machine): void {
    const state = machine.hardStates.shift();
    if (state === undefined) return;
    this.#watch?.saved(machine, machine.disk.hardState, state);
    machine.disk.hardState = state;
    machine.raft?.hardStateSaved(state, this.now);
    this.settle(machine);
  }

  /** A write may come to the disk in pieces: only its first `entriesMax` now, the others later. */
  doLogWork(machine: Machine, entriesMax = Number.POSITIVE_INFINITY): void {
    const work = machine.logWork.shift();
    if (work === undefined) return;
    if (work.kind === 'piece') this.#store(machine, work.piece);
    else {
      if (work.truncateFrom !== undefined) truncate(machine.disk, work.truncateFrom);
      const written = work.append.slice(0, entriesMax);
      const rest = work.append.slice(written.length);
      if (rest.length > 0) machine.logWork.unshift({ ...work, truncateFrom: undefined, append: rest });
      machine.disk.entries.push(...written);
      const last = written.at(-1);
      if (last !== undefined) machine.raft?.persisted(last.index, work.generation, this.now);
    }
    this.settle(machine);
  }

  readSnapshot(machine: Machine): void {
    const wanted = machine.reads.shift();
    if (wanted === undefined) return;
    const reader = `${wanted.to.id}/${wanted.to.directoryId}`;
    if (wanted.position === 0) machine.readers.set(reader, machine.disk.snapshot);
    const snapshot = machine.readers.get(reader);
    const text = snapshot?.chunks[wanted.position];
    if (snapshot === undefined || text === undefined) throw new Error('a chunk that the snapshot does not have');
    const { index, epoch, chunks } = snapshot;
    const { position } = wanted;
    const chunk = { index, epoch, position, payload: bytesOf(text), last: position === chunks.length - 1 };
    machine.raft?.snapshotRead(wanted.to, chunk, this.now);
    this.settle(machine);
  }

  /** Writes all that waits, and what follows from it. */
  sync(machine: Machine): void {
    while (machine.isWriting) {
      this.saveHardState(machine);
      this.doLogWork(machine);
      this.readSnapshot(machine);
    }
  }

  /** `state`: the text of what has been applied up to there. */
  takeSnapshot(machine: Machine, index: number, state: string): void {
    const { disk, raft, log } = machine;
    const epoch = log.find((entry) => entry.index === index)?.epoch;
    if (raft === undefined || epoch === undefined || machine.logWork.some(({ kind }) => kind === 'piece')) return;
    const changes = log.filter((entry) => entry.index <= index && votersIn(entry.payload) !== undefined);
    const last = changes.at(-1)?.payload;
    const voters = last === undefined ? (disk.snapshot?.chunks[0] ?? '') : textOf(last);
    disk.snapshot = { index, epoch, chunks: [voters, state, 'end'] };
    disk.entries = disk.entries.filter((entry) => entry.index > index);
    machine.log = log.filter((entry) => entry.index > index);
    raft.compacted({ index, epoch });
    this.settle(machine);
  }

  #store(machine: Machine, { index, epoch, position, payload, last }: SnapshotPiece): void {
    const { raft, disk } = machine;
    if (position === 0) machine.arriving = [];
    machine.arriving.push(textOf(payload));
    if (!last) return raft?.snapshotStored(position);
    disk.snapshot = { index, epoch, chunks: machine.arriving };
    disk.entries = [];
    machine.arriving = [];
    machine.log = [];
    if (raft === undefined) return;
    raft.snapshotInstalled({ index, epoch, voters: votersOf(disk.snapshot) });
    this.#watch?.snapshotInstalled(machine, raft, disk.snapshot);
  }

  #mirror(machine: Machine, { truncateFrom, append }: RaftOutput): void {
    if (truncateFrom !== undefined) machine.log = machine.log.filter(({ index }) => index < truncateFrom);
    machine.log.push(...append);
  }
}

export function votersOf(snapshot: NonNullable<Disk['snapshot']>): readonly Voter[] {
  return votersInText(snapshot.chunks[0] ?? '') ?? [];
}

function emptyDisk(): Disk {
  return { hardState: { epoch: 0, votedFor: null }, snapshot: undefined, entries: [] };
}

function truncate(disk: Disk, from: number): void {
  disk.entries = disk.entries.filter(({ index }) => index < from);
}
