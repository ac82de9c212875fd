import { ErrorCode } from '#model/errors';
import { ZERO_UUID } from '#model/ids';
import { type FetchRequest, readFetchRequest } from '#protocol/generated/fetch-request';
import { type FetchResponseInput, writeFetchResponse } from '#protocol/generated/fetch-response';
import { DelayedFetch, type PartitionFetch } from '#runtime/delayed-fetch';
import { type FetchContext, type FetchSession, type FetchTarget, serveLast } from '#runtime/fetch-sessions';
import { type Api, type ApiContext, respond } from './api.ts';

const FETCH = 1;
const FIRST_WITH_TOPIC_IDS = 13;
const READ_COMMITTED = 1;

type TopicAnswer = NonNullable<FetchResponseInput['responses']>[number];
type PartitionAnswer = NonNullable<TopicAnswer['partitions']>[number];

export const fetchApi: Api = {
  key: FETCH,
  serve(reader, context) {
    serveFetch(readFetchRequest(reader, context.header.apiVersion), context);
  },
};

function serveFetch(request: FetchRequest, context: ApiContext): void {
  const { broker, exchange } = context;
  const version = context.header.apiVersion;
  const session = broker.fetchSessions.open(
    {
      sessionId: request.sessionId,
      sessionEpoch: request.sessionEpoch,
      usesTopicIds: version >= FIRST_WITH_TOPIC_IDS,
      targets: targetsOf(request),
      forgotten: forgottenOf(request),
    },
    broker.ports.clock.now(),
  );
  if (session.kind === 'error') {
    const body = { throttleTimeMs: 0, errorCode: session.error, sessionId: session.sessionId, responses: [] };
    return respond(context, (writer) => writeFetchResponse(writer, body, version));
  }
  const targets =
    session.kind === 'full' ? session.targets : [...session.session.partitions.values()].map((known) => known.target);
  const plan = {
    targets,
    maxWaitMs: request.maxWaitMs,
    minBytes: request.minBytes,
    maxBytes: Math.max(0, Math.min(request.maxBytes, broker.config.fetchMaxBytes)),
    readCommitted: request.isolationLevel === READ_COMMITTED,
  };
  broker.traffic.fetchRequests += 1;
  const lookup = (target: FetchTarget) =>
    version >= FIRST_WITH_TOPIC_IDS
      ? broker.partitions.findById(target.topicId, target.partition)
      : broker.partitions.findByName(target.topic, target.partition);
  const fetch = new DelayedFetch(plan, lookup, broker.deadlines, exchange.responseBudget, (results) => {
    for (const result of results) {
      broker.traffic.bytesOut += result.sizeBytes;
      if (result.error !== ErrorCode.None) broker.traffic.failedFetchRequests += 1;
    }
    const body = answerOf(results, session, plan.readCommitted);
    const sent = (): void => {
      for (const { lease } of results) lease?.release();
    };
    respond(context, (writer) => writeFetchResponse(writer, body, version), sent);
  });
  fetch.start();
  exchange.whenGone(() => fetch.giveUp());
}

function targetsOf(request: FetchRequest): FetchTarget[] {
  const targets: FetchTarget[] = [];
  for (const topic of request.topics) {
    for (const part of topic.partitions) {
      targets.push({
        topic: topic.topic,
        topicId: topic.topicId,
        partition: part.partition,
        fetchOffset: part.fetchOffset,
        maxBytes: part.partitionMaxBytes,
        currentLeaderEpoch: part.currentLeaderEpoch,
        lastFetchedEpoch: part.lastFetchedEpoch,
      });
    }
  }
  return targets;
}

function forgottenOf(request: FetchRequest) {
  return request.forgottenTopicsData.flatMap((topic) =>
    topic.partitions.map((partition) => ({ topic: topic.topic, topicId: topic.topicId, partition })),
  );
}

function answerOf(
  results: readonly PartitionFetch[],
  opened: FetchContext,
  readCommitted: boolean,
): FetchResponseInput {
  if (opened.kind === 'error') return { throttleTimeMs: 0, errorCode: opened.error, responses: [] };
  const session = opened.session;
  const told = results.filter((result) => mustTell(result, session, opened.kind === 'incremental'));
  const topics = new Map<string, TopicAnswer & { readonly partitions: PartitionAnswer[] }>();
  for (const result of told) {
    const { topic, topicId } = result.target;
    const key = topicId === ZERO_UUID ? topic : topicId;
    let answer = topics.get(key);
    if (answer === undefined) {
      answer = { topic, topicId, partitions: [] };
      topics.set(key, answer);
    }
    answer.partitions.push(partitionAnswer(result, readCommitted));
  }
  return { throttleTimeMs: 0, errorCode: ErrorCode.None, sessionId: session?.id ?? 0, responses: [...topics.values()] };
}

/** In a session a partition is told of only when there is something new; whatever is told is remembered. */
function mustTell(result: PartitionFetch, session: FetchSession | undefined, incremental: boolean): boolean {
  if (session === undefined) return true;
  const { topic, topicId, partition } = result.target;
  const known = session.partitions.get(`${topic}/${topicId}/${partition}`);
  if (known === undefined) return true;
  const changed =
    !incremental ||
    result.error !== ErrorCode.None ||
    result.sizeBytes > 0 ||
    result.diverging !== undefined ||
    known.sentHighWatermark !== result.highWatermark ||
    known.sentLogStartOffset !== result.logStartOffset;
  // After an error the next answer is told whatever it says.
  known.sentHighWatermark = result.highWatermark;
  known.sentLogStartOffset = result.logStartOffset;
  if (result.sizeBytes > 0) serveLast(session, result.target);
  return changed;
}

function partitionAnswer(result: PartitionFetch, readCommitted: boolean): PartitionAnswer {
  const { target } = result;
  return {
    partitionIndex: target.partition,
    errorCode: result.error,
    highWatermark: result.highWatermark,
    lastStableOffset: result.lastStableOffset,
    logStartOffset: result.logStartOffset,
    ...(result.diverging === undefined ? {} : { divergingEpoch: result.diverging }),
    abortedTransactions: readCommitted && result.error === ErrorCode.None ? [] : null,
    records: result.chunks,
  };
}
