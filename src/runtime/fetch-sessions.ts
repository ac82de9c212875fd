/** Incremental fetch sessions (KIP-227): a consumer names its partitions once, later only what changed. */
import type { Mono, Random } from '#base/ports';
import { ErrorCode } from '#model/errors';
import type { Uuid } from '#model/ids';

const NO_SESSION = 0;
const INITIAL_EPOCH = 0;
const FINAL_EPOCH = -1;
const MAX_EPOCH = 0x7fff_ffff;
/** A session unused for so long gives its slot to a newcomer when all are taken. */
const EVICTION_MS = 120_000;
/** Partitions of all sessions together, about 300 bytes each. Who finds no room goes on without a session. */
const PARTITIONS_MAX = 500_000;

/** One partition as a Fetch request names it; `topic` is '' from version 13 on, `topicId` is the zero uuid before. */
export interface FetchTarget {
  readonly topic: string;
  readonly topicId: Uuid;
  readonly partition: number;
  readonly fetchOffset: number;
  readonly maxBytes: number;
  readonly currentLeaderEpoch: number;
  readonly lastFetchedEpoch: number;
  /** Of a follower: where its log starts. */
  readonly logStartOffset: number;
  /** Of a follower: what it has on its disk; -1 if it says nothing of it. */
  readonly durableOffset: number;
}

/** What the client was last told of a partition: it is told again only when that changes. */
export interface SessionPartition {
  target: FetchTarget;
  sentHighWatermark: number;
  sentLogStartOffset: number;
}

export interface FetchSession {
  readonly id: number;
  readonly usesTopicIds: boolean;
  /** Of a follower: never evicted for a consumer. */
  readonly isFollower: boolean;
  /** In the order of service: a partition that returned records goes to the end, so that none starves. */
  readonly partitions: Map<string, SessionPartition>;
  nextEpoch: number;
  lastUsed: Mono;
}

export interface SessionRequest {
  readonly sessionId: number;
  readonly sessionEpoch: number;
  readonly usesTopicIds: boolean;
  readonly isFollower: boolean;
  readonly targets: readonly FetchTarget[];
  readonly forgotten: readonly { readonly topic: string; readonly topicId: Uuid; readonly partition: number }[];
}

export type FetchContext =
  /** Every partition of the request is answered; the answer carries `session.id`, or 0 for none. */
  | { readonly kind: 'full'; readonly session: FetchSession | undefined; readonly targets: readonly FetchTarget[] }
  /** Only what changed is answered. */
  | { readonly kind: 'incremental'; readonly session: FetchSession }
  | { readonly kind: 'error'; readonly error: ErrorCode; readonly sessionId: number };

function targetKey(topic: string, topicId: string, partition: number): string {
  return `${topic}/${topicId}/${partition}`;
}

/** The sessions of one node; at most `slots` with at most `partitionsMax` partitions together, kept in the order of their last use. */
export class FetchSessions {
  readonly #sessions = new Map<number, FetchSession>();
  readonly #slots: number;
  readonly #random: Random;
  readonly #partitionsMax: number;
  #partitionCount = 0;

  constructor(slots: number, random: Random, partitionsMax: number = PARTITIONS_MAX) {
    this.#slots = slots;
    this.#random = random;
    this.#partitionsMax = partitionsMax;
  }

  get count(): number {
    return this.#sessions.size;
  }

  get partitionCount(): number {
    return this.#partitionCount;
  }

  open(request: SessionRequest, now: Mono): FetchContext {
    if (request.sessionEpoch === FINAL_EPOCH || request.sessionEpoch === INITIAL_EPOCH) {
      this.#drop(this.#sessions.get(request.sessionId));
      const wanted = request.sessionEpoch === INITIAL_EPOCH && request.targets.length > 0;
      const session = wanted ? this.#create(request, now) : undefined;
      return { kind: 'full', session, targets: request.targets };
    }
    return this.#continue(request, now);
  }

  #continue(request: SessionRequest, now: Mono): FetchContext {
    const session = this.#sessions.get(request.sessionId);
    if (session === undefined) {
      return { kind: 'error', error: ErrorCode.FetchSessionIdNotFound, sessionId: NO_SESSION };
    }
    if (session.nextEpoch !== request.sessionEpoch) {
      return { kind: 'error', error: ErrorCode.InvalidFetchSessionEpoch, sessionId: session.id };
    }
    const namesPartitions = request.targets.length > 0 || request.forgotten.length > 0;
    if (namesPartitions && session.usesTopicIds !== request.usesTopicIds) {
      return { kind: 'error', error: ErrorCode.FetchSessionTopicIdError, sessionId: session.id };
    }
    const sizeBefore = session.partitions.size;
    for (const gone of request.forgotten)
      session.partitions.delete(targetKey(gone.topic, gone.topicId, gone.partition));
    for (const target of request.targets) {
      const key = targetKey(target.topic, target.topicId, target.partition);
      const known = session.partitions.get(key);
      if (known === undefined) session.partitions.set(key, { target, sentHighWatermark: -1, sentLogStartOffset: -1 });
      else known.target = target;
    }
    this.#partitionCount += session.partitions.size - sizeBefore;
    if (this.#partitionCount > this.#partitionsMax) {
      this.#drop(session);
      // The client begins anew with all its partitions, and is given no session if there is no room for them.
      return { kind: 'error', error: ErrorCode.FetchSessionIdNotFound, sessionId: NO_SESSION };
    }
    session.nextEpoch = nextEpoch(session.nextEpoch);
    session.lastUsed = now;
    this.#sessions.delete(session.id);
    this.#sessions.set(session.id, session);
    return { kind: 'incremental', session };
  }

  #create(request: SessionRequest, now: Mono): FetchSession | undefined {
    if (!this.#makeRoom(request.targets.length, request.isFollower, now)) return undefined;
    const partitions = new Map<string, SessionPartition>();
    for (const target of request.targets) {
      partitions.set(targetKey(target.topic, target.topicId, target.partition), {
        target,
        sentHighWatermark: -1,
        sentLogStartOffset: -1,
      });
    }
    const session: FetchSession = {
      id: this.#newId(),
      usesTopicIds: request.usesTopicIds,
      isFollower: request.isFollower,
      partitions,
      nextEpoch: 1,
      lastUsed: now,
    };
    this.#sessions.set(session.id, session);
    this.#partitionCount += partitions.size;
    return session;
  }

  /** A follower takes the place of whatever consumer was here least recently (KIP-227's privileged sessions). */
  #makeRoom(partitions: number, isFollower: boolean, now: Mono): boolean {
    if (partitions > this.#partitionsMax) return false;
    while (this.#sessions.size >= this.#slots || this.#partitionCount + partitions > this.#partitionsMax) {
      const victim = this.#victim(isFollower, now);
      if (victim === undefined) return false;
      this.#drop(victim);
    }
    return true;
  }

  #victim(forFollower: boolean, now: Mono): FetchSession | undefined {
    for (const session of this.#sessions.values()) {
      if (now - session.lastUsed >= EVICTION_MS || (forFollower && !session.isFollower)) return session;
      // In the order of their last use: none behind is older.
      if (!forFollower) return undefined;
    }
    return undefined;
  }

  #drop(session: FetchSession | undefined): void {
    if (session === undefined) return;
    this.#sessions.delete(session.id);
    this.#partitionCount -= session.partitions.size;
  }

  #newId(): number {
    for (;;) {
      const id = this.#random.uint32() & MAX_EPOCH;
      if (id !== NO_SESSION && !this.#sessions.has(id)) return id;
    }
  }
}

/** Moves a partition that returned records behind all others. */
export function serveLast(session: FetchSession, target: FetchTarget): void {
  const key = targetKey(target.topic, target.topicId, target.partition);
  const served = session.partitions.get(key);
  if (served === undefined) return;
  session.partitions.delete(key);
  session.partitions.set(key, served);
}

function nextEpoch(epoch: number): number {
  return epoch === MAX_EPOCH ? 1 : epoch + 1;
}
