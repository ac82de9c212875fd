import type { Clock, Endpoint, Timer } from '#base/ports';
import { BrokerLiveness } from '#metadata/broker-liveness';
import type { BrokerCommand } from '#metadata/broker-states';
import type { BrokerListener } from '#metadata/records';
import { ErrorCode } from '#model/errors';
import type { NodeId, Uuid } from '#model/ids';
import type { PlantedBugs } from '#model/planted-bugs';
import type { Heartbeat, HeartbeatAnswer } from './controller-protocol.ts';
import { FullDirectories } from './full-directories.ts';
import type { MetadataController } from './metadata-controller.ts';
import type { MetadataQuorum } from './metadata-quorum.ts';
import type { PeerNetwork } from './peer-network.ts';
import type { PeerHello } from './peer-types.ts';

export interface BrokerSessionsOptions {
  readonly sessionMs: number;
  readonly heartbeatMs: number;
  readonly planted: PlantedBugs;
  /** Where other brokers reach one that has these listeners. */
  readonly endpointOf: (listeners: readonly BrokerListener[]) => Endpoint | undefined;
}

const PROBE_MS = 300;
/** Between the two probes of one suspicion. */
const PROBE_GAP_MS = 20;
/**
 * Replicas of brokers that are fenced in one entry, unless one alone has more: it is decided in one turn, which must not take so long that
 * this node loses its place. 9,000 take 0.08 s, 97,000 0.5 s (bench/metadata-scale.ts).
 */
const FENCED_REPLICAS_MAX = 10_000;
/** How often voters that want to come or go are looked for. */
const VOTERS_MS = 300;

/**
 * The active controller's view of who lives: takes heartbeats, probes who is suspected, fences who is gone and unfences who is back.
 * The judgement is BrokerLiveness; this carries it out. Idle on every other node.
 */
export class BrokerSessions {
  readonly #clock: Clock;
  readonly #quorum: MetadataQuorum;
  readonly #controller: MetadataController;
  readonly #peers: PeerNetwork;
  readonly #planted: PlantedBugs;
  readonly #endpointOf: BrokerSessionsOptions['endpointOf'];
  readonly #liveness: BrokerLiveness;
  readonly #timer: Timer;
  readonly #votersTimer: Timer;
  readonly #full = new FullDirectories();
  /** A directory has been full for long enough to be left. */
  onDirectoryFull: () => void = () => {};
  /** Found gone, and not fenced yet: at most as many as there are brokers. */
  #gone: BrokerCommand[] = [];
  #isFencing = false;
  readonly #unfencing = new Set<NodeId>();
  readonly #probing = new Set<NodeId>();
  #isActive = false;
  #stopped = false;
  #formerLeader: NodeId | undefined;

  constructor(
    clock: Clock,
    parts: {
      readonly quorum: MetadataQuorum;
      readonly controller: MetadataController;
      readonly peers: PeerNetwork;
    },
    options: BrokerSessionsOptions,
  ) {
    this.#clock = clock;
    this.#quorum = parts.quorum;
    this.#controller = parts.controller;
    this.#peers = parts.peers;
    this.#planted = options.planted;
    this.#endpointOf = options.endpointOf;
    this.#liveness = new BrokerLiveness(options);
    this.#timer = clock.timer((lateMs) => {
      if (!this.#isActive) return;
      this.#liveness.tick(clock.now(), lateMs);
      this.#carryOut();
    });
    this.#votersTimer = clock.timer(() => this.#tendVoters());
    parts.quorum.onRole(() => this.#roleChanged());
    parts.quorum.publisher.subscribe(({ brokers }, image) => {
      if (!this.#isActive) return;
      for (const id of brokers) this.#liveness.changed(id, image.brokers.get(id), clock.now());
    });
  }

  get isActive(): boolean {
    return this.#isActive;
  }

  /** Brokers with a session. */
  get sessionCount(): number {
    return this.#isActive ? this.#liveness.sessionCount : 0;
  }

  /** Where leaders should not be, and should not return to. */
  fullDirectories(): readonly Uuid[] {
    return this.#full.current(this.#clock.now());
  }

  heard(heartbeat: Heartbeat): HeartbeatAnswer {
    if (!this.#isActive) return { errorCode: ErrorCode.NotController };
    const { id, brokerEpoch, incarnation } = heartbeat;
    const broker = this.#quorum.image.brokers.get(id);
    if (broker === undefined) return { errorCode: ErrorCode.BrokerIdNotRegistered };
    const isStale = broker.brokerEpoch !== brokerEpoch || broker.incarnation !== incarnation;
    // PLANTED BUG accept-stale-broker-epoch: what an earlier process has sent counts for the present one.
    if (isStale && !this.#planted.has('accept-stale-broker-epoch')) return { errorCode: ErrorCode.StaleBrokerEpoch };
    this.#liveness.heard(id, broker.brokerEpoch, this.#clock.now());
    // It knows its own registration, and so all that was decided before it came.
    const isCaughtUp = heartbeat.appliedIndex >= brokerEpoch;
    const full = (heartbeat.fullDirectories ?? []).filter((directory) => broker.directories.includes(directory));
    if (this.#full.note(full, this.#clock.now())) this.onDirectoryFull();
    if (broker.fenced && heartbeat.wantsWork && isCaughtUp) void this.#unfence(id, broker.brokerEpoch);
    this.#carryOut();
    return { errorCode: ErrorCode.None, fenced: broker.fenced };
  }

  /** A connection with the node is lost by the other end's doing. */
  lost(peer: PeerHello): void {
    if (this.#quorum.image.brokers.get(peer.id)?.incarnation === peer.incarnation) this.#suspect(peer.id);
  }

  /** A process has greeted this node: if it is not the one that is registered under its id, that one may be gone. */
  greeted(peer: PeerHello): void {
    if (this.#quorum.image.brokers.get(peer.id)?.incarnation !== peer.incarnation) this.#suspect(peer.id);
  }

  stop(): void {
    this.#stopped = true;
    this.#isActive = false;
    this.#timer.disarm();
    this.#votersTimer.disarm();
  }

  #roleChanged(): void {
    if (this.#stopped) return;
    const { isActive, leaderId, self } = this.#quorum;
    if (leaderId !== undefined && leaderId !== self.id) this.#formerLeader = leaderId;
    if (isActive === this.#isActive) return;
    this.#isActive = isActive;
    this.#gone = [];
    this.#full.clear();
    if (!isActive) {
      this.#timer.disarm();
      this.#votersTimer.disarm();
      return;
    }
    const { image, leaderHeardAt: heardAt } = this.#quorum;
    const former = this.#formerLeader === undefined ? {} : { former: { id: this.#formerLeader, heardAt } };
    // If this node leads twice running, it is itself who led before: what it has heard since is more than it heard as a follower.
    this.#formerLeader = undefined;
    this.#liveness.activated(image.brokers.values(), this.#clock.now(), { self: self.id, ...former });
    this.#carryOut();
    this.#votersTimer.arm(VOTERS_MS);
  }

  #suspect(id: NodeId): void {
    if (!this.#isActive || this.#quorum.image.brokers.get(id)?.fenced !== false) return;
    this.#liveness.suspected(id, this.#clock.now());
    this.#carryOut();
  }

  #carryOut(): void {
    const { probe, fence } = this.#liveness.takeOutput();
    for (const id of probe) void this.#probe(id);
    this.#gone.push(...fence);
    if (this.#gone.length > 0 && !this.#isFencing) void this.#fenceGone();
    const { deadline } = this.#liveness;
    if (deadline === Number.POSITIVE_INFINITY) this.#timer.disarm();
    else this.#timer.arm(Math.max(0, deadline - this.#clock.now()));
  }

  /**
   * Whoever is found gone in the same turn, or while an entry is on its way, shares the next one: a rack that is lost is a few entries, not
   * one for each of its brokers, and none of them is elected in place of another.
   */
  async #fenceGone(): Promise<void> {
    this.#isFencing = true;
    await new Promise<void>((resolve) => this.#clock.defer(resolve));
    while (this.#gone.length > 0) {
      const brokers = this.#takeGone();
      const decided = await this.#controller.submit('fenceBrokers', { brokers });
      if (typeof decided === 'object' || !this.#isActive) continue;
      for (const command of brokers) this.#liveness.notFenced(command, this.#clock.now());
      this.#carryOut();
    }
    this.#isFencing = false;
  }

  #takeGone(): readonly BrokerCommand[] {
    const { image } = this.#quorum;
    let replicas = 0;
    const next = this.#gone.findIndex(({ id }, place) => {
      replicas += image.replicaCountOf(id);
      return place > 0 && replicas > FENCED_REPLICAS_MAX;
    });
    return this.#gone.splice(0, next < 0 ? this.#gone.length : next);
  }

  /** Twice, a moment apart: a process that is being replaced refuses once. */
  async #probe(id: NodeId): Promise<void> {
    if (this.#probing.has(id)) return;
    this.#probing.add(id);
    let outcome = await this.#probeOnce(id);
    if (outcome === 'refused') {
      await new Promise<void>((resolve) => this.#clock.timer(() => resolve()).arm(PROBE_GAP_MS));
      outcome = await this.#probeOnce(id);
    }
    this.#probing.delete(id);
    if (!this.#isActive) return;
    this.#liveness.probed(id, outcome, this.#clock.now());
    this.#carryOut();
  }

  async #probeOnce(id: NodeId): Promise<'alive' | 'refused' | 'silent'> {
    const address = this.#peers.addressOf(id);
    const registered = this.#quorum.image.brokers.get(id);
    if (registered === undefined) return 'silent';
    if (address === undefined) return this.#knock(registered.listeners);
    const result = await this.#peers.probe(address, PROBE_MS);
    if (result === 'refused') return 'refused';
    if (typeof result === 'string') return 'silent';
    if (result.hello.id !== id) return 'refused';
    return result.hello.incarnation === registered.incarnation ? 'alive' : 'refused';
  }

  /**
   * A broker that is no voter greets only who leads: a node that has just become the leader may never have met it, and if it was lost with
   * the former leader, as of the same rack, never will. Its address among the peers is not known, but where brokers reach it is.
   */
  async #knock(listeners: readonly BrokerListener[]): Promise<'refused' | 'silent'> {
    const at = this.#endpointOf(listeners);
    const isRefused = at !== undefined && (await this.#peers.knock(at, PROBE_MS)) === 'refused';
    return isRefused ? 'refused' : 'silent';
  }

  async #unfence(id: NodeId, brokerEpoch: number): Promise<void> {
    if (this.#unfencing.has(id)) return;
    this.#unfencing.add(id);
    await this.#controller.submit('unfenceBroker', { id, brokerEpoch });
    this.#unfencing.delete(id);
  }

  /** A voter whose disk was wiped comes back as an observer that wants a vote: it takes its old self's place once it has caught up. */
  #tendVoters(): void {
    if (!this.#isActive) return;
    this.#votersTimer.arm(VOTERS_MS);
    if (!this.#quorum.mayChangeVoters) return;
    const observers = this.#quorum
      .progress()
      .filter(({ isVoter, wantsVote, isCaughtUp }) => !isVoter && wantsVote && isCaughtUp)
      .map(({ key, address }) => ({ ...key, host: address.host, port: address.port }));
    if (observers.length === 0) return;
    this.#votersTimer.disarm();
    void this.#controller.submit('replaceVoter', { observers }).then(() => {
      if (this.#isActive) this.#votersTimer.arm(VOTERS_MS);
    });
  }
}
