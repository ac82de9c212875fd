import type { Mono } from '#base/ports';
import type { ConsumerMember } from './consumer-member.ts';

const NEVER: Mono = Number.POSITIVE_INFINITY;
/** A departure that could not be written is tried again no sooner. */
const RETRY_MS = 1_000;

interface Times {
  /** When the silence has been too long. */
  sessionEndsAt: Mono;
  /** When partitions that it must give up should have been given up. */
  revokeBy: Mono;
  /** When a member of the classic protocol should have joined again, having been told to. */
  joinBy: Mono;
  /** When it should have asked for its assignment, having joined. */
  syncBy: Mono;
}

/** How long a member may be silent, and take to give partitions up; in milliseconds. */
export interface MemberTimeouts {
  readonly sessionMs: number;
  readonly rebalanceMs: number;
}

/**
 * The deadlines of a consumer group's members: memory only. Replay does not know the time, so what it begins (the
 * session of a new member, the time to revoke) counts from the next `due`, which the shard asks for at once.
 */
export class ConsumerTimers {
  readonly #times = new Map<string, Times>();
  /** Whose session or revocation begins with the next `due`. */
  readonly #beginning = new Set<string>();
  readonly #revoking = new Set<string>();
  #wakeAt: Mono = NEVER;

  /** A lower bound of when something is due; exact after `due`. */
  get wakeAt(): Mono {
    return this.#beginning.size > 0 || this.#revoking.size > 0 ? 0 : this.#wakeAt;
  }

  begin(memberId: string): void {
    if (!this.#times.has(memberId)) this.#beginning.add(memberId);
  }

  beginRevocation(memberId: string): void {
    this.#revoking.add(memberId);
  }

  endRevocation(memberId: string): void {
    this.#revoking.delete(memberId);
    const times = this.#times.get(memberId);
    if (times !== undefined) times.revokeBy = NEVER;
  }

  remove(memberId: string): void {
    this.#times.delete(memberId);
    this.#beginning.delete(memberId);
    this.#revoking.delete(memberId);
  }

  /** A sign of life. */
  keepAlive(memberId: string, endsAt: Mono): void {
    this.#change(memberId, { sessionEndsAt: endsAt });
  }

  /** Told to join again; the first telling counts. */
  joinBy(memberId: string, at: Mono): void {
    if ((this.#times.get(memberId)?.joinBy ?? NEVER) === NEVER) this.#change(memberId, { joinBy: at });
  }

  joined(memberId: string, syncBy: Mono): void {
    this.#change(memberId, { joinBy: NEVER, syncBy });
  }

  synced(memberId: string): void {
    this.#change(memberId, { syncBy: NEVER });
  }

  /** Begins what is to begin, and gives those whose time is over; each of them is due again after a while, should it still be here. */
  due(
    now: Mono,
    member: (memberId: string) => ConsumerMember | undefined,
    timeouts: (member: ConsumerMember) => MemberTimeouts,
  ): string[] {
    for (const memberId of this.#beginning) {
      const begun = member(memberId);
      if (begun === undefined) continue;
      const sessionEndsAt = now + timeouts(begun).sessionMs;
      this.#times.set(memberId, { sessionEndsAt, revokeBy: NEVER, joinBy: NEVER, syncBy: NEVER });
      this.#wakeBy(sessionEndsAt);
    }
    this.#beginning.clear();
    for (const memberId of this.#revoking) {
      const revoking = member(memberId);
      if (revoking !== undefined) this.#change(memberId, { revokeBy: now + timeouts(revoking).rebalanceMs });
    }
    this.#revoking.clear();
    if (this.#wakeAt > now) return [];
    const over: string[] = [];
    this.#wakeAt = NEVER;
    for (const [memberId, times] of this.#times) {
      if (earliest(times) <= now) {
        if (member(memberId) === undefined) {
          this.#times.delete(memberId);
          continue;
        }
        over.push(memberId);
        postpone(times, now);
      }
      this.#wakeBy(earliest(times));
    }
    return over;
  }

  /** A member that is being written has its times before it is there; should it never be, they end when they are due. */
  #change(memberId: string, change: Partial<Times>): void {
    const before = this.#times.get(memberId);
    const times = Object.assign(
      before ?? { sessionEndsAt: NEVER, revokeBy: NEVER, joinBy: NEVER, syncBy: NEVER },
      change,
    );
    if (before === undefined) this.#times.set(memberId, times);
    this.#wakeBy(earliest(times));
  }

  #wakeBy(at: Mono): void {
    if (at < this.#wakeAt) this.#wakeAt = at;
  }
}

function earliest({ sessionEndsAt, revokeBy, joinBy, syncBy }: Times): Mono {
  return Math.min(sessionEndsAt, revokeBy, joinBy, syncBy);
}

/** What is over is over again after a while: a sign of life does not make up for partitions that were not given up. */
function postpone(times: Times, now: Mono): void {
  for (const what of ['sessionEndsAt', 'revokeBy', 'joinBy', 'syncBy'] as const)
    if (times[what] <= now) times[what] = now + RETRY_MS;
}
