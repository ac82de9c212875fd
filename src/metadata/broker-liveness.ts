/** Who of the brokers lives, as the active controller judges it: by heartbeats, by lost connections, and by what probes find. */
import type { Mono } from '#base/ports';
import type { NodeId } from '#model/ids';
import type { PlantedBugs } from '#model/planted-bugs';
import type { BrokerCommand } from './broker-states.ts';
import type { RegisteredBroker } from './records.ts';

export interface BrokerLivenessOptions {
  /** The silence after which a broker counts as gone. */
  readonly sessionMs: number;
  readonly heartbeatMs: number;
  readonly planted: PlantedBugs;
}

export interface LivenessOutput {
  /** Each is answered with `probed`. */
  readonly probe: readonly NodeId[];
  /** What comes to nothing, for whatever reason, is told with `notFenced`. */
  readonly fence: readonly BrokerCommand[];
}

/** 'refused': nobody listens there, or another process does. 'silent': nothing is known. */
export type ProbeOutcome = 'alive' | 'refused' | 'silent';

export interface ActivationView {
  /** This node, whose own broker is not probed. */
  readonly self?: NodeId;
  /** The controller before, and when this node last heard of it as a follower: its silence is known for so long already. */
  readonly former?: { readonly id: NodeId; readonly heardAt: Mono };
}

interface Session {
  readonly brokerEpoch: number;
  heardAt: Mono;
  suspectedAt: Mono | undefined;
  /** A probe is under way since then. */
  probedAt: Mono | undefined;
  /** The last probe found nothing, as with a process that is just dying: when the next one is due. */
  probeAgainAt: Mono | undefined;
  /** It was suspected while a probe was under way, which may have begun too early to tell. */
  isProbedAgain: boolean;
  isRefused: boolean;
}

/** How many heartbeats nobody is fenced for after this node did not listen. */
const GRACE_HEARTBEATS = 2;

/**
 * Pure: its driver calls a method for each thing that happens, with the time, and then does what the output says. Silence for a whole
 * session fences; a probe that is refused fences at once, unless so many are suspected that this node rather suspects itself.
 */
export class BrokerLiveness {
  readonly #options: BrokerLivenessOptions;
  /** Of brokers that are not fenced, and of those that have been heard of since they were. */
  readonly #sessions = new Map<NodeId, Session>();
  /** When brokers were found gone by probes; of the last session only. */
  #found: Mono[] = [];
  #probe: NodeId[] = [];
  #fence: BrokerCommand[] = [];

  constructor(options: BrokerLivenessOptions) {
    this.#options = options;
  }

  get sessionCount(): number {
    return this.#sessions.size;
  }

  /** When `tick` is to be called next. */
  get deadline(): Mono {
    let earliest = Number.POSITIVE_INFINITY;
    for (const { heardAt, probeAgainAt = Number.POSITIVE_INFINITY } of this.#sessions.values())
      earliest = Math.min(earliest, heardAt + this.#options.sessionMs, probeAgainAt);
    return earliest;
  }

  /** A new controller has heard of nobody yet: each has a whole session to be heard of, and is probed, the former controller's broker first. */
  activated(brokers: Iterable<RegisteredBroker>, now: Mono, { self, former }: ActivationView = {}): void {
    this.#sessions.clear();
    this.#found = [];
    this.#probe = [];
    this.#fence = [];
    for (const { id, brokerEpoch, fenced } of brokers) {
      if (fenced) continue;
      const session = newSession(brokerEpoch, now);
      this.#sessions.set(id, session);
      // PLANTED BUG fence-on-silence-at-activation: whoever was not heard of yet is gone.
      if (this.#options.planted.has('fence-on-silence-at-activation')) session.heardAt = now - this.#options.sessionMs;
      else if (id === former?.id) session.heardAt = Math.min(now, Math.max(former.heardAt, this.#earliestHeard(now)));
    }
    const others = [...this.#sessions].filter(([id]) => id !== self);
    for (const [id, session] of others.sort(([a], [b]) => Number(b === former?.id) - Number(a === former?.id)))
      this.#startProbe(id, session, now);
  }

  /** A heartbeat of the registered process. */
  heard(id: NodeId, brokerEpoch: number, now: Mono): void {
    // What a probe that is under way finds is older.
    this.#sessions.set(id, newSession(brokerEpoch, now));
    this.#fenceRefused(now);
  }

  /** The image has changed: whoever is fenced or gone has no session, whoever is unfenced has one. */
  changed(id: NodeId, broker: RegisteredBroker | undefined, now: Mono): void {
    if (broker === undefined || broker.fenced) this.#sessions.delete(id);
    else if (this.#sessions.get(id)?.brokerEpoch !== broker.brokerEpoch)
      this.#sessions.set(id, newSession(broker.brokerEpoch, now));
    this.#fenceRefused(now);
  }

  /** Its connection was closed or reset at its end. */
  suspected(id: NodeId, now: Mono): void {
    const session = this.#sessions.get(id);
    // A probe that leaves at this very moment says more.
    if (session === undefined || session.probedAt === now) return;
    session.suspectedAt = now;
    if (session.probedAt === undefined) this.#startProbe(id, session, now);
    else session.isProbedAgain = true;
  }

  probed(id: NodeId, outcome: ProbeOutcome, now: Mono): void {
    const session = this.#sessions.get(id);
    if (session?.probedAt === undefined) return;
    session.probedAt = undefined;
    session.isRefused = outcome === 'refused';
    if (session.isRefused) session.suspectedAt ??= now;
    else if (session.isProbedAgain) this.#startProbe(id, session, now);
    else if (outcome === 'alive') session.suspectedAt = undefined;
    else session.probeAgainAt = now + this.#options.heartbeatMs;
    session.isProbedAgain = false;
    this.#fenceRefused(now);
  }

  /** The command is not carried out: it is given out again if nothing is heard of the broker until then. */
  notFenced({ id, brokerEpoch }: BrokerCommand, now: Mono): void {
    if (this.#sessions.has(id)) return;
    const { sessionMs, heartbeatMs } = this.#options;
    this.#sessions.set(id, newSession(brokerEpoch, now - Math.max(0, sessionMs - heartbeatMs)));
  }

  /** `lateMs`: this node did not listen for so long, or longer, which is granted to everyone. */
  tick(now: Mono, lateMs: number): void {
    const { heartbeatMs, sessionMs } = this.#options;
    const least = lateMs > heartbeatMs ? this.#earliestHeard(now) : Number.NEGATIVE_INFINITY;
    for (const session of this.#sessions.values())
      session.heardAt = Math.min(now, Math.max(session.heardAt + lateMs, least));
    for (const [id, session] of this.#sessions) {
      if (now - session.heardAt >= sessionMs) this.#gone(id, session);
      else if (session.probeAgainAt !== undefined && now >= session.probeAgainAt) this.#startProbe(id, session, now);
    }
    this.#fenceRefused(now);
  }

  takeOutput(): LivenessOutput {
    const output = { probe: this.#probe, fence: this.#fence };
    this.#probe = [];
    this.#fence = [];
    return output;
  }

  /** Whoever was heard of then is fenced only after a few more heartbeats could have come. */
  #earliestHeard(now: Mono): Mono {
    const { heartbeatMs, sessionMs } = this.#options;
    return now - Math.max(0, sessionMs - GRACE_HEARTBEATS * heartbeatMs);
  }

  #startProbe(id: NodeId, session: Session, now: Mono): void {
    session.probedAt = now;
    session.probeAgainAt = undefined;
    this.#probe.push(id);
  }

  #fenceRefused(now: Mono): void {
    if (this.#isSelfSuspect(now)) return;
    for (const [id, session] of this.#sessions) {
      if (!session.isRefused) continue;
      this.#gone(id, session);
      this.#found.push(now);
    }
  }

  #gone(id: NodeId, { brokerEpoch }: Session): void {
    this.#sessions.delete(id);
    this.#fence.push({ id, brokerEpoch });
  }

  /** More than half of the brokers within one session: it is rather this node that is cut off. */
  #isSelfSuspect(now: Mono): boolean {
    const isRecent = (at: Mono | undefined): boolean => at !== undefined && now - at < this.#options.sessionMs;
    this.#found = this.#found.filter(isRecent);
    let suspects = this.#found.length;
    for (const { suspectedAt } of this.#sessions.values()) if (isRecent(suspectedAt)) suspects += 1;
    return suspects * 2 > this.#sessions.size + this.#found.length;
  }
}

function newSession(brokerEpoch: number, heardAt: Mono): Session {
  return {
    brokerEpoch,
    heardAt,
    suspectedAt: undefined,
    probedAt: undefined,
    probeAgainAt: undefined,
    isProbedAgain: false,
    isRefused: false,
  };
}
