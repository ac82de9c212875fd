/** One broker's followers of the partitions that another one leads: fetches them over one connection (KIP-227, KIP-903). */
import { at } from '#base/assert';
import type { Deadline, Deadlines } from '#base/deadlines';
import type { Endpoint, Mono, Ports } from '#base/ports';
import { ErrorCode, errorName } from '#model/errors';
import { type LeaderEpoch, type NodeId, type Offset, offset, partitionName, type Uuid } from '#model/ids';
import type { PlantedBugs } from '#model/planted-bugs';
import { KafkaClient } from '#net/kafka-client';
import { type FetchPartitionInput, type FetchRequestInput, writeFetchRequest } from '#protocol/generated/fetch-request';
import { type PartitionData, readFetchResponse } from '#protocol/generated/fetch-response';
import { writeRequestHeader } from '#protocol/headers';
import { replicatedBatches } from '#protocol/replicated-batches';
import { readResponseFrame } from '#protocol/response-frame';
import { Writer } from '#protocol/writer';
import { divergencePoint } from '#replication/truncation';
import { FollowerSession } from './follower-session.ts';
import type { Partition } from './partition.ts';
import type { ReplicationThrottle } from './replication-throttle.ts';
import { type UndurableBytes, UndurableTail, withoutFrame } from './undurable-bytes.ts';

const FETCH = 1;
const FETCH_VERSION = 17;
const CORRELATION_ID_MAX = 0x7fff_ffff;
/** Answered later than its wait by so much, a request is given up and the connection made anew. */
const PATIENCE_MS = 2_000;
const DIAL_MS = 1_000;
const REDIAL_MS = 20;
const REDIAL_MS_MAX = 200;
/** A partition that its leader refuses is asked for again then, and each time twice as late: the metadata of one of the two are behind. */
const RETRY_MS = 2;
const RETRY_MS_MAX = 50;
const DAMAGED_RETRY_MS = 1_000;
/** What has no room now has some soon at the best: its directory looks for it as often. */
const FULL_RETRY_MS = 1_000;
/** Above what the responses are asked to hold: the first batch comes whole, whatever its size. */
const OVERSIZE_BYTES = 128 << 20;

export interface ReplicaFetcherOptions {
  readonly self: NodeId;
  readonly leader: NodeId;
  /** replica.fetch.wait.max.ms, .min.bytes, .max.bytes (of a partition) and .response.max.bytes. */
  readonly waitMaxMs: number;
  readonly minBytes: number;
  readonly partitionMaxBytes: number;
  readonly responseMaxBytes: number;
  /** Of all fetchers of the node. */
  readonly undurable: UndurableBytes;
  readonly planted: PlantedBugs;
  readonly throttle: ReplicationThrottle;
  /** Whole batches have been taken in. */
  onAppended(sizeBytes: number): void;
  /** Whether this node's replica is in sync by the metadata. */
  isInSync(partition: Partition): boolean;
  /** Of the leader's inter-broker listener; undefined while it is not registered. */
  endpoint(): Endpoint | undefined;
  /** Of this process; -1 while it is not registered. */
  brokerEpoch(): number;
}

/** A partition as its leader has been told of it. */
interface Followed {
  readonly partition: Partition;
  readonly leaderEpoch: LeaderEpoch;
  /** The end of its log as the leader was last told, by a fetch or a report; */
  toldOffset: number;
  /** and as the last fetch went by it: what the answer is about. */
  askedOffset: number;
  /** It is not asked for before. */
  pausedUntil: Mono;
  /** When it is asked for again, whatever comes. */
  again: Deadline | undefined;
  /** The next pause after a refusal. */
  retryMs: number;
  /** What was appended to its log and is not on disk. */
  readonly undurable: UndurableTail;
}

interface Sent {
  readonly correlationId: number;
  /** Tells positions only, and is answered at once. */
  readonly isReport: boolean;
}

/**
 * Fetches are long polls, one at a time. What becomes durable while one waits at the leader is told by a report: a second request
 * that asks for no data, upon which the leader answers both.
 */
export class ReplicaFetcher {
  readonly #ports: Ports;
  readonly #deadlines: Deadlines;
  readonly #options: ReplicaFetcherOptions;
  /** By topic id and number. */
  readonly #followed = new Map<Uuid, Map<number, Followed>>();
  /** The leader has to be told of them: their position is another, or they are new. */
  readonly #changed = new Set<Followed>();
  /** Told by reports since the last fetch. */
  readonly #reported = new Set<Followed>();
  /** Of the partitions that are followed. */
  readonly #session = new FollowerSession();
  /** At most a fetch and a report. */
  #sent: Sent[] = [];
  #client: KafkaClient | undefined;
  #isOpen = false;
  #correlationId = 0;
  #redialMs = REDIAL_MS;
  #patience: Deadline | undefined;
  #wake: Deadline | undefined;
  #isPumpDue = false;
  #isClosed = false;
  readonly #retry = (): void => this.#schedule();

  constructor(ports: Ports, deadlines: Deadlines, options: ReplicaFetcherOptions) {
    this.#ports = ports;
    this.#deadlines = deadlines;
    this.#options = options;
  }

  get leader(): NodeId {
    return this.#options.leader;
  }

  get isIdle(): boolean {
    return this.#followed.size === 0;
  }

  /** In the partition's present leader epoch; again, if that is another one. */
  follow(partition: Partition): void {
    const known = this.#find(partition.topicId, partition.index);
    if (known?.partition === partition && known.leaderEpoch === partition.leaderEpoch) return;
    if (known !== undefined) this.unfollow(partition);
    const { topicId, index, leaderEpoch } = partition;
    const followed: Followed = {
      partition,
      leaderEpoch,
      toldOffset: -1,
      askedOffset: -1,
      pausedUntil: 0,
      again: undefined,
      retryMs: RETRY_MS,
      undurable: new UndurableTail(this.#options.undurable),
    };
    let ofTopic = this.#followed.get(topicId);
    if (ofTopic === undefined) {
      ofTopic = new Map();
      this.#followed.set(topicId, ofTopic);
    }
    ofTopic.set(index, followed);
    this.#note(followed);
  }

  unfollow({ topicId, index }: Partition): void {
    const followed = this.#find(topicId, index);
    if (followed === undefined) return;
    this.#session.leave(followed.partition);
    followed.undurable.clear();
    this.#changed.delete(followed);
    this.#reported.delete(followed);
    const ofTopic = this.#followed.get(topicId);
    ofTopic?.delete(index);
    if (ofTopic?.size === 0) this.#followed.delete(topicId);
    this.#schedule();
  }

  /** The partition's log has more on its disk. */
  synced({ topicId, index, log }: Partition): void {
    const followed = this.#find(topicId, index);
    if (followed === undefined || log === undefined) return;
    followed.undurable.durable(log.durableOffset);
    this.#note(followed);
  }

  /** See PartitionEvents. */
  lost({ topicId, index, log }: Partition): void {
    const followed = this.#find(topicId, index);
    if (followed === undefined) return;
    followed.undurable.truncateTo(log?.logEndOffset ?? offset(0));
    this.#note(followed);
  }

  close(): void {
    this.#isClosed = true;
    this.#drop();
    this.#client?.close();
    if (this.#wake !== undefined) this.#deadlines.cancel(this.#wake);
  }

  #find(topicId: Uuid, index: number): Followed | undefined {
    return this.#followed.get(topicId)?.get(index);
  }

  #note(followed: Followed): void {
    this.#changed.add(followed);
    this.#schedule();
  }

  /** In a turn of its own: what many partitions have to tell goes into one request. */
  #schedule(): void {
    if (this.#isPumpDue || this.#isClosed) return;
    this.#isPumpDue = true;
    this.#ports.clock.defer(() => {
      this.#isPumpDue = false;
      this.#pump();
    });
  }

  #pump(): void {
    if (this.#isClosed || this.isIdle) return;
    if (this.#client === undefined) return this.#dial();
    if (!this.#isOpen || this.#sent.some(({ isReport }) => isReport)) return;
    if (this.#sent.length > 0) {
      // The leader must know the session before a second request can go on in it.
      if (this.#session.isOpen && this.#changed.size > 0) this.#send(true);
    } else if (this.#options.undurable.hasRoom) this.#send(false);
    else {
      this.#options.undurable.whenRoom(this.#retry);
      if (this.#changed.size > 0) this.#send(true);
    }
  }

  #dial(): void {
    const endpoint = this.#options.endpoint();
    if (endpoint === undefined) return this.#wakeAfter(REDIAL_MS_MAX);
    const options = { dialTimeoutMs: DIAL_MS, responseBytesMax: this.#options.responseMaxBytes + OVERSIZE_BYTES };
    const client = new KafkaClient(this.#ports, endpoint, options, {
      opened: () => {
        this.#isOpen = true;
        this.#pump();
      },
      response: (frame) => {
        if (this.#client === client) this.#received(frame);
      },
      closed: () => {
        if (this.#client === client) this.#lost();
      },
    });
    this.#client = client;
  }

  /** The connection is gone, or is given up: a new one begins a new session. */
  #lost(): void {
    this.#drop();
    if (this.#isClosed) return;
    this.#wakeAfter(this.#redialMs);
    this.#redialMs = Math.min(2 * this.#redialMs, REDIAL_MS_MAX);
  }

  #drop(): void {
    this.#client = undefined;
    this.#isOpen = false;
    this.#sent = [];
    this.#session.reset();
    this.#reported.clear();
    if (this.#patience !== undefined) this.#deadlines.cancel(this.#patience);
    this.#patience = undefined;
  }

  #giveUp(reason: string): void {
    const { leader } = this.#options;
    this.#ports.logger.warn({ leader, reason }, 'the connection to the leader of partitions is given up');
    this.#client?.close();
    this.#lost();
  }

  #send(isReport: boolean): void {
    const topics = this.#topics(isReport);
    // Nothing can be taken now: a fetch for nothing would be answered at once.
    if (topics.length === 0 && this.#session.isEmpty) return;
    const { self, waitMaxMs, minBytes, responseMaxBytes } = this.#options;
    const body: FetchRequestInput = {
      replicaState: { replicaId: self, replicaEpoch: this.#options.brokerEpoch() },
      maxWaitMs: isReport ? 0 : waitMaxMs,
      minBytes,
      // A report has room for nothing.
      maxBytes: isReport ? 0 : responseMaxBytes,
      ...this.#session.next(),
      topics,
    };
    this.#changed.clear();
    this.#correlationId = (this.#correlationId + 1) & CORRELATION_ID_MAX;
    const writer = new Writer();
    writer.int32(0);
    const correlationId = this.#correlationId;
    writeRequestHeader(writer, { apiKey: FETCH, apiVersion: FETCH_VERSION, correlationId, clientId: `broker-${self}` });
    writeFetchRequest(writer, body, FETCH_VERSION);
    writer.patchInt32(0, writer.sizeBytes - 4);
    this.#client?.send(writer.chunks());
    this.#sent.push({ correlationId, isReport });
    this.#patience ??= this.#deadlines.after(waitMaxMs + PATIENCE_MS, () => this.#giveUp('no answer in time'));
  }

  /** What the leader must be told: in a session what has changed, else everything. */
  #topics(isReport: boolean): FetchRequestInput['topics'][number][] {
    const topics = new Map<Uuid, FetchPartitionInput[]>();
    const now = this.#ports.clock.now();
    if (!isReport) {
      for (const followed of this.#reported) followed.askedOffset = followed.toldOffset;
      this.#reported.clear();
    }
    for (const followed of this.#session.isOpen ? this.#changed : this.#all()) {
      const asked = this.#ask(followed, now);
      if (asked === undefined) {
        this.#session.leave(followed.partition);
        continue;
      }
      this.#session.enter(followed.partition);
      if (asked.partitionMaxBytes === 0) this.#noteAfter(followed, FULL_RETRY_MS);
      followed.toldOffset = asked.fetchOffset;
      if (isReport) this.#reported.add(followed);
      else followed.askedOffset = asked.fetchOffset;
      const { topicId } = followed.partition;
      const partitions = topics.get(topicId);
      if (partitions === undefined) topics.set(topicId, [asked]);
      else partitions.push(asked);
    }
    return [...topics].map(([topicId, partitions]) => ({ topicId, partitions }));
  }

  /** Undefined while it cannot take anything. */
  #ask({ partition, leaderEpoch, pausedUntil }: Followed, now: Mono): FetchPartitionInput | undefined {
    const { log } = partition;
    if (log === undefined || partition.isBeingCut || now < pausedUntil) return undefined;
    const { logEndOffset, logStartOffset, epochs, durableOffset, directory } = log;
    return {
      partition: partition.index,
      currentLeaderEpoch: leaderEpoch,
      fetchOffset: logEndOffset,
      lastFetchedEpoch: logEndOffset > logStartOffset ? (epochs.epochAt(offset(logEndOffset - 1)) ?? -1) : -1,
      logStartOffset,
      // Where its leader's log starts is told all the same: that may make room.
      partitionMaxBytes: directory.isFull ? 0 : this.#options.partitionMaxBytes,
      // PLANTED BUG report-before-sync: what was fetched is told as if it were on the disk.
      durableOffset: this.#options.planted.has('report-before-sync') ? logEndOffset : durableOffset,
    };
  }

  #received(frame: Uint8Array): void {
    const answer = readResponseFrame(frame, FETCH, FETCH_VERSION, readFetchResponse);
    if (answer === undefined) return this.#giveUp('an answer that cannot be read');
    const sent = this.#sent.shift();
    if (sent?.correlationId !== answer.correlationId) return this.#giveUp('an answer to nothing that was asked');
    if (this.#patience !== undefined) this.#deadlines.cancel(this.#patience);
    const { waitMaxMs } = this.#options;
    this.#patience =
      this.#sent.length === 0
        ? undefined
        : this.#deadlines.after(waitMaxMs + PATIENCE_MS, () => this.#giveUp('no answer in time'));
    // No sooner: a leader whose answers cannot be read opens each connection all the same.
    this.#redialMs = REDIAL_MS;
    const response = answer.body;
    if (response.errorCode !== ErrorCode.None) return this.#giveUp(errorName(response.errorCode as ErrorCode));
    this.#session.answered(response.sessionId);
    for (const { topicId, partitions } of response.responses)
      for (const data of partitions) {
        const index = data.partitionIndex;
        const followed = this.#find(topicId, index);
        if (followed === undefined) this.#session.forget({ topicId, index });
        else if (this.#session.has(followed.partition)) this.#take(followed, data);
      }
    this.#schedule();
  }

  #take(followed: Followed, answer: PartitionData): void {
    const { partition } = followed;
    const { log } = partition;
    const isTaker = !partition.isBeingCut && !partition.leads && partition.leaderEpoch === followed.leaderEpoch;
    // It would be sent the same again and again.
    if (log === undefined || !isTaker) return this.#session.leave(followed.partition);
    // The log was cut since, or had no room for what came before: the answer would leave a hole, and looks like one that compaction left.
    if (log.logEndOffset !== followed.askedOffset) return this.#note(followed);
    const { errorCode, divergingEpoch } = answer;
    if (!hasPossibleOffsets(answer)) {
      this.#refuse(followed, 'offsets that no log reaches');
      return;
    }
    if (errorCode === ErrorCode.OffsetOutOfRange) return this.#outOfRange(followed, answer);
    if (errorCode !== ErrorCode.None) return this.#retryLater(followed);
    if (divergingEpoch.epoch >= 0) {
      const { epoch, endOffset } = divergingEpoch;
      // Above it both have nothing in common, and below it this log has nothing.
      if (endOffset < log.logStartOffset)
        return this.#cut(followed, offset(Math.max(0, answer.logStartOffset)), 'restart');
      const diverging = { epoch: epoch as LeaderEpoch, endOffset: offset(Math.max(0, endOffset)) };
      const to = this.#options.planted.has('truncate-to-high-watermark')
        ? // PLANTED BUG truncate-to-high-watermark: what is above the follower's high watermark goes, as before KIP-101.
          partition.highWatermark
        : divergencePoint(log.epochs, log.logStartOffset, log.logEndOffset, diverging);
      return this.#cut(followed, to, 'truncate');
    }
    const chunks = answer.records ?? [];
    const bytes = chunks.length === 1 ? at(chunks, 0) : Buffer.concat(chunks);
    const appended = bytes.length === 0 ? 'taken' : this.#append(followed, bytes);
    if (appended === 'refused') return;
    if (appended === 'taken') followed.retryMs = RETRY_MS;
    // Also where there is no room for more: what the leader has deleted makes some.
    const startedAt = partition.log?.logStartOffset;
    partition.leaderIsAt(offset(Math.max(0, answer.highWatermark)), offset(Math.max(0, answer.logStartOffset)));
    // Whoever has deleted records waits until the leader knows that they are gone here.
    if (partition.log?.logStartOffset !== startedAt) this.#note(followed);
  }

  /** Whether the answer was taken in. 'busy': there is no room, or the log has gone; it is asked for again. */
  #append(followed: Followed, bytes: Uint8Array): 'taken' | 'busy' | 'refused' {
    const { partition, leaderEpoch } = followed;
    const { log } = partition;
    if (log === undefined) return 'refused';
    const batches = replicatedBatches(bytes, log.logEndOffset, leaderEpoch, this.#ports.codecs);
    if (batches.kind === 'damaged') return this.#refuse(followed, batches.reason);
    if (batches.kind === 'straddling') {
      if (log.logEndOffset > log.logStartOffset) return this.#refuse(followed, 'a batch begins within the log');
      // The leader's log starts within this batch: the follower's begins with the whole of it.
      this.#cut(followed, offset(batches.baseOffset), 'restart', () => this.#append(followed, batches.bytes));
      return 'refused';
    }
    if (batches.headers.length === 0) return 'taken';
    const taken = withoutFrame(batches.bytes);
    if (partition.appendReplicated(taken, batches.headers) !== 'appended') {
      this.#pause(followed, FULL_RETRY_MS);
      return 'busy';
    }
    followed.undurable.append(log.logEndOffset, taken.length);
    this.#options.onAppended(taken.length);
    this.#note(followed);
    this.#throttle(followed, taken.length);
    return 'taken';
  }

  /** What was fetched for a reassignment, say, is paid for by a pause (KIP-73). */
  #throttle(followed: Followed, sizeBytes: number): void {
    const { throttle, isInSync } = this.#options;
    if (!throttle.applies(followed.partition) || isInSync(followed.partition)) return;
    throttle.moved(sizeBytes);
    const { delayMs } = throttle;
    if (delayMs > 0) this.#pause(followed, delayMs);
  }

  /** The leader's log starts above this one's end: nothing of this one is of use. */
  #outOfRange(followed: Followed, { logStartOffset }: PartitionData): void {
    const end = followed.partition.log?.logEndOffset ?? 0;
    if (logStartOffset <= end) return this.#retryLater(followed);
    this.#cut(followed, offset(logStartOffset), 'restart');
  }

  #cut(followed: Followed, to: Offset, how: 'truncate' | 'restart', then?: () => void): void {
    const { partition, leaderEpoch } = followed;
    const { topic, index, log } = partition;
    const from = log?.logEndOffset;
    this.#ports.logger.info({ partition: partitionName(topic, index), leaderEpoch, from, to }, 'the log is cut');
    followed.undurable.clear();
    if (how === 'truncate') partition.truncateTo(to);
    else partition.restartAt(to);
    this.#note(followed);
    void partition.whenWhole().then(() => {
      if (this.#find(partition.topicId, index) !== followed || partition.log === undefined) return;
      then?.();
      this.#note(followed);
    });
  }

  #refuse(followed: Followed, reason: string): 'refused' {
    const { topic, index } = followed.partition;
    const { leader } = this.#options;
    this.#ports.logger.error({ partition: partitionName(topic, index), leader, reason }, 'what was fetched is refused');
    this.#pause(followed, DAMAGED_RETRY_MS);
    return 'refused';
  }

  #retryLater(followed: Followed): void {
    this.#pause(followed, followed.retryMs);
    followed.retryMs = Math.min(2 * followed.retryMs, RETRY_MS_MAX);
  }

  #pause(followed: Followed, pauseMs: number): void {
    followed.pausedUntil = this.#ports.clock.now() + pauseMs;
    this.#session.leave(followed.partition);
    this.#noteAfter(followed, pauseMs);
  }

  #noteAfter(followed: Followed, delayMs: number): void {
    if (followed.again !== undefined) this.#deadlines.cancel(followed.again);
    followed.again = this.#deadlines.after(delayMs, () => {
      followed.again = undefined;
      if (this.#find(followed.partition.topicId, followed.partition.index) === followed) this.#note(followed);
    });
  }

  #wakeAfter(delayMs: number): void {
    if (this.#wake !== undefined) this.#deadlines.cancel(this.#wake);
    this.#wake = this.#deadlines.after(delayMs, () => {
      this.#wake = undefined;
      this.#schedule();
    });
  }

  *#all(): Iterable<Followed> {
    for (const ofTopic of this.#followed.values()) yield* ofTopic.values();
  }
}

/** Whether it tells of places where a log can be; below 0 it tells of none. */
function hasPossibleOffsets({ highWatermark, logStartOffset, divergingEpoch }: PartitionData): boolean {
  return Math.max(highWatermark, logStartOffset, divergingEpoch.endOffset) <= Number.MAX_SAFE_INTEGER;
}
