import { at } from '#base/assert';
import { ErrorCode } from '#model/errors';
import { offset } from '#model/ids';
import type { Exchange } from '#net/exchange';
import { ApiKey } from '#protocol/generated/apis';
import { readDeleteRecordsRequest } from '#protocol/generated/delete-records-request';
import { writeDeleteRecordsResponse } from '#protocol/generated/delete-records-response';
import type { Broker } from '#runtime/broker';
import {
  type CountsForDeletion,
  DelayedDelete,
  type DeletedBelow,
  type DeletionOutcome,
} from '#runtime/delayed-delete';
import type { PartitionTable } from '#runtime/partition-table';
import { api } from './api.ts';

const TO_HIGH_WATERMARK = -1;
const NO_LOW_WATERMARK = -1;

/**
 * Records below an offset become unreadable at once; the answer comes when they are so for good, on all replicas that live or may lead;
 * segments go later (KIP-107).
 */
export const deleteRecordsApi = api(
  ApiKey.DeleteRecords,
  readDeleteRecordsRequest,
  writeDeleteRecordsResponse,
  async (request, { broker, exchange }) => {
    const asked = request.topics.flatMap(({ name, partitions }) =>
      partitions.map(({ partitionIndex, offset: before }) =>
        deleteHere(broker.partitions, name, partitionIndex, before),
      ),
    );
    const outcomes = await everywhere(asked, request.timeoutMs, broker, exchange);
    let place = 0;
    return {
      throttleTimeMs: 0,
      topics: request.topics.map(({ name, partitions }) => ({
        name,
        partitions: partitions.map(({ partitionIndex }) => {
          const { error, lowWatermark } = at(outcomes, place++);
          return { partitionIndex, errorCode: error, lowWatermark };
        }),
      })),
    };
  },
);

function deleteHere(
  table: Pick<PartitionTable, 'findByName' | 'configOf' | 'isInternal'>,
  topic: string,
  index: number,
  before: number,
): DeletedBelow | ErrorCode {
  const partition = table.findByName(topic, index);
  if (typeof partition === 'number') return partition;
  if (table.isInternal(topic)) return ErrorCode.InvalidTopicException;
  const { log, highWatermark } = partition;
  if (log === undefined) return ErrorCode.KafkaStorageError;
  if (table.configOf(partition).cleanupPolicy === 'compact') return ErrorCode.PolicyViolation;
  // An earlier leader may have committed more than this one knows of: it would delete less than was asked, or refuse it for good.
  if (!partition.isReady) return ErrorCode.LeaderNotAvailable;
  const start = before === TO_HIGH_WATERMARK ? highWatermark : before;
  if (start < 0 || start > highWatermark) return ErrorCode.OffsetOutOfRange;
  if (start > log.logStartOffset) log.deleteRecordsBefore(offset(start));
  return { partition, before: start };
}

/** What comes of each, at its place: one that was refused is not waited for. */
function everywhere(
  asked: readonly (DeletedBelow | ErrorCode)[],
  timeoutMs: number,
  { deadlines, image }: Broker,
  exchange: Exchange,
): Promise<readonly DeletionOutcome[]> {
  const deleted = asked.filter((each) => typeof each !== 'number');
  return new Promise((resolve) => {
    // Who is eligible may be elected as it comes back.
    const counts: CountsForDeletion = ({ topic, index }, id) =>
      image.brokers.get(id)?.fenced === false || image.partition(topic, index)?.elr.includes(id) === true;
    const delayed = new DelayedDelete(deleted, counts, deadlines, (outcomes) => {
      let place = 0;
      resolve(
        asked.map((each) =>
          typeof each === 'number' ? { error: each, lowWatermark: NO_LOW_WATERMARK } : at(outcomes, place++),
        ),
      );
    });
    delayed.start(timeoutMs);
    exchange.whenGone(() => delayed.giveUp());
  });
}
