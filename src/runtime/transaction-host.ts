import type { Deadlines } from '#base/deadlines';
import type { Ports } from '#base/ports';
import { coordinatorPartition } from '#coordinator/coordinator-partition';
import type {
  AddPartitionsCommand,
  DescribedTransaction,
  EndTransactionCommand,
  EndTransactionResponse,
  InitProducerIdCommand,
  InitProducerIdResponse,
  ListedTransaction,
  ListTransactionsCommand,
  VerifyPartitionsCommand,
  VerifyPartitionsResponse,
} from '#coordinator/transaction-commands';
import type { TransactionConfig } from '#coordinator/transaction-config';
import { NO_EPOCH, NO_PARTITIONS, NO_PRODUCER_ID, type TransactionState } from '#coordinator/transaction-state';
import type { MetadataImage } from '#metadata/image';
import type { NewTopic } from '#metadata/topics';
import type { BrokerConfig } from '#model/broker-config';
import { ErrorCode, type FailureCode } from '#model/errors';
import { TRANSACTION_VERSION } from '#model/features';
import type { NodeId } from '#model/ids';
import { TRANSACTIONS_TOPIC } from '#model/internal-topics';
import type { BrokerRequests } from './broker-requests.ts';
import { errorWithoutHost } from './error-without-host.ts';
import type { Partition } from './partition.ts';
import type { LeadershipObserver, PartitionTable } from './partition-table.ts';
import type { ProducerIds } from './producer-ids.ts';
import { TransactionMarkers } from './transaction-markers.ts';
import { TransactionPartition } from './transaction-partition.ts';

export interface TransactionHostParts {
  readonly ports: Pick<Ports, 'clock' | 'codecs' | 'logger'>;
  readonly nodeId: NodeId;
  readonly image: MetadataImage;
  readonly partitions: Pick<PartitionTable, 'configOf' | 'quarantine'>;
  readonly deadlines: Deadlines;
  readonly requests: BrokerRequests;
  readonly producerIds: Pick<ProducerIds, 'take' | 'whenSome'>;
  config(): BrokerConfig;
  /** Asks for the transactions topic (`transactionsTopic`) in the background; called at every request that misses it. */
  createTransactionsTopic(): void;
}

/** A described transactional id, or why it is not. */
export type Description =
  | DescribedTransaction
  | { readonly transactionalId: string; readonly errorCode: Exclude<ErrorCode, typeof ErrorCode.None> };

/**
 * The transaction coordinators of this node: one for each partition of __transaction_state that it leads. A transactional id belongs to
 * the partition that it hashes to. Subscribe it to the partition table before that leads anything.
 */
export class TransactionHost implements LeadershipObserver {
  readonly #parts: TransactionHostParts;
  readonly #markers: TransactionMarkers;
  /** By partition; as many as the transactions topic has here. */
  readonly #hosted = new Map<number, TransactionPartition>();

  constructor(parts: TransactionHostParts) {
    this.#parts = parts;
    const { ports, deadlines, image, requests, config } = parts;
    this.#markers = new TransactionMarkers({
      logger: ports.logger,
      deadlines,
      image,
      requests,
      requestTimeoutMs: () => config().requestTimeoutMs,
    });
  }

  ready(partition: Partition): void {
    if (partition.topic !== TRANSACTIONS_TOPIC) return;
    const { ports, deadlines, partitions, producerIds, image, config } = this.#parts;
    const hosted = new TransactionPartition(partition, {
      clock: ports.clock,
      codecs: ports.codecs,
      logger: ports.logger,
      deadlines,
      markers: this.#markers,
      commitTimeoutMs: () => config().requestTimeoutMs,
      batchBytesMax: () => partitions.configOf(partition).maxMessageBytes,
      damaged: (reason) => void partitions.quarantine(partition, reason),
      shardParts: () => ({
        config: transactionConfig(config()),
        transactionVersion: () => image.features.get(TRANSACTION_VERSION)?.level ?? 0,
        takeProducerId: () => producerIds.take(),
      }),
    });
    this.#hosted.set(partition.index, hosted);
  }

  resigning(partition: Partition): void {
    if (partition.topic !== TRANSACTIONS_TOPIC) return;
    this.#hosted.get(partition.index)?.close();
    this.#hosted.delete(partition.index);
  }

  /** Partitions have other leaders, or are deleted. */
  leadersChanged(): void {
    this.#markers.leadersChanged();
  }

  /** Undefined while there is no coordinator: the client asks again, and meanwhile the transactions topic is made. */
  coordinatorOf(transactionalId: string): NodeId | undefined {
    const topic = this.#parts.image.topic(TRANSACTIONS_TOPIC);
    if (topic === undefined) {
      if (this.#hasBrokersForTopic) this.#parts.createTransactionsTopic();
      return undefined;
    }
    const index = coordinatorPartition(transactionalId, topic.partitions.length);
    const leader = topic.partitions[index]?.leader ?? undefined;
    return leader === this.#parts.nodeId && !this.#hosted.has(index) ? undefined : leader;
  }

  async initProducerId(command: InitProducerIdCommand): Promise<InitProducerIdResponse> {
    const failed = (errorCode: ErrorCode) => ({ errorCode, producerId: NO_PRODUCER_ID, producerEpoch: NO_EPOCH });
    const hosted = this.#hostedFor(command.transactionalId);
    if (hosted === undefined) return failed(this.#errorWithout(command.transactionalId));
    const ask = () => hosted.ask((shard, now) => shard.initProducerId(command, now), failed);
    const answer = await ask();
    if (answer.errorCode !== ErrorCode.CoordinatorLoadInProgress || hosted.error !== ErrorCode.None) return answer;
    // The decision cannot wait for a producer id, but the request can.
    await this.#parts.producerIds.whenSome();
    return ask();
  }

  addPartitions(command: AddPartitionsCommand): Promise<ErrorCode> {
    const hosted = this.#hostedFor(command.transactionalId);
    return (
      hosted?.ask<ErrorCode>(
        (shard, now) => shard.addPartitions(command, now),
        (error) => error,
      ) ?? Promise.resolve(this.#errorWithout(command.transactionalId))
    );
  }

  verifyPartitions(command: VerifyPartitionsCommand): Promise<VerifyPartitionsResponse> {
    const failed = (errorCode: ErrorCode) => ({ errorCode, missing: NO_PARTITIONS });
    const hosted = this.#hostedFor(command.transactionalId);
    return (
      hosted?.read((shard) => shard.verifyPartitions(command), failed, [command.transactionalId]) ??
      Promise.resolve(failed(this.#errorWithout(command.transactionalId)))
    );
  }

  endTransaction(command: EndTransactionCommand): Promise<EndTransactionResponse> {
    const failed = (errorCode: ErrorCode) => ({ errorCode, producerId: NO_PRODUCER_ID, producerEpoch: NO_EPOCH });
    const hosted = this.#hostedFor(command.transactionalId);
    return (
      hosted?.ask((shard, now) => shard.endTransaction(command, now), failed) ??
      Promise.resolve(failed(this.#errorWithout(command.transactionalId)))
    );
  }

  async describe(transactionalId: string): Promise<Description> {
    if (transactionalId === '') return { transactionalId, errorCode: ErrorCode.InvalidRequest };
    const hosted = this.#hostedFor(transactionalId);
    if (hosted === undefined) return { transactionalId, errorCode: this.#errorWithout(transactionalId) };
    const described = await hosted.read<DescribedTransaction | ErrorCode | undefined>(
      (shard) => shard.describe(transactionalId),
      (error) => error,
      [transactionalId],
    );
    if (typeof described === 'object') return described;
    return { transactionalId, errorCode: described || ErrorCode.TransactionalIdNotFound };
  }

  /** The transactional ids of this node; with an error, some are missing. */
  async list(
    command: ListTransactionsCommand,
  ): Promise<{ readonly errorCode: ErrorCode; readonly transactions: readonly ListedTransaction[] }> {
    const lists = await Promise.all(
      [...this.#hosted.values()].map((hosted) =>
        hosted.read<readonly ListedTransaction[] | ErrorCode>(
          (shard, now) => shard.list(command, now),
          (error) => error,
        ),
      ),
    );
    const transactions: ListedTransaction[] = [];
    for (const list of lists) {
      if (typeof list !== 'number') transactions.push(...list);
      // A partition that is not served has nothing here, as one that another node leads.
      else if (list !== ErrorCode.NotCoordinator) return { errorCode: list, transactions: [] };
    }
    return { errorCode: ErrorCode.None, transactions };
  }

  /** How many transactional ids are in each state here: for metrics. */
  countByState(): ReadonlyMap<TransactionState, number> {
    const total = new Map<TransactionState, number>();
    for (const { counts } of this.#hosted.values())
      for (const [state, count] of counts) total.set(state, (total.get(state) ?? 0) + count);
    return total;
  }

  /** Transactions whose outcome is decided, and not yet told to every partition. */
  get pendingMarkers(): number {
    return this.#markers.pendingCount;
  }

  /** Made with fewer brokers, the topic would be less safe than the cluster is meant to be, for as long as nobody changes it. */
  get #hasBrokersForTopic(): boolean {
    const { image, config } = this.#parts;
    let unfenced = 0;
    for (const { fenced } of image.brokers.values()) if (!fenced) unfenced += 1;
    return unfenced >= config().transactionStateLogReplicationFactor;
  }

  #hostedFor(transactionalId: string): TransactionPartition | undefined {
    const topic = this.#parts.image.topic(TRANSACTIONS_TOPIC);
    if (topic === undefined) return undefined;
    return this.#hosted.get(coordinatorPartition(transactionalId, topic.partitions.length));
  }

  /** Of an id that nothing here holds: this node may lead its partition, and not be ready to serve it. */
  #errorWithout(transactionalId: string): FailureCode {
    return errorWithoutHost(this.#parts.image.topic(TRANSACTIONS_TOPIC), transactionalId, this.#parts.nodeId);
  }
}

/** What __transaction_state is made as. */
export function transactionsTopic(config: BrokerConfig): NewTopic {
  const minIsr = config.transactionStateLogMinIsr;
  return {
    name: TRANSACTIONS_TOPIC,
    partitionCount: config.transactionStateLogNumPartitions,
    replicationFactor: config.transactionStateLogReplicationFactor,
    assignments: [],
    configs: new Map([
      ['cleanup.policy', 'compact'],
      ['compression.type', 'uncompressed'],
      ['segment.bytes', String(config.transactionStateLogSegmentBytes)],
      ['unclean.leader.election.enable', 'false'],
      ...(minIsr === undefined ? [] : [['min.insync.replicas', String(minIsr)] as const]),
    ]),
  };
}

function transactionConfig(config: BrokerConfig): TransactionConfig {
  return {
    timeoutMsMax: config.transactionMaxTimeoutMs,
    expirationMs: config.transactionalIdExpirationMs,
    expirationCheckIntervalMs: config.transactionRemoveExpiredTransactionCleanupIntervalMs,
    timeoutCheckIntervalMs: config.transactionAbortTimedOutTransactionCleanupIntervalMs,
  };
}
