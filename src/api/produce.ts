import { ErrorCode } from '#model/errors';
import { offset, ZERO_UUID } from '#model/ids';
import type { TopicConfig } from '#model/topic-config';
import { type ProduceRequest, readProduceRequest } from '#protocol/generated/produce-request';
import { type ProduceResponseInput, writeProduceResponse } from '#protocol/generated/produce-response';
import { readLegacyProducePartitions, writeLegacyProduceResponse } from '#protocol/legacy-produce';
import { validateProducedBatches } from '#protocol/produced-batches';
import { isTransactional, patchLogAppendTime } from '#protocol/record-batch';
import type { Partition } from '#runtime/partition';
import { recompress } from '#runtime/recompress';
import { type Api, type ApiContext, respond } from './api.ts';
import { LeaderHints } from './leader-hints.ts';

const PRODUCE = 0;
/** Versions without a schema: offered for librdkafka's sake (KAFKA-18659), refused when used. */
const OLDEST_SERVED = 3;
const FIRST_WITH_ZSTD = 7;
const FIRST_WITH_TOPIC_IDS = 13;
/** The acks of a producer that waits for every replica in sync. */
const ALL = -1;
/** The admin client's own tools may write internal topics; everybody else may not. */
const INTERNAL_WRITER = '__admin_client';

type TopicAnswer = NonNullable<ProduceResponseInput['responses']>[number];
type PartitionAnswer = NonNullable<TopicAnswer['partitionResponses']>[number];

/** A partition's answer while the acknowledgement is awaited: filled in place. */
type PendingAnswer = { -readonly [key in keyof PartitionAnswer]: PartitionAnswer[key] };

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
    broker.deadlines.cancel(deadline);
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
  const deadline = broker.deadlines.after(Math.max(0, request.timeoutMs), () => round.expire());
  for (const topic of request.topicData) {
    const answers: PendingAnswer[] = [];
    round.responses.push({ name: topic.name, topicId: topic.topicId, partitionResponses: answers });
    for (const part of topic.partitionData) {
      const answer: PendingAnswer = refused(part.index, ErrorCode.None);
      answers.push(answer);
      const found =
        version >= FIRST_WITH_TOPIC_IDS
          ? broker.partitions.findById(topic.topicId, part.index)
          : broker.partitions.findByName(topic.name, part.index);
      if (typeof found === 'number') {
        round.refuse(answer, found);
        continue;
      }
      if (acks === ALL && found.leadership?.isUnderMinIsr === true) {
        round.refuse(
          answer,
          ErrorCode.NotEnoughReplicas,
          'fewer replicas are in sync than min.insync.replicas asks for',
        );
        continue;
      }
      const records = part.records?.[0];
      if (records === undefined) round.refuse(answer, ErrorCode.InvalidRecord, 'no records');
      else appendTo(found, records, acks, answer, round, context);
    }
  }
  exchange.reachedLog();
  broker.traffic.produceRequests += 1;
  round.begun();
}

function appendTo(
  partition: Partition,
  records: Uint8Array,
  acks: number,
  answer: PendingAnswer,
  round: ProduceRound,
  context: ApiContext,
): void {
  const { broker, header } = context;
  const config = broker.partitions.configOf(partition);
  if (broker.partitions.isInternal(partition.topic) && header.clientId !== INTERNAL_WRITER) {
    return round.refuse(answer, ErrorCode.InvalidTopicException, `the topic ${partition.topic} is internal`);
  }
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
  if (isTransactional(first)) return round.refuse(answer, ErrorCode.InvalidTxnState, 'transactions are not served');
  if (config.compressionType !== 'producer') {
    const again = recompress(bytes, first, config, broker.ports.codecs);
    if ('error' in again) return round.refuse(answer, again.error);
    ({ bytes, headers } = again);
  }
  let appendTime = -1;
  if (config.messageTimestampType === 'LogAppendTime') {
    appendTime = broker.ports.clock.wall();
    headers = headers.map((batch) => patchLogAppendTime(bytes, batch.at, appendTime, broker.ports.codecs));
  }
  const outcome = partition.append(bytes, headers);
  if (outcome.error !== ErrorCode.None) return round.refuse(answer, outcome.error, outcome.message);
  broker.traffic.bytesIn += bytes.length;
  broker.traffic.recordsIn += first.recordCount;
  const ofTopic = broker.partitions.trafficOf(partition);
  if (ofTopic !== undefined) {
    ofTopic.bytesIn += bytes.length;
    ofTopic.recordsIn += first.recordCount;
  }
  answer.baseOffset = outcome.baseOffset;
  answer.logAppendTimeMs = appendTime;
  answer.logStartOffset = partition.log?.logStartOffset ?? -1;
  round.await(partition, outcome.lastOffset, acks, answer);
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

/** The partitions of one Produce request, until all are durable, refused, or the request's time is up. */
class ProduceRound {
  readonly responses: TopicAnswer[] = [];
  refusedCount = 0;
  readonly #done: (responses: TopicAnswer[]) => void;
  /** Undefined: the round does not expire (acks=0). */
  readonly #holdMemory: (() => () => void) | undefined;
  readonly #awaited = new Set<PendingAnswer>();
  #begun = false;
  #over = false;
  /** What is left to wait for, once the answer was given without it. */
  #late = 0;
  #letGo: (() => void) | undefined;

  /** The request's memory is held until its bytes are down, whatever the client's timeout: the log needs them until then. */
  constructor(holdMemory: (() => () => void) | undefined, done: (responses: TopicAnswer[]) => void) {
    this.#holdMemory = holdMemory;
    this.#done = done;
  }

  refuse(answer: PendingAnswer, error: ErrorCode, message?: string): void {
    this.refusedCount += 1;
    answer.errorCode = error;
    answer.baseOffset = -1;
    if (message !== undefined) answer.errorMessage = message;
  }

  await(partition: Partition, lastOffset: number, acks: number, answer: PendingAnswer): void {
    this.#awaited.add(answer);
    const done = (error: ErrorCode): void => {
      if (this.#over) return this.#lateOne();
      this.#awaited.delete(answer);
      if (error !== ErrorCode.None) this.refuse(answer, error);
      this.#settle();
    };
    if (acks === ALL) partition.whenCommitted(offset(lastOffset), done);
    else partition.whenDurable(offset(lastOffset), done);
  }

  begun(): void {
    this.#begun = true;
    this.#settle();
  }

  expire(): void {
    if (this.#over || this.#holdMemory === undefined) return;
    this.#letGo = this.#holdMemory();
    this.#late = this.#awaited.size;
    for (const answer of this.#awaited) this.refuse(answer, ErrorCode.RequestTimedOut);
    this.#awaited.clear();
    this.#settle();
  }

  #lateOne(): void {
    this.#late -= 1;
    if (this.#late === 0) this.#letGo?.();
  }

  #settle(): void {
    if (!this.#begun || this.#over || this.#awaited.size > 0) return;
    this.#over = true;
    this.#done(this.responses);
  }
}
