/** What depends on who could reach whom: nobody raises the epoch alone, and no broker that answers is taken for dead. */
import type { MetadataRecord } from '#metadata/records';
import type { Cluster } from '../cluster.ts';
import type { CoveragePoint } from '../coverage.ts';
import type { NodeView } from '../node-view.ts';
import { majorityOf, type Witness } from './raft-checker.ts';
import { check } from './violation.ts';

/** A vote that was asked for before a replica was cut off may still come to something: two election timeouts, and clocks that differ. */
const ASKED_BEFORE_MS = 4500;
/** A session of 2 s by clocks that differ by up to a tenth, and what heartbeats need under way. */
const SESSION_MS = 2500;
/** No session has ended so soon after it began, */
const YOUNG_MS = 1800;
/** and only a refusal, so short a time ago, says sooner that a process is gone. */
const PROBED_MS = 1000;

export class ReachChecker {
  readonly #cluster: Cluster;
  readonly #sometimes: (point: CoveragePoint) => void;
  /** By broker epoch, the index of its entry: which process of its machine that is, and when it was registered. */
  readonly #registered = new Map<number, { readonly life: number; readonly at: number }>();
  readonly #epochs = new WeakMap<NodeView, number>();

  constructor(cluster: Cluster, sometimes: (point: CoveragePoint) => void) {
    this.#cluster = cluster;
    this.#sometimes = sometimes;
  }

  look({ name, view }: Witness): void {
    const before = this.#epochs.get(view);
    if (before === view.epoch) return;
    this.#epochs.set(view, view.epoch);
    const votedForSelf = view.hardState.votedFor?.id === view.self.id && view.hardState.epoch === view.epoch;
    if (before === undefined || !votedForSelf) return;
    const since = this.#cluster.world.clock.now() - ASKED_BEFORE_MS;
    const near = view.voters.filter(({ id }) => !this.#isCutOff(view.self.id, id, since)).length;
    check(
      near >= majorityOf(view.voters),
      'pre-vote',
      () =>
        `${name} raises the epoch to ${view.epoch}, but could reach only ${near} of ${view.voters.length} voters for ${ASKED_BEFORE_MS} ms`,
    );
  }

  /** The controller has decided something, as the entry `index`. */
  decided({ name, view }: Witness, index: number, records: readonly MetadataRecord[]): void {
    for (const record of records) {
      if (record.kind === 'registerBroker') this.#noteRegistered(index, record.broker.id);
      if (record.kind === 'unfenceBroker') this.#checkUnfenced(name, record.id, record.brokerEpoch);
      if (record.kind !== 'fenceBroker') continue;
      const isReplaced = records.some((other) => other.kind === 'registerBroker' && other.broker.id === record.id);
      this.#sometimes(isReplaced ? 'broker replaced by its next incarnation' : 'broker fenced');
      if (!isReplaced) this.#checkFenced(name, view.self.id, record.id, record.brokerEpoch);
    }
  }

  /** A broker serves when it has replayed its own registration, not before. */
  #checkUnfenced(who: string, id: number, brokerEpoch: number): void {
    const machine = this.#cluster.machine(id);
    // Its successor is there already, and has asked for nothing yet.
    if (this.#registered.get(brokerEpoch)?.life !== machine?.lifeCount) return;
    const applied = machine?.view?.appliedIndex;
    check(
      machine?.isUp !== true || applied === undefined || applied >= brokerEpoch,
      'I7',
      () =>
        `${who} unfences broker ${id} of epoch ${brokerEpoch}, whose process has replayed only ${applied}: it cannot have asked for that`,
    );
  }

  #checkFenced(who: string, controllerId: number, id: number, brokerEpoch: number): void {
    const controller = this.#cluster.machine(controllerId);
    const broker = this.#cluster.machine(id);
    if (controller === undefined || broker === undefined) return;
    // The one that was registered is gone; who is in its place waits to register.
    const registered = this.#registered.get(brokerEpoch);
    if (registered?.life !== broker.lifeCount) return;
    if (broker.isUp) this.#sometimes('broker fenced by mistake');
    // It stands for election in a later epoch, as one does with a disk that does not come to store the vote: it has nothing to say to this controller.
    if ((broker.view?.epoch ?? 0) > (controller.view?.epoch ?? 0)) return;
    const now = this.#cluster.world.clock.now();
    const since = this.#cluster.talkSince(controller, broker);
    check(
      now - since < SESSION_MS,
      'fencing',
      () => `${who} fences broker ${id}, which could talk to it for the last ${Math.round(now - since)} ms`,
    );
    if (!broker.isUp || broker.isStopping) return;
    const refusedAt = this.#cluster.link(controller, broker).refusedAt;
    check(
      now - registered.at >= YOUNG_MS || now - refusedAt < PROBED_MS,
      'fencing',
      () =>
        `${who} fences broker ${id}, which has registered ${Math.round(now - registered.at)} ms ago, and was refused by nobody`,
    );
  }

  #noteRegistered(index: number, id: number): void {
    const life = this.#cluster.machine(id)?.lifeCount ?? 0;
    this.#registered.set(index, { life, at: this.#cluster.world.clock.now() });
  }

  #isCutOff(from: number, to: number, since: number): boolean {
    const [a, b] = [this.#cluster.machine(from), this.#cluster.machine(to)];
    return a !== undefined && b !== undefined && this.#cluster.apartSince(a, b) <= since;
  }
}
