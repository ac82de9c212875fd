/** Who of the brokers lives, as the active controller judges it: by heartbeats, by lost connections, and by what probes find. */
import type { Mono } from '#base/ports';
import type { NodeId } from '#model/ids';
import type { PlantedBugs } from '#model/planted-bugs';
import type { BrokerCommand } from './brokers.ts';
import type { Broker } from './records.ts';

export interface BrokerLivenessOptions {
  /** The silence after which a broker counts as gone. */
  readonly sessionMs: number;
  readonly heartbeatMs: number;
  readonly planted: PlantedBugs;
}

export interface LivenessOutput {
  /** Answered with `probed`. */
  readonly probe: readonly NodeId[];
  readonly fence: readonly BrokerCommand[];
}

interface Session {
  readonly brokerEpoch: number;
  heardAt: Mono;
  suspectedAt: Mono | undefined;
}

/** Pure: its driver calls a method for each thing that happens, with the time, and then does what the output says. */
export class BrokerLiveness {
  readonly #options: BrokerLivenessOptions;
  /** Of brokers that are not fenced, and of those that are being heard of. */
  readonly #sessions = new Map<NodeId, Session>();
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
    for (const { heardAt } of this.#sessions.values()) earliest = Math.min(earliest, heardAt + this.#options.sessionMs);
    return earliest;
  }

  /** A new controller has heard of nobody yet: each has a whole session to be heard of. */
  activated(brokers: Iterable<Broker>, now: Mono): void {
    this.#sessions.clear();
    this.#probe = [];
    this.#fence = [];
    // PLANTED BUG fence-on-silence-at-activation: whoever was not heard of yet is gone.
    const heardAt = this.#options.planted.has('fence-on-silence-at-activation') ? now - this.#options.sessionMs : now;
    for (const { id, brokerEpoch, fenced } of brokers)
      if (!fenced) this.#sessions.set(id, { brokerEpoch, heardAt, suspectedAt: undefined });
  }

  /** A heartbeat of the registered process. */
  heard(id: NodeId, brokerEpoch: number, now: Mono): void {
    const session = this.#sessions.get(id);
    if (session?.brokerEpoch === brokerEpoch) {
      session.heardAt = now;
      session.suspectedAt = undefined;
    } else this.#sessions.set(id, { brokerEpoch, heardAt: now, suspectedAt: undefined });
  }

  /** Its connection was closed or reset at its end. */
  suspected(id: NodeId, now: Mono): void {
    const session = this.#sessions.get(id);
    if (session === undefined) return;
    session.suspectedAt = now;
    if (this.#isSelfSuspect(now)) return;
    this.#probe.push(id);
  }

  /** 'refused': nobody listens there, or another process does. 'silent': nothing is known, the session decides. */
  probed(id: NodeId, outcome: 'alive' | 'refused' | 'silent', now: Mono): void {
    const session = this.#sessions.get(id);
    if (session?.suspectedAt === undefined) return;
    if (outcome === 'alive') session.suspectedAt = undefined;
    if (outcome === 'refused' && !this.#isSelfSuspect(now)) this.#gone(id, session);
  }

  /** `lateMs`: this node did not listen for so long, which is granted to everyone. */
  tick(now: Mono, lateMs: number): void {
    if (lateMs > this.#options.heartbeatMs) for (const session of this.#sessions.values()) session.heardAt += lateMs;
    for (const [id, session] of this.#sessions)
      if (now - session.heardAt >= this.#options.sessionMs) this.#gone(id, session);
  }

  takeOutput(): LivenessOutput {
    const output = { probe: this.#probe, fence: this.#fence };
    this.#probe = [];
    this.#fence = [];
    return output;
  }

  #gone(id: NodeId, { brokerEpoch }: Session): void {
    this.#sessions.delete(id);
    this.#fence.push({ id, brokerEpoch });
  }

  /** More than half of the brokers at once: it is rather this node that is cut off. */
  #isSelfSuspect(now: Mono): boolean {
    let count = 0;
    for (const { suspectedAt } of this.#sessions.values())
      if (suspectedAt !== undefined && now - suspectedAt < this.#options.sessionMs) count += 1;
    return this.#sessions.size > 2 && count * 2 > this.#sessions.size;
  }
}
