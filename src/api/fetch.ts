import { ErrorCode } from '#model/errors';
import { type NodeId, offset, ZERO_UUID } from '#model/ids';
import { type FetchRequest, readFetchRequest } from '#protocol/generated/fetch-request';
import { type FetchResponseInput, writeFetchResponse } from '#protocol/generated/fetch-response';
import type { Broker } from '#runtime/broker';
import { DelayedFetch, type FetchPlan, isInStep, type Lookup, type PartitionFetch } from '#runtime/delayed-fetch';
import { type FetchContext, type FetchSession, type FetchTarget, serveLast } from '#runtime/fetch-sessions';
import type { Partition } from '#runtime/partition';
import { type Api, type ApiContext, respond } from './api.ts';
import { LeaderHints } from './leader-hints.ts';

const FETCH = 1;
const FIRST_WITH_RACKS = 11;
const FIRST_WITH_TOPIC_IDS = 13;
const READ_COMMITTED = 1;
/** The replica id of whoever is none. */
const CONSUMER = -1;

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
  const follower = followerOf(request, broker);
  const session = broker.fetchSessions.open(
    {
      sessionId: request.sessionId,
      sessionEpoch: request.sessionEpoch,
      usesTopicIds: version >= FIRST_WITH_TOPIC_IDS,
      isFollower: follower !== undefined,
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
  const plan: FetchPlan = {
    targets,
    maxWaitMs: request.maxWaitMs,
    minBytes: request.minBytes,
    maxBytes: Math.max(0, Math.min(request.maxBytes, broker.config.fetchMaxBytes)),
    reader: follower === undefined ? clientReader(request) : 'follower',
    isWithheld:
      follower && ((partition) => isThrottled(partition, follower, broker) && broker.leaderThrottle.delayMs > 0),
    nearer: nearerReplicas(request, broker),
  };
  broker.traffic.fetchRequests += 1;
  const lookup = lookupFor(request, version, follower, broker);
  if (follower !== undefined) for (const target of targets) noteFetch(target, follower, lookup);
  const fetch = new DelayedFetch(plan, lookup, broker.deadlines, exchange.responseBudget, (results) => {
    for (const result of results) {
      if (follower === undefined) noteConsumed(result, broker);
      else noteReplicated(result, follower, broker);
      if (result.error !== ErrorCode.None) broker.traffic.failedFetchRequests += 1;
    }
    const body = answerOf(results, session, plan.reader === 'read-committed', new LeaderHints(broker, exchange));
    const sent = (): void => {
      for (const { lease } of results) lease?.release();
    };
    respond(context, (writer) => writeFetchResponse(writer, body, version), sent);
  });
  fetch.start();
  exchange.whenGone(() => fetch.giveUp());
  // A follower that has more to tell does not wait for more data.
  if (follower !== undefined) exchange.whenFollowed(() => fetch.hurry());
}

/** A follower out of sync, of a replica that the topic's config names (KIP-73). */
function isThrottled(partition: Partition, { id }: Follower, { leaderThrottle }: Broker): boolean {
  return partition.leadership?.view.isr.includes(id) === false && leaderThrottle.applies(partition);
}

function noteConsumed({ partition, sizeBytes }: PartitionFetch, { traffic, partitions }: Broker): void {
  if (sizeBytes === 0) return;
  traffic.bytesOut += sizeBytes;
  const ofTopic = partition && partitions.trafficOf(partition);
  if (ofTopic !== undefined) ofTopic.bytesOut += sizeBytes;
}

function noteReplicated({ partition, sizeBytes }: PartitionFetch, follower: Follower, broker: Broker): void {
  broker.traffic.replicationBytesOut += sizeBytes;
  if (sizeBytes > 0 && partition !== undefined && isThrottled(partition, follower, broker))
    broker.leaderThrottle.moved(sizeBytes);
}

/** Who fetches, if it says that it is a replica, and by which process; see `followerOf`. */
interface Follower {
  readonly id: NodeId;
  readonly brokerEpoch: number;
  /** Whether it is the broker's present process. Another one is refused: anyone can send a replica id (KIP-903). */
  readonly isCurrent: boolean;
}

/** Undefined for consumers, and for tools that name a replica without a process: they read as consumers do. */
function followerOf({ replicaId, replicaState }: FetchRequest, { image }: Broker): Follower | undefined {
  const id = Math.max(replicaId, replicaState.replicaId) as NodeId;
  const brokerEpoch = replicaState.replicaEpoch;
  if (id < 0 || brokerEpoch < 0) return undefined;
  return { id, brokerEpoch, isCurrent: image.brokers.get(id)?.brokerEpoch === brokerEpoch };
}

function clientReader({ isolationLevel }: FetchRequest): FetchPlan['reader'] {
  return isolationLevel === READ_COMMITTED ? 'read-committed' : 'client';
}

/** Undefined unless readers are to be sent to replicas of their own rack (KIP-392). */
function nearerReplicas({ rackId, replicaId, replicaState }: FetchRequest, broker: Broker): FetchPlan['nearer'] {
  const isRackAware = broker.config.replicaSelectorClass?.endsWith('RackAwareReplicaSelector') === true;
  if (!isRackAware || rackId === '' || replicaId !== CONSUMER || replicaState.replicaId !== CONSUMER) return undefined;
  const { brokers } = broker.image;
  return ({ fetchOffset }, partition) => {
    const leader = partition.leadership;
    if (leader === undefined || brokers.get(broker.nodeId)?.rack === rackId) return undefined;
    const isNear = (id: NodeId): boolean => {
      const near = brokers.get(id);
      const follower = leader.follower(id);
      if (near === undefined || near.fenced || near.rack !== rackId || follower === undefined) return false;
      return follower.logStartOffset <= fetchOffset && follower.fetchOffset >= fetchOffset;
    };
    return leader.view.isr.find(isNear);
  };
}

/** Followers and old clients read from leaders only; others from any replica (KIP-392). */
function lookupFor(request: FetchRequest, version: number, follower: Follower | undefined, broker: Broker): Lookup {
  const { partitions } = broker;
  const isDebugging = Math.max(request.replicaId, request.replicaState.replicaId) !== -1 || request.replicaId < -1;
  const leadersOnly = follower !== undefined || (version < FIRST_WITH_RACKS && !isDebugging);
  return (target) => {
    if (follower?.isCurrent === false) return ErrorCode.NotLeaderOrFollower;
    const { topic, topicId, partition, currentLeaderEpoch: epoch } = target;
    if (version >= FIRST_WITH_TOPIC_IDS)
      return leadersOnly ? partitions.findById(topicId, partition, epoch) : partitions.replicaById(topicId, partition);
    return leadersOnly ? partitions.findByName(topic, partition, epoch) : partitions.replicaByName(topic, partition);
  };
}

/** The leader learns where its follower is, unless their logs part or are of different epochs. */
function noteFetch(target: FetchTarget, { id, brokerEpoch }: Follower, lookup: Lookup): void {
  const found = lookup(target);
  if (typeof found === 'number' || target.currentLeaderEpoch !== found.leaderEpoch || !isInStep(target, found)) return;
  const { fetchOffset, durableOffset, logStartOffset, maxBytes } = target;
  found.fetchedBy(id, {
    brokerEpoch,
    fetchOffset: offset(fetchOffset),
    durableOffset: offset(durableOffset >= 0 ? Math.min(durableOffset, fetchOffset) : fetchOffset),
    logStartOffset,
    isFull: maxBytes === 0,
  });
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
        logStartOffset: part.logStartOffset,
        durableOffset: part.durableOffset,
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
  hints: LeaderHints,
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
    answer.partitions.push(partitionAnswer(result, readCommitted, hints));
  }
  return {
    throttleTimeMs: 0,
    errorCode: ErrorCode.None,
    sessionId: session?.id ?? 0,
    responses: [...topics.values()],
    nodeEndpoints: hints.endpoints,
  };
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
    result.preferredReplica !== undefined ||
    known.sentHighWatermark !== result.highWatermark ||
    known.sentLogStartOffset !== result.logStartOffset ||
    hasDeletedRecords(result);
  // After an error the next answer is told whatever it says.
  known.sentHighWatermark = result.highWatermark;
  known.sentLogStartOffset = result.logStartOffset;
  if (result.sizeBytes > 0) serveLast(session, result.target);
  return changed;
}

/** A follower that could not take back its start when it was told is told again. */
function hasDeletedRecords({ target, logStartOffset }: PartitionFetch): boolean {
  return target.logStartOffset >= 0 && target.logStartOffset < logStartOffset;
}

function partitionAnswer(result: PartitionFetch, readCommitted: boolean, hints: LeaderHints): PartitionAnswer {
  const { target } = result;
  const currentLeader = hints.leaderAfter(result.error, target.topic, target.topicId, target.partition);
  return {
    partitionIndex: target.partition,
    errorCode: result.error,
    highWatermark: result.highWatermark,
    lastStableOffset: result.lastStableOffset,
    logStartOffset: result.logStartOffset,
    ...(result.diverging === undefined ? {} : { divergingEpoch: result.diverging }),
    abortedTransactions: readCommitted && result.error === ErrorCode.None ? (result.aborted ?? []) : null,
    records: result.chunks,
    ...(currentLeader === undefined ? {} : { currentLeader }),
    ...(result.preferredReplica === undefined ? {} : { preferredReadReplica: result.preferredReplica }),
  };
}
