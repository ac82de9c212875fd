/** Where the leader is, for answers that say that it is not here (KIP-951): spares clients a Metadata request. */
import { ErrorCode } from '#model/errors';
import { type Uuid, ZERO_UUID } from '#model/ids';
import type { Exchange } from '#net/exchange';
import type { Broker } from '#runtime/broker';
import { type ClientBroker, clientBrokers } from './client-brokers.ts';

interface CurrentLeader {
  readonly leaderId: number;
  readonly leaderEpoch: number;
}

/** Those of one answer. */
export class LeaderHints {
  readonly #broker: Broker;
  readonly #listenerName: string;
  readonly #leaders = new Set<number>();

  constructor(broker: Broker, { listenerName }: Exchange) {
    this.#broker = broker;
    this.#listenerName = listenerName;
  }

  /** Of a partition that was refused with `error`; undefined if that is no matter of leadership. */
  leaderAfter(error: ErrorCode, topic: string, topicId: Uuid, partition: number): CurrentLeader | undefined {
    if (error !== ErrorCode.NotLeaderOrFollower && error !== ErrorCode.FencedLeaderEpoch) return undefined;
    const { image } = this.#broker;
    const state = (topicId === ZERO_UUID ? image.topic(topic) : image.topicById(topicId))?.partitions[partition];
    if (state === undefined) return undefined;
    if (state.leader !== null) this.#leaders.add(state.leader);
    return { leaderId: state.leader ?? -1, leaderEpoch: state.leaderEpoch };
  }

  /** Of the leaders named so far. */
  get endpoints(): ClientBroker[] {
    if (this.#leaders.size === 0) return [];
    return clientBrokers(this.#broker.image, this.#listenerName).filter(({ nodeId }) => this.#leaders.has(nodeId));
  }
}
