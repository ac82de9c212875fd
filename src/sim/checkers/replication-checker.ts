/**
 * The invariants of replicated partitions (I1, I3 to I6, I9, I11 of the replication literature: hachikuji's TLA+ model, KIP-101, KIP-966),
 * looked at whenever a replica or the metadata of its partition has changed.
 */
import type { EpochStart } from '#log/leader-epoch-cache';
import type { MetadataImage } from '#metadata/image';
import { type Partition, ResourceType } from '#metadata/records';
import type { NodeId, Uuid } from '#model/ids';
import type { CoveragePoint } from '../coverage.ts';
import type { ReplicaLogView, ReplicaView } from '../node-view.ts';
import { check } from './violation.ts';

/** In which a node hears of another config, or of other replicas, and brings it into effect, whatever its disk does; or it is fenced. */
const IN_EFFECT_MS = 15_000;

/** A replica that has just been opened is seen after so many events at the latest. */
const LOOKS_PER_LIST = 50;

/** A machine as this checker sees it. */
export interface ReplicaHost {
  readonly id: number;
  /** Unique to the process, for messages: n1#3. */
  readonly name: string;
  /** Of its present process; empty while it is down. */
  replicas(): Iterable<ReplicaView>;
  /** The metadata by which its present process goes. */
  image(): MetadataImage | undefined;
  /** Where the log ends that its power, if it went now, would leave on its disk; undefined if nobody can say. */
  endOnDisk(topic: string, index: number): number | undefined;
}

export interface ReplicationCheckerHost {
  /** Everything committed. */
  reference(): MetadataImage;
  /** Whether the disk that the metadata speak of is still the one in the machine. */
  isDiskOf(id: number, directoryId: Uuid): boolean;
  now(): number;
  /** Whether the topic has flush.policy=os at times. */
  isVolatile(topic: string): boolean;
  /** What was committed from `offset` on, up to that leader epoch, may be lost: no member had it on its disk, and all lost their power. */
  lost(partition: string, offset: number, leaderEpoch: number): void;
  sometimes(point: CoveragePoint): void;
}

/** What was last seen of a replica. */
interface Seen {
  readonly name: string;
  readonly view: ReplicaView;
  leaderEpoch: number;
  leads: boolean;
  highWatermark: number;
  log: ReplicaLogView | undefined;
  durableOffset: number;
  logEndOffset: number;
  isWiped: boolean;
  isBeingCut: boolean;
}

interface PartitionHistory {
  readonly name: string;
  readonly topic: string;
  readonly index: number;
  readonly isVolatile: boolean;
  /**
   * Members whose machines lost their power, and with it what they had not synced: in which broker epochs. 'in-passing': the topic had
   * come to ask for fsync a moment before, and the metadata cannot know of it, until they have everything again.
   */
  readonly struck: Map<number, number | 'in-passing'>;
  /** How many must be in sync for anything to be committed, before that changed last, and since. */
  minIsr: { readonly value: number; readonly former: number; readonly at: number };
  /** No leader to come is without what is below. */
  committed: number;
  /** Which epoch wrote what is below `committed`. */
  lineage: EpochStart[];
  /** The latest state of it in the metadata that was looked at. */
  state: Partition | undefined;
  /** By broker; that of a machine which is down stays as it was. */
  readonly replicas: Map<number, Seen>;
}

/** A partition's history is found once for all looks at a replica. */
interface CheckedReplica {
  readonly view: ReplicaView;
  readonly history: PartitionHistory;
}

export class ReplicationChecker {
  readonly #host: ReplicationCheckerHost;
  readonly #isChecked: (topic: string) => boolean;
  readonly #checked = new Map<ReplicaHost, { name: string; replicas: readonly CheckedReplica[]; looksLeft: number }>();
  readonly #histories = new Map<string, PartitionHistory>();

  /** `isChecked`: the topics that are looked at; they keep every record. */
  constructor(host: ReplicationCheckerHost, isChecked: (topic: string) => boolean) {
    this.#host = host;
    this.#isChecked = isChecked;
  }

  /** Something may have happened to the machine's replicas. */
  look(host: ReplicaHost): void {
    const { id, name } = host;
    for (const { view, history } of this.#checkedReplicas(host)) {
      const seen = history.replicas.get(id);
      if (seen === undefined || seen.name !== name || seen.view !== view) {
        history.replicas.set(id, remember(name, view, seen));
        this.#changed(history, host, view, undefined);
      } else if (isOther(seen, view)) {
        const before = { ...seen };
        Object.assign(seen, remember(name, view, seen));
        this.#changed(history, host, view, before);
      }
    }
  }

  /** The metadata have changed. */
  metadataChanged(): void {
    for (const { id, name, partitions } of this.#host.reference().topics()) {
      if (!this.#isChecked(name)) continue;
      for (const state of partitions) {
        const history = this.#historyOf(id, name, state.partition);
        this.#noteMinIsr(history, state);
        if (history.state === state && history.struck.size === 0) continue;
        const { state: before } = history;
        history.state = state;
        if (before !== undefined && before.isr.length > state.isr.length)
          this.#host.sometimes('in-sync replicas shrunk');
        if (before !== undefined && isMoving(before) && !isMoving(state))
          this.#host.sometimes('reassignment completed');
        if (before !== undefined && before.isr.length < state.isr.length)
          this.#host.sometimes('in-sync replicas grown');
        this.#judgeLoss(history);
        this.#checkMembers(history);
      }
    }
  }

  /** What was not synced is lost; `endOf` reads on the disk itself where logs end, of those that are not damaged. */
  crashed(id: number, endOf: (topic: string, index: number) => number | undefined): void {
    for (const history of this.#histories.values()) {
      const seen = history.replicas.get(id);
      // A log that is being given up, or made anew, may be anywhere.
      if (seen?.log === undefined || seen.isWiped || seen.isBeingCut) continue;
      if (history.state?.replicas.some((replica) => replica === id) !== true) {
        // Whoever comes back to find that it has moved away deletes its log; should it be made a replica again, it begins anew.
        history.replicas.delete(id);
        continue;
      }
      const end = endOf(history.topic, history.index);
      if (end === undefined) continue;
      check(
        end >= seen.durableOffset || history.isVolatile,
        'S1',
        () =>
          `${seen.name} had ${seen.durableOffset} of ${history.name} on its disk, and after a crash ${end} is there`,
      );
      if (end >= seen.durableOffset) continue;
      seen.durableOffset = end;
      const { brokers } = this.#host.reference();
      history.struck.set(id, this.#isSynced(history) ? 'in-passing' : (brokers.get(id as NodeId)?.brokerEpoch ?? -1));
      this.#host.sometimes('unsynced records lost');
      this.#judgeLoss(history);
    }
  }

  /**
   * With flush.policy=os what was committed is lost when every member has lost its power before it was synced, and only then; what they
   * all had synced is there even so. Or when one leads of which the metadata could not know it.
   */
  #judgeLoss(history: PartitionHistory): void {
    const { state, struck, replicas } = history;
    if (state === undefined || struck.size === 0) return;
    const members = [...state.isr, ...state.elr];
    for (const id of struck.keys()) if (!members.some((member) => member === id)) struck.delete(id);
    const left = members.filter((id) => this.#hasDirectory(state, id));
    const isInPassing = (id: NodeId): boolean => id === state.leader && struck.get(id) === 'in-passing';
    const deciding = left.every((id) => struck.has(id)) ? left : left.filter(isInPassing);
    if (struck.size === 0 || deciding.length === 0) return;
    const ends = deciding.map((id) => replicas.get(id)?.durableOffset ?? 0);
    for (const id of deciding) struck.delete(id);
    const floor = Math.min(...ends);
    if (floor >= history.committed) return;
    history.committed = floor;
    history.lineage = history.lineage.filter(({ startOffset }) => startOffset < floor);
    this.#host.sometimes('committed records lost with flush.policy=os');
    this.#host.lost(history.name, floor, state.leaderEpoch);
  }

  #hasDirectory(state: Partition, id: NodeId): boolean {
    const directoryId = state.directories[state.replicas.indexOf(id)];
    return directoryId !== undefined && this.#host.isDiskOf(id, directoryId);
  }

  /** The disk is gone, with all that was on it; what its replicas had told counts where nobody knows of that yet. */
  wiped(id: number): void {
    for (const { replicas } of this.#histories.values()) {
      const seen = replicas.get(id);
      if (seen !== undefined) seen.isWiped = true;
    }
  }

  /** Those that the host had not long ago: to go through all of them after every event would be most of the work. */
  #checkedReplicas(host: ReplicaHost): readonly CheckedReplica[] {
    const known = this.#checked.get(host);
    if (known !== undefined && known.name === host.name && known.looksLeft > 0) {
      known.looksLeft -= 1;
      return known.replicas;
    }
    const replicas: CheckedReplica[] = [];
    for (const view of host.replicas()) {
      if (this.#isChecked(view.topic))
        replicas.push({ view, history: this.#historyOf(view.topicId, view.topic, view.index) });
    }
    // One that has gone, and may come again: its log is deleted.
    for (const { view, history } of known?.replicas ?? []) {
      if (known?.name !== host.name || replicas.some((replica) => replica.view === view)) continue;
      const seen = history.replicas.get(host.id);
      if (seen?.view === view) seen.log = undefined;
    }
    this.#checked.set(host, { name: host.name, replicas, looksLeft: LOOKS_PER_LIST });
    return replicas;
  }

  #changed(history: PartitionHistory, host: ReplicaHost, view: ReplicaView, before: Seen | undefined): void {
    const { id } = host;
    const { log, highWatermark } = view;
    const who = `${history.replicas.get(id)?.name} (${history.name})`;
    if (log === undefined) return;
    check(
      highWatermark <= log.durableOffset || view.isBeingCut,
      'I3',
      () =>
        `${who} takes everything below ${highWatermark} for committed, but has only ${log.durableOffset} on its disk`,
    );
    const end = host.endOnDisk(history.topic, history.index);
    check(
      end === undefined || log.durableOffset <= end || history.isVolatile || view.isBeingCut,
      'S1',
      () => `${who} takes everything below ${log.durableOffset} for durable, but its disk ends at ${end}`,
    );
    // A follower whose log was of no use starts anew, below what it had.
    // With flush.policy=os it may have had what is lost now.
    const mayFall =
      before?.log !== log || (history.isVolatile && (view.isBeingCut || highWatermark >= log.logEndOffset));
    check(
      mayFall || before === undefined || highWatermark >= before.highWatermark,
      'I3',
      () => `${who} goes back from high watermark ${before?.highWatermark} to ${highWatermark}`,
    );
    if (before !== undefined && before.log === log && log.logEndOffset < before.logEndOffset && !view.leads)
      this.#host.sometimes('follower truncated');
    if (view.leads && view.isReady) this.#checkServed(history, host, view, log);
    this.#checkMembers(history);
  }

  /** What a leader shows as committed is on enough disks, and nothing that was committed before is missing (I1, I5, I11). */
  #checkServed(history: PartitionHistory, host: ReplicaHost, view: ReplicaView, log: ReplicaLogView): void {
    const { id } = host;
    const { highWatermark } = view;
    const who = `${history.replicas.get(id)?.name} leads ${history.name} in epoch ${view.leaderEpoch}`;
    const isPresent = history.state?.leaderEpoch === view.leaderEpoch && history.state.leader === id;
    check(
      highWatermark >= history.committed || !isPresent,
      'I11',
      () => `${who} and serves what is below ${highWatermark}, but ${history.committed} was committed`,
    );
    if (highWatermark <= history.committed) return;
    const atLeast = this.#minIsr(history, host);
    if (holdersOf(history, highWatermark) < atLeast) this.#seeNewcomers(history);
    const holders = holdersOf(history, highWatermark);
    check(
      holders >= atLeast,
      'I5',
      () =>
        `${who} and takes ${highWatermark} for committed, which is on ${holders} disks of at least ${atLeast}: ${wordsOfReplicas(history)}`,
    );
    this.#commit(history, highWatermark, log);
  }

  /** Replicas that were opened since the lists were made. */
  #seeNewcomers(history: PartitionHistory): void {
    for (const host of this.#checked.keys()) {
      for (const view of host.replicas()) {
        const isOfHistory =
          this.#isChecked(view.topic) && this.#historyOf(view.topicId, view.topic, view.index) === history;
        if (isOfHistory) history.replicas.set(host.id, remember(host.name, view, history.replicas.get(host.id)));
      }
    }
  }

  #commit(history: PartitionHistory, to: number, log: ReplicaLogView): void {
    const { committed } = history;
    // In the cache of a log whose records were deleted an epoch that has begun before begins where the log does now.
    const known = history.lineage.at(-1)?.epoch ?? -1;
    const added = log.epochs.entries.filter(
      ({ epoch, startOffset }) => epoch > known && startOffset >= committed && startOffset < to,
    );
    history.lineage.push(...added);
    history.committed = to;
  }

  /** Whoever may become leader has all that is committed, from the same leaders (I1, I4, I6, I9). */
  #checkMembers(history: PartitionHistory): void {
    const { state, committed, name } = history;
    if (state === undefined) return;
    for (const id of [...state.isr, ...state.elr]) {
      const seen = history.replicas.get(id);
      if (seen?.log === undefined || !this.#hasDirectory(state, id)) continue;
      const struck = history.struck.get(id);
      if (struck === 'in-passing') {
        if (seen.durableOffset < committed) continue;
        history.struck.delete(id);
      }
      // Nobody can know of it before it registers again.
      if (struck === this.#host.reference().brokers.get(id)?.brokerEpoch) continue;
      check(
        seen.durableOffset >= committed,
        'I6',
        () => `${seen.name} may lead ${name} with ${seen.durableOffset} on its disk, but ${committed} was committed`,
      );
      const fault = faultOfLineage(history.lineage, committed, seen.log);
      check(fault === undefined, 'I1', () => `${seen.name} may lead ${name}, but ${fault}`);
    }
  }

  /** Whether the metadata take it that nothing of the topic is acknowledged before it is synced. */
  #isSynced({ topic }: PartitionHistory): boolean {
    return this.#host.reference().configs(ResourceType.Topic, topic).get('flush.policy') !== 'os';
  }

  /** A leader goes by what it knows, and brings something else into effect when its disk lets it. */
  #minIsr({ topic, index, minIsr }: PartitionHistory, host: ReplicaHost): number {
    const recent = this.#host.now() - minIsr.at < IN_EFFECT_MS ? minIsr.former : minIsr.value;
    const image = host.image();
    const state = image?.partition(topic, index);
    if (image === undefined || state === undefined) return Math.min(recent, minIsr.value);
    return Math.min(minIsrOf(image, topic, state), recent, minIsr.value);
  }

  #noteMinIsr(history: PartitionHistory, state: Partition): void {
    const { value, former, at } = history.minIsr;
    const now = this.#host.now();
    const minIsr = minIsrOf(this.#host.reference(), history.topic, state);
    if (value === minIsr) return;
    // Several may follow each other before the leader hears of them.
    history.minIsr = { value: minIsr, former: now - at < IN_EFFECT_MS ? Math.min(former, value) : value, at: now };
  }

  #historyOf(topicId: Uuid, topic: string, index: number): PartitionHistory {
    const key = `${topicId}-${index}`;
    let history = this.#histories.get(key);
    if (history === undefined) {
      history = {
        name: `${topic}-${index}`,
        topic,
        index,
        isVolatile: this.#host.isVolatile(topic),
        struck: new Map(),
        minIsr: { value: 1, former: 1, at: 0 },
        committed: 0,
        lineage: [],
        state: undefined,
        replicas: new Map(),
      };
      this.#histories.set(key, history);
    }
    return history;
  }
}

function holdersOf({ replicas, state }: PartitionHistory, end: number): number {
  // One that has moved away has nothing any more.
  const isThere = (id: number, { log }: Seen): boolean =>
    log !== undefined || state?.replicas.some((replica) => replica === id) === true;
  return [...replicas].filter(([id, seen]) => isThere(id, seen) && seen.durableOffset >= end).length;
}

/** min.insync.replicas; never more than there are replicas. */
function minIsrOf(image: MetadataImage, topic: string, { replicas }: Partition): number {
  return Math.min(Number(image.configs(ResourceType.Topic, topic).get('min.insync.replicas') ?? 1), replicas.length);
}

function isMoving({ adding, removing }: Partition): boolean {
  return adding.length > 0 || removing.length > 0;
}

function wordsOfReplicas({ state, replicas }: PartitionHistory): string {
  const words = [...replicas.values()].map(
    ({ name, durableOffset, leaderEpoch }) => `${name} has ${durableOffset} in epoch ${leaderEpoch}`,
  );
  return `in sync ${state?.isr.join()} of ${state?.replicas.join()} in epoch ${state?.leaderEpoch}; ${words.join(', ')}`;
}

/** What a log that is closed had on its disk is there still. */
function remember(name: string, view: ReplicaView, before: Seen | undefined): Seen {
  const { leaderEpoch, leads, highWatermark, log, isBeingCut } = view;
  const { durableOffset = 0, logEndOffset = 0 } = log ?? (before?.isWiped ? {} : (before ?? {}));
  return {
    name,
    view,
    leaderEpoch,
    leads,
    highWatermark,
    log,
    durableOffset,
    logEndOffset,
    isWiped: false,
    isBeingCut,
  };
}

function isOther(seen: Seen, { leaderEpoch, leads, highWatermark, log, isBeingCut }: ReplicaView): boolean {
  return (
    seen.highWatermark !== highWatermark ||
    seen.log !== log ||
    (log !== undefined && (seen.logEndOffset !== log.logEndOffset || seen.durableOffset !== log.durableOffset)) ||
    seen.leaderEpoch !== leaderEpoch ||
    seen.isBeingCut !== isBeingCut ||
    seen.leads !== leads
  );
}

/** Between its start and `committed` the epochs of a log begin where they did for everybody: a sentence if not. */
function faultOfLineage(lineage: readonly EpochStart[], committed: number, log: ReplicaLogView): string | undefined {
  const isHeld = ({ startOffset }: EpochStart): boolean =>
    startOffset < committed && (startOffset > log.logStartOffset || log.logStartOffset === 0);
  const wanted = lineage.filter(isHeld);
  const found = log.epochs.entries.filter(isHeld);
  const length = Math.max(wanted.length, found.length);
  for (let index = 0; index < length; index += 1) {
    const [a, b] = [wanted[index], found[index]];
    if (a?.epoch !== b?.epoch || a?.startOffset !== b?.startOffset)
      return `it has ${wordsOf(b)} where ${wordsOf(a)} was committed, below ${committed}; its log from ${log.logStartOffset} to ${log.logEndOffset} is of ${log.epochs.entries.map(wordsOf).join(', ')}`;
  }
  return undefined;
}

function wordsOf(start: EpochStart | undefined): string {
  return start === undefined ? 'no epoch' : `epoch ${start.epoch} from ${start.startOffset}`;
}
