/** Nodes that start with empty disks, in one process: what they say may be lost, repeated, or reach a later life of a node. */
import type { Uuid } from '#model/ids';
import { isSameReplica, type ReplicaKey, type Voter } from '#model/voter';
import { type ClusterMembership, FirstQuorum, type FirstQuorumOutput } from '#raft/first-quorum';
import type { FirstQuorumMessage, PeerAddress, RaftEntry } from '#raft/messages';
import { bytesOf, directoryOf, nameOf, seededRandom, textOf, voterOf, votersInText } from './support.ts';

export const INTRODUCTION_MS = 100;

export interface FoundingFlight {
  readonly from: number;
  readonly to: number;
  readonly message: FirstQuorumMessage;
}

export class Founder {
  readonly id: number;
  /** How often it was wiped. */
  wiped = 0;
  lives = 0;
  process: FirstQuorum | undefined;
  /** On its disk. */
  entry: RaftEntry | undefined;
  /** On its way to the disk. */
  writing: RaftEntry | undefined;
  /** A snapshot has taken the place of the first entry. */
  isCompacted = false;
  notices: string[] = [];

  constructor(id: number) {
    this.id = id;
  }

  get self(): Voter {
    return voterOf(this.id, this.wiped);
  }
}

export class Founding {
  readonly nodes: readonly Founder[];
  now = 0;
  flying: FoundingFlight[] = [];
  readonly #lists: ReadonlyMap<number, readonly number[]>;
  #clusters = 0;
  /** Called when something has come to a disk, or gone from it. */
  readonly #changed: (founding: Founding) => void;

  /** `lists`: what a node is told of the voters, where that is not all of them. */
  constructor(
    ids: readonly number[],
    lists: ReadonlyMap<number, readonly number[]> = new Map(),
    changed: (founding: Founding) => void = () => {},
  ) {
    this.nodes = ids.map((id) => new Founder(id));
    this.#lists = lists;
    this.#changed = changed;
  }

  node(id: number): Founder {
    const found = this.nodes.find((node) => node.id === id);
    if (found === undefined) throw new Error(`no node ${id}`);
    return found;
  }

  start(node: Founder): void {
    node.lives += 1;
    const listed = this.#lists.get(node.id) ?? this.nodes.map(({ id }) => id);
    node.process = new FirstQuorum(
      {
        self: node.self,
        voters: listed.map(addressOf),
        random: seededRandom(node.id * 1000 + node.lives),
        introductionMs: INTRODUCTION_MS,
        bootstrapIn,
        member: membership(node),
      },
      this.now,
    );
    this.settle(node);
  }

  crash(node: Founder): void {
    node.process = undefined;
    node.writing = undefined;
  }

  wipe(node: Founder): void {
    this.crash(node);
    node.wiped += 1;
    node.entry = undefined;
    node.isCompacted = false;
    this.#changed(this);
  }

  tick(node: Founder): void {
    node.process?.tick(this.now);
    this.settle(node);
  }

  write(node: Founder): void {
    if (node.writing === undefined) return;
    node.entry = node.writing;
    node.writing = undefined;
    const member = membership(node);
    if (member !== undefined) node.process?.joined(member);
    this.#changed(this);
    this.settle(node);
  }

  deliver({ from, to, message }: FoundingFlight): void {
    const node = this.node(to);
    node.process?.received(message, addressOf(from));
    this.settle(node);
  }

  settle(node: Founder): void {
    const output: FirstQuorumOutput | undefined = node.process?.takeOutput();
    if (output === undefined) return;
    for (const { to, message } of output.messages) this.flying.push({ from: node.id, to: to.id, message });
    if (output.notice !== undefined) node.notices.push(output.notice);
    if (output.accept !== undefined) node.writing = output.accept;
    if (output.propose !== undefined) {
      this.#clusters += 1;
      node.writing = { index: 1, epoch: 0, payload: bytesOf(`${this.#clusters} ${namesOf(output.propose)}`) };
    }
  }

  /** Everything that runs goes on without faults. */
  calm(durationMs: number): void {
    for (const end = this.now + durationMs; this.now < end; this.now += 10) {
      for (const node of this.nodes) {
        this.write(node);
        if ((node.process?.deadline ?? Number.POSITIVE_INFINITY) <= this.now) this.tick(node);
      }
      for (const flight of this.flying.splice(0)) this.deliver(flight);
    }
  }
}

export function bootstrapIn(
  payload: Uint8Array,
): { readonly clusterId: Uuid; readonly voters: readonly Voter[] } | undefined {
  const [number, names] = textOf(payload).split(' ');
  const voters = votersInText(`voters ${names}`);
  return names === undefined || voters === undefined ? undefined : { clusterId: directoryOf(Number(number)), voters };
}

/** Whether that disk has not been wiped, and begins with the entry. */
export function holds(node: Founder, voter: ReplicaKey, entry: string): boolean {
  return isSameReplica(node.self, voter) && node.entry !== undefined && textOf(node.entry.payload) === entry;
}

export function stages({ nodes }: Founding): readonly string[] {
  return nodes.map(({ process }) => process?.stage ?? 'down');
}

export function entriesOf({ nodes }: Founding): readonly (string | undefined)[] {
  return nodes.map(({ entry }) => entry && textOf(entry.payload));
}

export function addressOf(id: number): PeerAddress {
  const { host, port, id: node } = voterOf(id);
  return { id: node, host, port };
}

function namesOf(voters: readonly Voter[]): string {
  return voters.map(nameOf).join(',');
}

function membership({ entry, isCompacted }: Founder): ClusterMembership | undefined {
  const founded = entry && bootstrapIn(entry.payload);
  return founded && { clusterId: founded.clusterId, bootstrap: isCompacted ? undefined : entry };
}
