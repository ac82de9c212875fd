/** Everything that watches one cluster: after each event, whatever has changed is held against what must be true. */
import { at } from '#base/assert';
import type { Random } from '#base/ports';
import type { Partition } from '#metadata/records';
import { votersIn } from '#metadata/voters';
import { type NodeId, nodeId } from '#model/ids';
import { isSameReplica, type ReplicaKey, type Voter } from '#model/voter';
import { BitRot } from './bit-rot.ts';
import { BatchChecker } from './checkers/batch-checker.ts';
import { DiskChecker } from './checkers/disk-checker.ts';
import { DiskImage } from './checkers/disk-image.ts';
import { ImageChecker } from './checkers/image-checker.ts';
import { PartitionImage } from './checkers/partition-image.ts';
import { type DurableLog, RaftChecker, type Witness } from './checkers/raft-checker.ts';
import { ReachChecker } from './checkers/reach-checker.ts';
import { type ReplicaHost, ReplicationChecker } from './checkers/replication-checker.ts';
import type { Cluster } from './cluster.ts';
import { Coverage } from './coverage.ts';
import type { Machine } from './machine.ts';
import type { MemoryDisk } from './ports/memory-disk.ts';
import { DATA_PREFIX, hasRecords, isCompacted, isVolatile, isWeak } from './workload/data-topics.ts';

const LEADERLESS_MS = 5000;

interface Watched {
  readonly machine: Machine;
  readonly host: ReplicaHost;
  readonly disk: DiskImage;
  readonly diskChecker: DiskChecker;
  /** Of the present process. */
  witness: Witness | undefined;
  version: number;
  /** Of the partitions that records are written to, by name, as its disk has them. */
  readonly logs: Map<string, PartitionImage>;
  diskChanges: number;
}

/** See ReplicationCheckerHost.lost. */
export type LossListener = (partition: string, offset: number, leaderEpoch: number) => void;

export class Observer {
  readonly coverage = new Coverage();
  readonly images: ImageChecker;
  readonly #cluster: Cluster;
  readonly #raft: RaftChecker;
  readonly #reach: ReachChecker;
  readonly #replication: ReplicationChecker;
  readonly #batches = new BatchChecker();
  readonly #bitRot = new BitRot();
  readonly #crc32c: (bytes: Uint8Array) => number;
  readonly #watched: readonly Watched[];
  /** Of disks that were replaced, by node and directory: what was on them. */
  readonly #formerDisks = new Map<string, DurableLog>();
  /** By the last committed entry that says so. */
  #voters: readonly Voter[] = [];
  #ledAt = 0;
  #referenceIndex = 0;

  constructor(cluster: Cluster, crc32c: (bytes: Uint8Array) => number, lost: LossListener = () => {}) {
    const { coverage } = this;
    this.#cluster = cluster;
    this.#crc32c = crc32c;
    this.images = new ImageChecker(crc32c);
    this.#reach = new ReachChecker(cluster, (point) => coverage.sometimes(point));
    this.#replication = new ReplicationChecker(
      {
        reference: () => this.images.reference,
        isDiskOf: (id, directoryId) => this.#diskOf({ id: nodeId(id), directoryId }) !== undefined,
        now: () => cluster.world.clock.now(),
        isVolatile,
        lost,
        sometimes: (point) => coverage.sometimes(point),
      },
      hasRecords,
    );
    this.#watched = cluster.machines.map((machine) => {
      const disk = new DiskImage(machine.disk, crc32c);
      const diskChecker = new DiskChecker(machine.name, disk);
      const logs = new Map<string, PartitionImage>();
      const host: ReplicaHost = {
        id: cluster.idOf(machine),
        get name() {
          return `${machine.name}#${machine.lifeCount}`;
        },
        replicas: () => machine.replicas(),
        image: () => machine.view?.image,
        endOnDisk: (topic, index) =>
          this.#bitRot.isRotten(machine.disk, topic, index) ? undefined : logs.get(`${topic}-${index}`)?.endOffset,
      };
      return { machine, host, disk, diskChecker, witness: undefined, version: -1, logs, diskChanges: -1 };
    });
    cluster.onCrashed = (machine) => this.#crashed(machine);
    this.#raft = new RaftChecker({
      crc32c,
      diskOf: (key) => this.#diskOf(key),
      formerDiskOf: ({ id, directoryId }) => this.#formerDisks.get(`${id} ${directoryId}`),
      witnesses: () => this.#witnesses(),
      sometimes: (point) => coverage.sometimes(point),
      proposed: (witness, index, payload) => this.#reach.decided(witness, index, this.images.decode(payload)),
      committed: (_witness, index, payload) => this.#committed(index, payload),
    });
  }

  /** The last entry that anybody took for committed. */
  get committedIndex(): number {
    return this.#raft.history.committedIndex;
  }

  /** Something may have happened to any of them. Throws a Violation. */
  look(): void {
    let changed = false;
    // What a view says is on disk must be there: disks first.
    for (const { machine, disk, diskChecker } of this.#watched) {
      // While a crash takes from a disk what was not synced, it is not at rest.
      if (machine.phase === 'leaving' || !disk.refresh()) continue;
      changed = true;
      diskChecker.look();
    }
    let isLed = false;
    for (const watched of this.#watched) {
      const { view } = watched.machine;
      if (view === undefined) {
        watched.witness = undefined;
        continue;
      }
      if (watched.witness?.view !== view) this.#meet(watched);
      isLed ||= view.role === 'leader';
      if (watched.version === view.version || watched.witness === undefined) continue;
      watched.version = view.version;
      changed = true;
      this.#lookAt(watched.witness);
    }
    if (changed) this.#raft.checkSurvival();
    this.#lookAtReplicas();
    this.#noteLeader(isLed);
  }

  #lookAtReplicas(): void {
    if (!this.images.hasReference) return;
    const { index } = this.images.reference;
    if (index !== this.#referenceIndex) this.#replication.metadataChanged();
    if (index !== this.#referenceIndex) this.#findPartitions();
    this.#referenceIndex = index;
    for (const watched of this.#watched) this.#lookAtLogs(watched, false);
    for (const { machine, host } of this.#watched) if (machine.isUp) this.#replication.look(host);
  }

  #findPartitions(): void {
    for (const { name, partitions } of this.images.reference.topics()) {
      // What is compacted is written anew, with gaps.
      if (!name.startsWith(DATA_PREFIX) || isCompacted(name)) continue;
      for (const { partition } of partitions) {
        const key = `${name}-${partition}`;
        for (const { machine, logs } of this.#watched)
          if (!logs.has(key)) logs.set(key, new PartitionImage(machine.disk, this.#crc32c, name, partition));
      }
    }
  }

  /** `anew`: what was read before may have been overwritten. */
  #lookAtLogs(watched: Watched, anew: boolean): void {
    const { machine, host, logs } = watched;
    if (machine.phase === 'leaving' || (watched.diskChanges === machine.disk.changeCount && !anew)) return;
    watched.diskChanges = machine.disk.changeCount;
    for (const [name, log] of logs)
      log.look((header, bytes) => this.#batches.found(host.name, name, header, bytes), anew);
  }

  /** What is on its disk is all that it has. */
  #crashed(machine: Machine): void {
    const watched = this.#watched.find((one) => one.machine === machine);
    if (watched === undefined || !this.images.hasReference) return;
    this.#lookAtLogs(watched, true);
    this.#replication.crashed(watched.host.id, (topic, index) => watched.host.endOnDisk(topic, index));
  }

  /** An empty disk is in the machine. */
  wiped(machine: Machine): void {
    this.#replication.wiped(this.#cluster.idOf(machine));
    this.#bitRot.wiped(machine.disk);
    for (const watched of this.#watched) if (watched.machine === machine) this.#lost(watched);
  }

  #lost({ host, disk, diskChecker }: Watched): void {
    diskChecker.wiped();
    if (disk.directoryId !== undefined) this.#formerDisks.set(`${host.id} ${disk.directoryId}`, disk.copy());
  }

  /**
   * Whether the machine's disk can be lost without what a majority remembers being lost with it, for every set of voters that counts
   * anywhere. Never before there is a cluster: a disk that was named as one of its first is missed for good.
   */
  mayWipe(machine: Machine): boolean {
    if (this.#voters.length === 0) return false;
    const disk = this.#watched.find((watched) => watched.machine === machine)?.disk;
    if (this.#hasLastCopy(disk)) {
      this.coverage.sometimes('wipe withheld from the last copy');
      return false;
    }
    const views = [...this.#witnesses()].map(({ view }) => view.voters);
    return [this.#voters, ...views].every((voters) => {
      const intact = voters.filter((voter) => this.#diskOf(voter) !== undefined);
      const left = intact.filter((voter) => this.#diskOf(voter) !== disk);
      return left.length === intact.length || 2 * left.length > voters.length;
    });
  }

  /** Whether a majority of every set of voters that counts anywhere has its disks, and none of those machines. */
  canDoWithout(machines: readonly Machine[]): boolean {
    if (this.#voters.length === 0) return false;
    const outside = new Set(this.#watched.flatMap(({ machine, disk }) => (machines.includes(machine) ? disk : [])));
    const views = [...this.#witnesses()].map(({ view }) => view.voters);
    return [this.#voters, ...views].every((voters) => {
      const left = voters
        .map((voter) => this.#diskOf(voter))
        .filter((disk) => disk !== undefined && !outside.has(disk));
      return 2 * left.length > voters.length;
    });
  }

  /** Whether records that were acknowledged might be lost with that disk. */
  #hasLastCopy(disk: DiskImage | undefined): boolean {
    if (!this.images.hasReference) return true;
    for (const { name, partitions } of this.images.reference.topics()) {
      if (!hasRecords(name)) continue;
      // As many disks may be lost at a time as min.insync.replicas has to spare; see `isLost` for what has none.
      const lostMax = isWeak(name) ? Number.POSITIVE_INFINITY : 1;
      for (const state of partitions) {
        const members = [...state.isr, ...state.elr];
        const lost = members.filter((id) => !this.#hasCopy(id, name, state) || this.#watched[id - 1]?.disk === disk);
        if (lost.length === members.length || lost.length > lostMax) return true;
      }
    }
    return false;
  }

  /** Who leads a partition that records are written to, and who follows it there. */
  replicating(): readonly (readonly [leader: Machine, follower: Machine])[] {
    if (!this.images.hasReference) return [];
    return [...this.images.reference.topics()].flatMap(({ name, partitions }) => {
      if (!name.startsWith(DATA_PREFIX)) return [];
      return partitions.flatMap(({ leader, replicas }) =>
        replicas.flatMap((id) => {
          const [from, to] = [this.#cluster.machine(leader ?? 0), this.#cluster.machine(id)];
          return from === undefined || to === undefined || from === to ? [] : [[from, to] as const];
        }),
      );
    });
  }

  /** Whether the disk of which the metadata speak is there, and what it has of the partition not damaged. */
  #hasCopy(id: NodeId, topic: string, { partition, replicas, directories }: Partition): boolean {
    const found = this.#diskOf({ id, directoryId: at(directories, replicas.indexOf(id)) });
    const machine = this.#watched[id - 1]?.machine;
    const isRotten = machine !== undefined && this.#bitRot.isRotten(machine.disk, topic, partition);
    return found !== undefined && !isRotten;
  }

  /**
   * Damages one of the machine's logs, of which enough members in sync or eligible have a copy that is whole: as many disks may be lost
   * at a time as min.insync.replicas has to spare, and nobody knows yet of a damaged one that it is lost.
   */
  rot(machine: Machine, random: Random): string | undefined {
    if (!this.images.hasReference) return undefined;
    const id = this.#cluster.idOf(machine);
    const candidates: (readonly [string, number])[] = [];
    for (const { name, partitions } of this.images.reference.topics()) {
      if (!name.startsWith(DATA_PREFIX) || isVolatile(name) || isWeak(name)) continue;
      for (const state of partitions) {
        const members = [...state.isr, ...state.elr];
        const whole = members.filter((member) => member !== id && this.#hasCopy(member, name, state));
        if (whole.length >= members.length - 1 && whole.length > 0 && state.replicas.some((one) => one === id))
          candidates.push([name, state.partition]);
      }
    }
    const chosen = candidates[random.uint32() % Math.max(1, candidates.length)];
    return chosen && this.#bitRot.strike(random, machine.disk, ...chosen);
  }

  /** At the end, when everything has come to rest. */
  noteRepairs(): void {
    const endOf = (disk: MemoryDisk, topic: string, partition: number): number | undefined =>
      this.#watched.find(({ machine }) => machine.disk === disk)?.logs.get(`${topic}-${partition}`)?.endOffset;
    if (this.#bitRot.isRepaired(endOf)) this.coverage.sometimes('damaged records replaced');
  }

  /** Compares what all nodes have replayed, at whatever index. */
  compareImages(): void {
    for (const { name, view } of this.#witnesses()) this.images.compareNow(name, view);
  }

  #meet(watched: Watched): void {
    const { machine, disk } = watched;
    const { view } = machine;
    watched.version = -1;
    watched.witness = view && { name: `${machine.name}#${machine.lifeCount}`, view, disk };
  }

  #lookAt(witness: Witness): void {
    this.#reach.look(witness);
    this.#raft.look(witness);
    this.images.look(witness.name, witness.view);
  }

  #noteLeader(isLed: boolean): void {
    const now = this.#cluster.world.clock.now();
    if (isLed) this.#ledAt = now;
    else if (now - this.#ledAt >= LEADERLESS_MS) {
      this.coverage.sometimes('no leader for five seconds');
      this.#ledAt = now;
    }
  }

  #committed(index: number, payload: Uint8Array | undefined): void {
    this.images.committed(index, payload);
    if (payload !== undefined) this.#noteVoters(votersIn(this.images.decode(payload)) ?? this.#voters);
    const isDown = ({ id }: Voter): boolean => this.#cluster.machine(id)?.phase === 'down';
    if (this.#voters.some(isDown)) this.coverage.sometimes('entry committed while a voter was down');
  }

  #noteVoters(voters: readonly Voter[]): void {
    if (voters === this.#voters) return;
    const isNew = (voter: Voter): boolean => !this.#voters.some((former) => isSameReplica(former, voter));
    if (this.#voters.length > 0 && voters.some(isNew)) this.coverage.sometimes('wiped replica replaced');
    this.#voters = voters;
  }

  #diskOf({ id, directoryId }: ReplicaKey): DiskImage | undefined {
    const disk = this.#watched[id - 1]?.disk;
    return disk?.directoryId === directoryId ? disk : undefined;
  }

  *#witnesses(): Iterable<Witness> {
    for (const { witness } of this.#watched) if (witness !== undefined) yield witness;
  }
}
