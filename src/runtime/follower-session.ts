import { partitionName, type Uuid } from '#model/ids';
import type { FetchRequestInput } from '#protocol/generated/fetch-request';

const NO_SESSION = 0;
const FULL_EPOCH = 0;
const SESSIONLESS_EPOCH = -1;
const EPOCH_MAX = 0x7fff_ffff;

/** A replica, as a leader is asked for it. */
export interface SessionMember {
  readonly topicId: Uuid;
  readonly index: number;
}

/** A follower's fetch session at a leader (KIP-227): what the leader knows of it, and what the next request must say. */
export class FollowerSession {
  #id = NO_SESSION;
  #epoch = FULL_EPOCH;
  readonly #members = new Set<SessionMember>();
  /** The leader may hold them, and is to do so no longer. */
  readonly #forgotten = new Map<string, SessionMember>();

  /** Whether a request need only say what has changed. */
  get isOpen(): boolean {
    return this.#id !== NO_SESSION;
  }

  /** Whether no partition is asked for. */
  get isEmpty(): boolean {
    return this.#members.size === 0;
  }

  has(member: SessionMember): boolean {
    return this.#members.has(member);
  }

  /** The next request asks for it. */
  enter(member: SessionMember): void {
    this.#members.add(member);
    this.#forgotten.delete(partitionName(member.topicId, member.index));
  }

  leave(member: SessionMember): void {
    // Also while the leader has not answered yet which session it is.
    if (this.#members.delete(member)) this.forget(member);
  }

  /** The leader answers for it, and nobody asks. */
  forget({ topicId, index }: SessionMember): void {
    this.#forgotten.set(partitionName(topicId, index), { topicId, index });
  }

  /** For a request that is sent now. */
  next(): Pick<FetchRequestInput, 'sessionId' | 'sessionEpoch' | 'forgottenTopicsData'> {
    const byTopic = Map.groupBy(this.#forgotten.values(), ({ topicId }) => topicId);
    const forgottenTopicsData = [...byTopic].map(([topicId, gone]) => ({
      topicId,
      partitions: gone.map(({ index }) => index),
    }));
    this.#forgotten.clear();
    const sessionEpoch = this.#epoch;
    if (this.isOpen) this.#epoch = sessionEpoch === EPOCH_MAX ? 1 : sessionEpoch + 1;
    return { sessionId: this.#id, sessionEpoch, forgottenTopicsData };
  }

  /** The leader has answered in that session; it may have none to give. */
  answered(sessionId: number): void {
    if (this.isOpen) return;
    if (sessionId === NO_SESSION) this.#forgotten.clear();
    this.#id = sessionId;
    this.#epoch = sessionId === NO_SESSION ? SESSIONLESS_EPOCH : 1;
  }

  /** It is lost with its connection: the next request begins another. */
  reset(): void {
    this.#id = NO_SESSION;
    this.#epoch = FULL_EPOCH;
    this.#members.clear();
    this.#forgotten.clear();
  }
}
