import type { Deadlines } from '#base/deadlines';
import type { Ports } from '#base/ports';
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
import { MATCHES_PER_TURN, type TransactionConfig } from '#coordinator/transaction-config';
import { NO_EPOCH, NO_PARTITIONS, NO_PRODUCER_ID, type TransactionState } from '#coordinator/transaction-state';
import type { MetadataImage } from '#metadata/image';
import type { NewTopic } from '#metadata/topics';
import type { BrokerConfig } from '#model/broker-config';
import { ErrorCode } from '#model/errors';
import { TRANSACTION_VERSION } from '#model/features';
import type { NodeId } from '#model/ids';
import { TRANSACTIONS_TOPIC } from '#model/internal-topics';
import type { BrokerRequests } from './broker-requests.ts';
import { HostedPartitions } from './hosted-partitions.ts';
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
  readonly #hosted: HostedPartitions<TransactionPartition>;

  constructor(parts: TransactionHostParts) {
    this.#parts = parts;
    const { ports, nodeId, deadlines, image, requests, config } = parts;
    this.#hosted = new HostedPartitions({
      name: TRANSACTIONS_TOPIC,
      nodeId,
      image,
      logger: ports.logger,
      replicationFactor: () => config().transactionStateLogReplicationFactor,
      factorConfig: 'transaction.state.log.replication.factor',
      create: () => parts.createTransactionsTopic(),
    });
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
        planted: partition.planted,
      }),
    });
    this.#hosted.add(partition.index, hosted);
  }

  resigning(partition: Partition): void {
    if (partition.topic === TRANSACTIONS_TOPIC) this.#hosted.close(partition.index);
  }

  /** Partitions have other leaders, or are deleted. */
  leadersChanged(): void {
    this.#markers.leadersChanged();
  }

  /** Undefined while there is no coordinator: the client asks again, and meanwhile the transactions topic is made. */
  coordinatorOf(transactionalId: string): NodeId | undefined {
    return this.#hosted.coordinatorOf(transactionalId);
  }

  async initProducerId(command: InitProducerIdCommand): Promise<InitProducerIdResponse> {
    const failed = (errorCode: ErrorCode) => ({ errorCode, producerId: NO_PRODUCER_ID, producerEpoch: NO_EPOCH });
    const hosted = this.#hosted.of(command.transactionalId);
    if (hosted === undefined) return failed(this.#hosted.errorWithout(command.transactionalId));
    const ask = () => hosted.ask((shard, now) => shard.initProducerId(command, now), failed);
    const answer = await ask();
    if (answer.errorCode !== ErrorCode.CoordinatorLoadInProgress || hosted.error !== ErrorCode.None) return answer;
    // The decision cannot wait for a producer id, but the request can.
    await this.#parts.producerIds.whenSome();
    return ask();
  }

  addPartitions(command: AddPartitionsCommand): Promise<ErrorCode> {
    const ask = (hosted: TransactionPartition): Promise<ErrorCode> =>
      hosted.ask<ErrorCode>(
        (shard, now) => shard.addPartitions(command, now),
        (error) => error,
      );
    return this.#hosted.ask<ErrorCode>(command.transactionalId, ask, (error) => error);
  }

  verifyPartitions(command: VerifyPartitionsCommand): Promise<VerifyPartitionsResponse> {
    const failed = (errorCode: ErrorCode) => ({ errorCode, missing: NO_PARTITIONS });
    const { transactionalId } = command;
    const ask = (hosted: TransactionPartition) =>
      hosted.read((shard) => shard.verifyPartitions(command), failed, [transactionalId]);
    return this.#hosted.ask(transactionalId, ask, failed);
  }

  endTransaction(command: EndTransactionCommand): Promise<EndTransactionResponse> {
    const failed = (errorCode: ErrorCode) => ({ errorCode, producerId: NO_PRODUCER_ID, producerEpoch: NO_EPOCH });
    const ask = (hosted: TransactionPartition) =>
      hosted.ask((shard, now) => shard.endTransaction(command, now), failed);
    return this.#hosted.ask(command.transactionalId, ask, failed);
  }

  async describe(transactionalId: string): Promise<Description> {
    if (transactionalId === '') return { transactionalId, errorCode: ErrorCode.InvalidRequest };
    const hosted = this.#hosted.of(transactionalId);
    if (hosted === undefined) return { transactionalId, errorCode: this.#hosted.errorWithout(transactionalId) };
    const described = await hosted.read<DescribedTransaction | ErrorCode | undefined>(
      (shard) => shard.describe(transactionalId),
      (error) => error,
      [transactionalId],
    );
    if (typeof described === 'object') return described;
    return { transactionalId, errorCode: described || ErrorCode.TransactionalIdNotFound };
  }

  /** The transactional ids of this node that match, which may be hard to tell; with an error, some are missing. */
  async list(
    command: ListTransactionsCommand,
    matches: (transactionalId: string) => boolean,
  ): Promise<{ readonly errorCode: ErrorCode; readonly transactions: readonly ListedTransaction[] }> {
    const { errorCode, items } = await this.#hosted.list<ListedTransaction>((hosted) =>
      hosted.read<readonly ListedTransaction[] | ErrorCode>(
        (shard, now) => shard.list(command, now),
        (error) => error,
      ),
    );
    const { clock } = this.#parts.ports;
    const transactions: ListedTransaction[] = [];
    for (const [place, listed] of items.entries()) {
      if (place > 0 && place % MATCHES_PER_TURN === 0) await new Promise<void>((resolve) => clock.defer(resolve));
      if (matches(listed.transactionalId)) transactions.push(listed);
    }
    return { errorCode, transactions };
  }

  /** How many transactional ids are in each state here: for metrics. */
  countByState(): ReadonlyMap<TransactionState, number> {
    const total = new Map<TransactionState, number>();
    for (const { counts } of this.#hosted.all())
      for (const [state, count] of counts) total.set(state, (total.get(state) ?? 0) + count);
    return total;
  }

  /** Transactions whose outcome is decided, and not yet told to every partition. */
  get pendingMarkers(): number {
    return this.#markers.pendingCount;
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
