import type { Deadlines } from '#base/deadlines';
import type { Logger } from '#base/ports';
import type { MarkerOrder } from '#coordinator/transaction-commands';
import type { MetadataImage } from '#metadata/image';
import { ErrorCode, errorName } from '#model/errors';
import { type NodeId, partitionName } from '#model/ids';
import { ApiKey } from '#protocol/generated/apis';
import {
  type WriteTxnMarkersRequestInput,
  writeWriteTxnMarkersRequest,
} from '#protocol/generated/write-txn-markers-request';
import {
  readWriteTxnMarkersResponse,
  type WriteTxnMarkersResponse,
} from '#protocol/generated/write-txn-markers-response';
import type { BrokerRequests, WireApi } from './broker-requests.ts';

export interface TransactionMarkersParts {
  readonly logger: Logger;
  readonly deadlines: Deadlines;
  readonly image: MetadataImage;
  readonly requests: BrokerRequests;
  /** request.timeout.ms: how long a broker's answer is waited for. */
  requestTimeoutMs(): number;
}

/** On whose behalf markers are written; what becomes of them is of no interest once it is cancelled. */
export interface MarkerOwner {
  /** The leader epoch of the coordinator's partition: leaders refuse markers of earlier ones. */
  readonly coordinatorEpoch: number;
  /** Every partition has its marker, or is no more. */
  written(order: MarkerOrder): void;
}

const WRITE_TXN_MARKERS_VERSION = 2;
/** Markers in one request; the rest goes with the next. */
const MARKERS_PER_REQUEST_MAX = 1_000;
/** A partition whose marker could not be written is tried again after this time, perhaps with another leader. */
const RETRY_MS = 100;

const WRITE_TXN_MARKERS: WireApi<WriteTxnMarkersRequestInput, WriteTxnMarkersResponse> = {
  key: ApiKey.WriteTxnMarkers,
  write: writeWriteTxnMarkersRequest,
  read: readWriteTxnMarkersResponse,
};

/** An order until all its markers are written. */
interface Pending {
  readonly order: MarkerOrder;
  readonly owner: MarkerOwner;
  /** Partitions without a marker, by name. */
  readonly left: Map<string, Marker>;
}

/** Of one partition; it is in one place at a time: with a destination, in flight or to be tried again. */
interface Marker {
  readonly pending: Pending;
  readonly topic: string;
  readonly partition: number;
  /** The request that it went with last: the answer of another one does not concern it. */
  sentWith: object | undefined;
  /** Told in a log line already. */
  lastError: ErrorCode;
}

/** A broker that leads partitions: one request at a time, which takes what has gathered meanwhile. */
interface Destination {
  readonly waiting: Set<Marker>;
  /** Those in flight. */
  sent: readonly Marker[];
}

/**
 * Brings the outcome of transactions to the partitions that they wrote to, as often as it takes: to whoever leads them, until each leader
 * has answered that its marker is committed, or the partition is deleted. There is at most one order for each transactional id that is
 * coordinated here, and a marker for each of its partitions.
 */
export class TransactionMarkers {
  readonly #parts: TransactionMarkersParts;
  readonly #pending = new Set<Pending>();
  /** As many as brokers that markers went to. */
  readonly #destinations = new Map<NodeId, Destination>();
  readonly #again = new Set<Marker>();
  #retries = false;

  constructor(parts: TransactionMarkersParts) {
    this.#parts = parts;
  }

  /** Orders whose markers are not all written. */
  get pendingCount(): number {
    return this.#pending.size;
  }

  /** `owner.written` is called once, unless it is cancelled first; at once, if there is nothing to write. */
  write(order: MarkerOrder, owner: MarkerOwner): void {
    const pending: Pending = { order, owner, left: new Map() };
    this.#pending.add(pending);
    for (const [topic, partitions] of order.partitions)
      for (const partition of partitions)
        pending.left.set(partitionName(topic, partition), newMarker(pending, topic, partition));
    this.#dispatch([...pending.left.values()]);
    if (this.#pending.has(pending)) this.#finishIfWritten(pending);
  }

  /** Markers in flight may still be written. */
  cancel(owner: MarkerOwner): void {
    for (const pending of this.#pending) {
      if (pending.owner !== owner) continue;
      this.#pending.delete(pending);
      for (const marker of pending.left.values()) this.#forget(marker);
    }
  }

  /** Others lead: what is in flight to who does not lead any longer need not wait for its answer, since it cannot be committed there. */
  leadersChanged(): void {
    if (this.#pending.size === 0) return;
    const moved: Marker[] = [...this.#again];
    for (const [broker, { sent, waiting }] of this.#destinations) {
      for (const marker of sent) {
        if (marker.sentWith === undefined || this.#leaderOf(marker) === broker) continue;
        marker.sentWith = undefined;
        moved.push(marker);
      }
      for (const marker of waiting) {
        if (this.#leaderOf(marker) === broker) continue;
        waiting.delete(marker);
        moved.push(marker);
      }
    }
    this.#dispatch(moved);
  }

  /** To their leaders, as the metadata have them now. */
  #dispatch(markers: readonly Marker[]): void {
    const touched = new Set<NodeId>();
    for (const marker of markers) {
      this.#again.delete(marker);
      const leader = this.#leaderOf(marker);
      if (leader === undefined) this.#done(marker);
      else if (leader === null) this.#tryAgain(marker);
      else {
        this.#destination(leader).waiting.add(marker);
        touched.add(leader);
      }
    }
    for (const broker of touched) this.#flush(broker);
  }

  /** Null: nobody leads now; undefined: the partition is deleted, and with it what the transaction wrote. */
  #leaderOf({ topic, partition }: Marker): NodeId | null | undefined {
    return this.#parts.image.partition(topic, partition)?.leader;
  }

  #flush(broker: NodeId): void {
    const destination = this.#destination(broker);
    if (destination.sent.length > 0 || destination.waiting.size === 0) return;
    const markers: Marker[] = [];
    const request = {};
    for (const marker of destination.waiting) {
      if (markers.length >= MARKERS_PER_REQUEST_MAX) break;
      destination.waiting.delete(marker);
      marker.sentWith = request;
      markers.push(marker);
    }
    destination.sent = markers;
    void this.#send(broker, destination, markers, request);
  }

  async #send(broker: NodeId, destination: Destination, markers: readonly Marker[], request: object): Promise<void> {
    const { requests, requestTimeoutMs } = this.#parts;
    const response = await requests.send(
      broker,
      WRITE_TXN_MARKERS,
      WRITE_TXN_MARKERS_VERSION,
      requestOf(markers),
      requestTimeoutMs(),
    );
    destination.sent = [];
    const errors = response === undefined ? undefined : errorsOf(response);
    for (const marker of markers) {
      if (marker.sentWith !== request) continue;
      marker.sentWith = undefined;
      const { producerId } = marker.pending.order;
      this.#answered(marker, errors?.get(`${producerId} ${partitionName(marker.topic, marker.partition)}`));
    }
    this.#flush(broker);
  }

  /** Undefined: no answer. */
  #answered(marker: Marker, error: ErrorCode | undefined): void {
    switch (error) {
      case ErrorCode.None:
        return this.#done(marker);
      case ErrorCode.InvalidProducerEpoch:
      case ErrorCode.UnsupportedForMessageFormat:
        // The partition has seen a later epoch of the producer, so that this transaction is over there, however it ended.
        this.#log(marker, error, 'a partition refuses the marker of a transaction that is over there');
        return this.#done(marker);
      case undefined:
      case ErrorCode.NotLeaderOrFollower:
      case ErrorCode.UnknownTopicOrPartition:
        return this.#tryAgain(marker);
      default:
        // TRANSACTION_COORDINATOR_FENCED among them: this node is about to hear that another one coordinates.
        this.#log(marker, error, 'a marker is not written yet');
        return this.#tryAgain(marker);
    }
  }

  #done(marker: Marker): void {
    const { pending, topic, partition } = marker;
    pending.left.delete(partitionName(topic, partition));
    this.#finishIfWritten(pending);
  }

  #finishIfWritten(pending: Pending): void {
    if (pending.left.size > 0 || !this.#pending.delete(pending)) return;
    pending.owner.written(pending.order);
  }

  #tryAgain(marker: Marker): void {
    this.#again.add(marker);
    if (this.#retries) return;
    this.#retries = true;
    this.#parts.deadlines.after(RETRY_MS, () => {
      this.#retries = false;
      this.#dispatch([...this.#again]);
    });
  }

  #forget(marker: Marker): void {
    this.#again.delete(marker);
    marker.sentWith = undefined;
    for (const { waiting } of this.#destinations.values()) waiting.delete(marker);
  }

  #destination(broker: NodeId): Destination {
    let destination = this.#destinations.get(broker);
    if (destination === undefined) {
      destination = { waiting: new Set(), sent: [] };
      this.#destinations.set(broker, destination);
    }
    return destination;
  }

  #log(marker: Marker, error: ErrorCode, message: string): void {
    if (marker.lastError === error) return;
    marker.lastError = error;
    const { topic, partition, pending } = marker;
    const { transactionalId } = pending.order;
    this.#parts.logger.warn({ topic, partition, transactionalId, error: errorName(error) }, message);
  }
}

function newMarker(pending: Pending, topic: string, partition: number): Marker {
  return { pending, topic, partition, sentWith: undefined, lastError: ErrorCode.None };
}

function requestOf(markers: readonly Marker[]): WriteTxnMarkersRequestInput {
  const byOrder = Map.groupBy(markers, ({ pending }) => pending);
  return {
    markers: [...byOrder].map(([{ order, owner }, of]) => ({
      producerId: order.producerId,
      producerEpoch: order.producerEpoch,
      transactionResult: order.isCommit,
      topics: [...Map.groupBy(of, ({ topic }) => topic)].map(([name, partitions]) => ({
        name,
        partitionIndexes: partitions.map(({ partition }) => partition),
      })),
      coordinatorEpoch: owner.coordinatorEpoch,
      transactionVersion: order.transactionVersion,
    })),
  };
}

/** By producer id and partition: no two orders share a producer id. */
function errorsOf({ markers }: WriteTxnMarkersResponse): ReadonlyMap<string, ErrorCode> {
  const errors = new Map<string, ErrorCode>();
  for (const { producerId, topics } of markers)
    for (const { name, partitions } of topics)
      for (const { partitionIndex, errorCode } of partitions)
        errors.set(`${producerId} ${partitionName(name, partitionIndex)}`, errorCode as ErrorCode);
  return errors;
}
