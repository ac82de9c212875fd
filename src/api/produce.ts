import { at } from '#base/assert';
import type { Verification } from '#log/verifications';
import { ErrorCode, errorName } from '#model/errors';
import { ZERO_UUID } from '#model/ids';
import type { TopicConfig } from '#model/topic-config';
import { type ProduceRequest, readProduceRequest } from '#protocol/generated/produce-request';
import { writeProduceResponse } from '#protocol/generated/produce-response';
import { readLegacyProducePartitions, writeLegacyProduceResponse } from '#protocol/legacy-produce';
import { validateProducedBatches } from '#protocol/produced-batches';
import { type BatchHeader, isTransactional, patchLogAppendTime } from '#protocol/record-batch';
import type { Broker } from '#runtime/broker';
import { whenLed } from '#runtime/next-leader';
import type { Partition } from '#runtime/partition';
import { recompress } from '#runtime/recompress';
import { type Api, type ApiContext, respond } from './api.ts';
import { LeaderHints } from './leader-hints.ts';
import { ALL_IN_SYNC, type PendingAnswer, ProduceRound, type TopicAnswer } from './produce-round.ts';

const PRODUCE = 0;
/** Versions without a schema: offered for librdkafka's sake (KAFKA-18659), refused when used. */
const OLDEST_SERVED = 3;
const FIRST_WITH_ZSTD = 7;
const FIRST_WITH_ABORTABLE = 11;
/** Its clients leave it to the broker to add partitions to a transaction (KIP-890). */
const FIRST_THAT_ADDS = 12;
const FIRST_WITH_TOPIC_IDS = 13;
/** The admin client's own tools may write internal topics; everybody else may not. */
const INTERNAL_WRITER = '__admin_client';

const UNDER_MIN_ISR = 'fewer replicas are in sync than min.insync.replicas asks for';

/** What goes to one partition. */
interface Entry {
  readonly partition: Partition;
  readonly bytes: Uint8Array;
  readonly headers: readonly BatchHeader[];
  readonly answer: PendingAnswer;
  /** The topic dates its records itself. */
  readonly stamps: boolean;
  /** See Partition.append. */
  verification: Verification | 'waived' | undefined;
  isRefused: boolean;
}

export const produceApi: Api = {
  key: PRODUCE,
  serve(reader, context) {
    const version = context.header.apiVersion;
    if (version < OLDEST_SERVED) {
      const topics = readLegacyProducePartitions(reader, version);
      return respond(context, (writer) => writeLegacyProduceResponse(writer, topics, version));
    }
    serveProduce(readProduceRequest(reader, version), context);
  },
};

function serveProduce(request: ProduceRequest, context: ApiContext): void {
  const { broker, exchange } = context;
  const version = context.header.apiVersion;
  const acks = request.acks;
  if (acks < -1 || acks > 1) {
    exchange.reachedLog();
    const responses = request.topicData.map((topic) => ({
      name: topic.name,
      topicId: topic.topicId,
      partitionResponses: topic.partitionData.map((part) => refused(part.index, ErrorCode.InvalidRequiredAcks)),
    }));
    return respond(context, (writer) => writeProduceResponse(writer, { responses }, version));
  }
  const holdMemory = acks === 0 ? undefined : () => exchange.holdMemory();
  const round = new ProduceRound(holdMemory, (responses) => {
    if (round.deadline !== undefined) broker.deadlines.cancel(round.deadline);
    broker.traffic.failedProduceRequests += round.refusedCount;
    if (acks === 0) {
      // Without an answer the client learns of a refusal by losing its connection, as in Kafka.
      if (round.refusedCount > 0) exchange.refuse('a produce request with acks=0 was refused');
      else exchange.finish();
      return;
    }
    const nodeEndpoints = addLeaderHints(responses, new LeaderHints(broker, exchange));
    respond(context, (writer) => writeProduceResponse(writer, { responses, nodeEndpoints }, version));
  });
  const entries = entriesOf(request, round, context);
  const appendAll = (): void => {
    round.deadline = broker.deadlines.after(Math.max(0, request.timeoutMs), () => round.expire());
    for (const entry of entries) append(entry, request, round, context);
    exchange.reachedLog();
    broker.traffic.produceRequests += 1;
    round.begun();
  };
  const transactional = entries.filter(({ headers }) => headers.some(isTransactional));
  const early = entries.filter(({ partition }) => partition.mayLeadNext).map(({ partition }) => partition);
  const { handedOver } = broker;
  if (transactional.length + early.length === 0 && handedOver === undefined) return appendAll();
  // Nothing of it reaches the logs before, and the connection's later requests come after it.
  const prepare = async (): Promise<void> => {
    if (handedOver !== undefined) await handedOver;
    if (early.length > 0) await whenLed(early, broker.deadlines);
    if (transactional.length > 0) await verifyTransaction(transactional, request, round, context);
  };
  prepare().then(appendAll, (error: unknown) => broker.fail(error));
}

/** What may go to the logs; the rest is refused. */
function entriesOf(request: ProduceRequest, round: ProduceRound, context: ApiContext): readonly Entry[] {
  const { broker } = context;
  const version = context.header.apiVersion;
  const entries: Entry[] = [];
  for (const topic of request.topicData) {
    const answers: PendingAnswer[] = [];
    round.responses.push({ name: topic.name, topicId: topic.topicId, partitionResponses: answers });
    for (const part of topic.partitionData) {
      const answer: PendingAnswer = refused(part.index, ErrorCode.None);
      answers.push(answer);
      const found =
        version >= FIRST_WITH_TOPIC_IDS
          ? broker.partitions.replicaById(topic.topicId, part.index)
          : broker.partitions.replicaByName(topic.name, part.index);
      if (typeof found === 'number') {
        round.refuse(answer, found);
        continue;
      }
      if (!found.leads && found.log !== undefined && !found.mayLeadNext) {
        round.refuse(answer, ErrorCode.NotLeaderOrFollower);
        continue;
      }
      if (isUnderMinIsr(found, request.acks)) {
        round.refuse(answer, ErrorCode.NotEnoughReplicas, UNDER_MIN_ISR);
        continue;
      }
      const records = part.records?.[0];
      if (records === undefined) {
        round.refuse(answer, ErrorCode.InvalidRecord, 'no records');
        continue;
      }
      const entry = entryOf(found, records, answer, round, context);
      if (entry !== undefined) entries.push(entry);
    }
  }
  return entries;
}

function isUnderMinIsr({ leadership }: Partition, acks: number): boolean {
  return acks === ALL_IN_SYNC && leadership?.isUnderMinIsr === true;
}

/** One partition's batches, judged by themselves; undefined if they are refused. */
function entryOf(
  partition: Partition,
  records: Uint8Array,
  answer: PendingAnswer,
  round: ProduceRound,
  context: ApiContext,
): Entry | undefined {
  const { broker, header } = context;
  const config = broker.partitions.configOf(partition);
  if (broker.partitions.isInternal(partition.topic) && header.clientId !== INTERNAL_WRITER)
    return round.refuse(answer, ErrorCode.InvalidTopicException, `the topic ${partition.topic} is internal`);
  const validated = validateProducedBatches(
    records,
    limitsOf(config, header.apiVersion, broker.ports.clock.wall()),
    broker.ports.codecs,
  );
  if ('error' in validated) return round.refuse(answer, validated.error, validated.message);
  let { headers } = validated;
  let bytes = records;
  const first = headers[0];
  if (first === undefined) return round.refuse(answer, ErrorCode.InvalidRecord, 'no record batch');
  if (config.compressionType !== 'producer') {
    const again = recompress(bytes, first, config, broker.ports.codecs);
    if ('error' in again) return round.refuse(answer, again.error);
    ({ bytes, headers } = again);
  }
  return {
    partition,
    bytes,
    headers,
    answer,
    stamps: config.messageTimestampType === 'LogAppendTime',
    verification: undefined,
    isRefused: false,
  };
}

/** Leaves with each entry what its append needs, or refuses it. */
async function verifyTransaction(
  entries: readonly Entry[],
  request: ProduceRequest,
  round: ProduceRound,
  { broker, header }: ApiContext,
): Promise<void> {
  const refuse = (entry: Entry, error: ErrorCode, message?: string): void => {
    entry.isRefused = true;
    round.refuse(entry.answer, error, message);
  };
  const { transactionalId } = request;
  const appends = entries.map(({ partition, headers }) => ({ partition, header: at(headers, 0) }));
  const { producerId, producerEpoch } = at(appends, 0).header;
  const isOne = appends.every(
    (one) => one.header.producerId === producerId && one.header.producerEpoch === producerEpoch,
  );
  if (transactionalId === null || !isOne) {
    const error =
      transactionalId === null ? ErrorCode.TransactionalIdAuthorizationFailed : ErrorCode.InvalidProducerIdMapping;
    for (const entry of entries) refuse(entry, error);
    return;
  }
  const adds = header.apiVersion >= FIRST_THAT_ADDS;
  const verdicts = await broker.verifier.verify(
    appends,
    { transactionalId, producerId, producerEpoch, adds, knowsAbortable: header.apiVersion >= FIRST_WITH_ABORTABLE },
    Math.min(Math.max(1, request.timeoutMs), broker.config.requestTimeoutMs),
  );
  for (const [place, { error, verification }] of verdicts.entries()) {
    const entry = at(entries, place);
    entry.verification = verification;
    if (error !== ErrorCode.None) refuse(entry, ...unverified(error, adds));
  }
}

/** What clients, old ones too, retry with their batches as they are if the coordinator cannot be asked now. */
function unverified(error: ErrorCode, adds: boolean): [error: ErrorCode, message?: string] {
  switch (error) {
    case ErrorCode.InvalidTxnState:
      return [error, 'the partition was not added to the transaction'];
    case ErrorCode.ConcurrentTransactions:
      if (adds) return [error];
      break;
    // The coordinator has not heard yet of another partition of the request. To producers this one would be fatal.
    case ErrorCode.OperationNotAttempted:
    case ErrorCode.NetworkException:
    case ErrorCode.CoordinatorLoadInProgress:
    case ErrorCode.CoordinatorNotAvailable:
    case ErrorCode.NotCoordinator:
      break;
    default:
      return [error];
  }
  return [ErrorCode.NotEnoughReplicas, `the transaction could not be verified: ${errorName(error)}`];
}

function append(entry: Entry, { acks, timeoutMs }: ProduceRequest, round: ProduceRound, { broker }: ApiContext): void {
  if (entry.isRefused) return;
  const { partition, bytes, answer } = entry;
  // Its verification may have taken a while.
  if (isUnderMinIsr(partition, acks)) return round.refuse(answer, ErrorCode.NotEnoughReplicas, UNDER_MIN_ISR);
  let { headers } = entry;
  let appendTime = -1;
  if (entry.stamps) {
    appendTime = broker.ports.clock.wall();
    headers = headers.map((batch) => patchLogAppendTime(bytes, batch.at, appendTime, broker.ports.codecs));
  }
  const outcome = partition.append(bytes, headers, entry.verification);
  if (outcome.error === ErrorCode.OutOfOrderSequenceNumber)
    return round.awaitRefusal(answer, judgeGap(partition, timeoutMs, broker));
  if (outcome.error !== ErrorCode.None) return round.refuse(answer, outcome.error, outcome.message);
  broker.traffic.bytesIn += bytes.length;
  const { recordCount } = at(headers, 0);
  broker.traffic.recordsIn += recordCount;
  const ofTopic = broker.partitions.trafficOf(partition);
  if (ofTopic !== undefined) {
    ofTopic.bytesIn += bytes.length;
    ofTopic.recordsIn += recordCount;
  }
  answer.baseOffset = outcome.baseOffset;
  if (entry.stamps) answer.logAppendTimeMs = outcome.appendTime ?? appendTime;
  answer.logStartOffset = partition.log?.logStartOffset ?? -1;
  round.await(partition, outcome.lastOffset, acks, answer);
}

/**
 * Whoever leads no more, and has not heard of it, misses what its successor was given: a producer that sees a gap as the loss of its
 * records would give up what the successor takes. So a gap is told only by who still led after the batch came.
 */
async function judgeGap(partition: Partition, timeoutMs: number, { controller, config }: Broker): Promise<ErrorCode> {
  const { leaderEpoch } = partition;
  const isCurrent = await controller.catchUp(Math.min(Math.max(1, timeoutMs), config.requestTimeoutMs));
  const leads = isCurrent && partition.leads && partition.leaderEpoch === leaderEpoch;
  return leads ? ErrorCode.OutOfOrderSequenceNumber : ErrorCode.NotLeaderOrFollower;
}

/** The endpoints of the leaders that the answers name. */
function addLeaderHints(responses: readonly TopicAnswer[], hints: LeaderHints): LeaderHints['endpoints'] {
  for (const { name, topicId, partitionResponses = [] } of responses)
    for (const answer of partitionResponses as PendingAnswer[]) {
      const leader = hints.leaderAfter(answer.errorCode as ErrorCode, name ?? '', topicId ?? ZERO_UUID, answer.index);
      if (leader !== undefined) answer.currentLeader = leader;
    }
  return hints.endpoints;
}

function limitsOf(config: TopicConfig, version: number, wallMs: number) {
  return {
    maxMessageBytes: config.maxMessageBytes,
    nowMs: wallMs,
    timestampBeforeMaxMs: config.messageTimestampBeforeMaxMs,
    timestampAfterMaxMs: config.messageTimestampAfterMaxMs,
    logAppendTime: config.messageTimestampType === 'LogAppendTime',
    keysRequired: config.cleanupPolicy !== 'delete',
    zstdAllowed: version >= FIRST_WITH_ZSTD,
  };
}

function refused(index: number, errorCode: ErrorCode): PendingAnswer {
  return { index, errorCode, baseOffset: -1, logAppendTimeMs: -1, logStartOffset: -1 };
}
