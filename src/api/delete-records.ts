import { ErrorCode } from '#model/errors';
import { offset } from '#model/ids';
import { ApiKey } from '#protocol/generated/apis';
import { readDeleteRecordsRequest } from '#protocol/generated/delete-records-request';
import { writeDeleteRecordsResponse } from '#protocol/generated/delete-records-response';
import type { PartitionTable } from '#runtime/partition-table';
import { api } from './api.ts';

const TO_HIGH_WATERMARK = -1;
const NO_LOW_WATERMARK = -1;

interface Deleted {
  readonly errorCode: ErrorCode;
  /** Where the log starts now. */
  readonly lowWatermark: number;
}

/** Records below an offset become unreadable at once; their segments go later (KIP-107). */
export const deleteRecordsApi = api(
  ApiKey.DeleteRecords,
  readDeleteRecordsRequest,
  writeDeleteRecordsResponse,
  (request, { broker }) => ({
    throttleTimeMs: 0,
    topics: request.topics.map(({ name, partitions }) => ({
      name,
      partitions: partitions.map(({ partitionIndex, offset: before }) => ({
        partitionIndex,
        ...deleteRecords(broker.partitions, name, partitionIndex, before),
      })),
    })),
  }),
);

export function deleteRecords(
  table: Pick<PartitionTable, 'findByName' | 'configOf' | 'isInternal'>,
  topic: string,
  index: number,
  before: number,
): Deleted {
  const found = table.findByName(topic, index);
  if (typeof found === 'number') return refused(found);
  if (table.isInternal(topic)) return refused(ErrorCode.InvalidTopicException);
  const { log, highWatermark } = found;
  if (log === undefined) return refused(ErrorCode.KafkaStorageError);
  if (table.configOf(found).cleanupPolicy === 'compact') return refused(ErrorCode.PolicyViolation);
  const start = before === TO_HIGH_WATERMARK ? highWatermark : before;
  if (start < 0 || start > highWatermark) return refused(ErrorCode.OffsetOutOfRange);
  if (start > log.logStartOffset) log.deleteRecordsBefore(offset(start));
  return { errorCode: ErrorCode.None, lowWatermark: log.logStartOffset };
}

function refused(errorCode: ErrorCode): Deleted {
  return { errorCode, lowWatermark: NO_LOW_WATERMARK };
}
