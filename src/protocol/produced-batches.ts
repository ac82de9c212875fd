/** What a broker takes from a producer, as Kafka 4.3 decides it (ProduceRequest, then UnifiedLog, then LogValidator). */
import { Codec, type Codecs } from '#base/ports';
import { ErrorCode } from '#model/errors';
import {
  type BatchHeader,
  batchCrcMatches,
  codecOf,
  isControl,
  isLogAppendTime,
  isTransactional,
  NO_TIMESTAMP,
  patchMaxTimestamp,
  readBatchHeader,
} from './record-batch.ts';
import { type RecordsFailure, recordsBody, walkRecords } from './records.ts';

/** A batch that is allowed on disk may decompress to so many times max.message.bytes before it is refused. */
const DECOMPRESSED_RATIO_MAX = 64;

export interface ProduceLimits {
  readonly maxMessageBytes: number;
  /** The topic stamps records itself: the producer's timestamps do not matter. */
  readonly logAppendTime: boolean;
  readonly nowMs: number;
  /** message.timestamp.before.max.ms and .after.max.ms */
  readonly timestampBeforeMaxMs: number;
  readonly timestampAfterMaxMs: number;
  /** The topic is compacted. Compressed batches have to be decompressed for it. */
  readonly keysRequired: boolean;
  /** From Produce 7 on (KIP-110). */
  readonly zstdAllowed: boolean;
}

export interface RefusedBatches {
  readonly error: ErrorCode;
  readonly message: string;
  /** The record at fault, counted in its batch; -1: the batch. */
  readonly recordIndex: number;
}

/**
 * Judges the records of one partition of a Produce request. Of a compressed batch it sees the header only, unless keys
 * are required. Where an uncompressed batch names a wrong maximal timestamp, it is set right in place, as Kafka does.
 */
export function validateProducedBatches(
  bytes: Uint8Array,
  limits: ProduceLimits,
  codecs: Codecs,
): { readonly headers: readonly BatchHeader[] } | RefusedBatches {
  const header = readBatchHeader(bytes, 0);
  if (header === 'incomplete') return refused(ErrorCode.InvalidRecord, 'no whole record batch');
  if (header === 'corrupt') return refused(ErrorCode.CorruptMessage, 'no record batch has such a length or magic');
  if (header.magic !== 2)
    return refused(ErrorCode.InvalidRecord, `record batches of magic ${header.magic} are not taken`);
  const codec = codecOf(header);
  if (codec === Codec.Zstd && !limits.zstdAllowed) {
    return refused(ErrorCode.UnsupportedCompressionType, 'zstd needs Produce version 7');
  }
  if (bytes.length > header.sizeBytes) return refused(ErrorCode.InvalidRecord, 'more than one record batch');
  if (header.baseOffset !== 0)
    return refused(ErrorCode.InvalidRecord, `the base offset is ${header.baseOffset}, not 0`);
  if (header.sizeBytes > limits.maxMessageBytes) {
    const message = `the record batch has ${header.sizeBytes} bytes, max.message.bytes is ${limits.maxMessageBytes}`;
    return refused(ErrorCode.MessageTooLarge, message);
  }
  if (!batchCrcMatches(bytes, header, codecs)) return refused(ErrorCode.CorruptMessage, 'the CRC does not match');
  return checkHeader(header) ?? checkRecords(bytes, header, limits, codecs);
}

function checkHeader(header: BatchHeader): RefusedBatches | undefined {
  const { recordCount, lastOffsetDelta, producerId, producerEpoch, baseSequence } = header;
  if (recordCount <= 0) return refused(ErrorCode.InvalidRecord, `a batch of ${recordCount} records`);
  if (lastOffsetDelta !== recordCount - 1) {
    return refused(ErrorCode.InvalidRecord, `${recordCount} records with a last offset delta of ${lastOffsetDelta}`);
  }
  if (isControl(header)) return refused(ErrorCode.InvalidRecord, 'clients do not write control records');
  if (codecOf(header) > Codec.Zstd) return refused(ErrorCode.InvalidRecord, `no codec has number ${codecOf(header)}`);
  if (producerId >= 0 ? baseSequence < 0 || producerEpoch < 0 : producerId !== -1) {
    const message = `producer id ${producerId} with epoch ${producerEpoch} and sequence ${baseSequence}`;
    return refused(ErrorCode.InvalidRecord, message);
  }
  if (producerId < 0 && isTransactional(header))
    return refused(ErrorCode.InvalidRecord, 'a transaction without a producer');
  if (isLogAppendTime(header)) {
    return refused(ErrorCode.InvalidTimestamp, 'the timestamp type LogAppendTime is the broker’s to set');
  }
  return undefined;
}

function checkRecords(
  bytes: Uint8Array,
  header: BatchHeader,
  limits: ProduceLimits,
  codecs: Codecs,
): { readonly headers: readonly BatchHeader[] } | RefusedBatches {
  const compressed = codecOf(header) !== Codec.None;
  if (compressed && !limits.keysRequired) {
    return checkTimestamps(header.baseTimestamp, header.maxTimestamp, limits) ?? { headers: [header] };
  }
  const body = recordsBody(bytes, header, codecs, limits.maxMessageBytes * DECOMPRESSED_RATIO_MAX);
  if (typeof body === 'string') return unreadable(body);
  const walk = walkRecords(body, header, true);
  if (walk === 'corrupt') return refused(ErrorCode.InvalidRecord, 'the records do not fit their batch');
  if (limits.keysRequired && walk.firstWithoutKey >= 0) {
    return { ...refused(ErrorCode.InvalidRecord, 'a compacted topic needs keys'), recordIndex: walk.firstWithoutKey };
  }
  const refusal = checkTimestamps(walk.minTimestamp, walk.maxTimestamp, limits);
  if (refusal !== undefined) return refusal;
  // Beyond ±2^53 the sum is the nearest double: no ground to call the header wrong.
  const wrong = walk.maxTimestamp !== header.maxTimestamp && Number.isSafeInteger(walk.maxTimestamp);
  return { headers: [wrong ? patchMaxTimestamp(bytes, 0, walk.maxTimestamp, codecs) : header] };
}

function checkTimestamps(min: number, max: number, limits: ProduceLimits): RefusedBatches | undefined {
  if (limits.logAppendTime) return undefined;
  const { nowMs, timestampBeforeMaxMs, timestampAfterMaxMs } = limits;
  const early = min !== NO_TIMESTAMP && nowMs - min > timestampBeforeMaxMs;
  const late = max !== NO_TIMESTAMP && max - nowMs > timestampAfterMaxMs;
  if (!early && !late) return undefined;
  const range = `${nowMs - timestampBeforeMaxMs} to ${nowMs + timestampAfterMaxMs}`;
  return refused(ErrorCode.InvalidTimestamp, `the timestamp ${early ? min : max} is not within ${range}`);
}

function unreadable(failure: RecordsFailure): RefusedBatches {
  switch (failure) {
    case 'corrupt':
      return refused(ErrorCode.InvalidRecord, 'the records can not be decompressed');
    case 'too-large':
      return refused(ErrorCode.MessageTooLarge, 'the records decompress to too many bytes');
    case 'unavailable':
      return refused(ErrorCode.UnsupportedCompressionType, 'the codec is not installed');
  }
}

function refused(error: ErrorCode, message: string): RefusedBatches {
  return { error, message, recordIndex: -1 };
}
