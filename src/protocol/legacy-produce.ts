/**
 * Produce 0 to 2. They have no schema any more, but ApiVersions offers them for librdkafka's sake (KAFKA-18659), so that
 * somebody may send them: every partition is answered UNSUPPORTED_VERSION, in the layout of the time.
 */
import { ErrorCode } from '#model/errors';
import { ProtocolError } from './protocol-error.ts';
import type { Reader } from './reader.ts';
import type { Writer } from './writer.ts';

export interface LegacyProduceTopic {
  readonly name: string;
  readonly partitions: readonly number[];
}

const LAST_LEGACY_VERSION = 2;
const TOPIC_BYTES_MIN = 6;
const PARTITION_BYTES_MIN = 8;

/** Reads the body up to its end; the records are skipped. The three versions have one layout. */
export function readLegacyProducePartitions(reader: Reader, version: number): LegacyProduceTopic[] {
  checkVersion(version);
  reader.int16(); // acks
  reader.int32(); // timeoutMs
  const topicCount = reader.count(false, TOPIC_BYTES_MIN);
  reader.hold(topicCount);
  const topics: LegacyProduceTopic[] = [];
  for (let topicsLeft = topicCount; topicsLeft > 0; topicsLeft -= 1) {
    const name = reader.string(false);
    const partitions: number[] = [];
    for (let left = reader.count(false, PARTITION_BYTES_MIN); left > 0; left -= 1) {
      partitions.push(reader.int32());
      reader.nullableBytes(false);
    }
    topics.push({ name, partitions });
  }
  return topics;
}

export function writeLegacyProduceResponse(
  writer: Writer,
  topics: readonly LegacyProduceTopic[],
  version: number,
): void {
  checkVersion(version);
  writer.count(topics.length, false);
  for (const topic of topics) {
    writer.string(topic.name, false);
    writer.count(topic.partitions.length, false);
    for (const partition of topic.partitions) {
      writer.int32(partition);
      writer.int16(ErrorCode.UnsupportedVersion);
      writer.int64(-1); // base offset
      if (version >= 2) writer.int64(-1); // log append time
    }
  }
  if (version >= 1) writer.int32(0); // throttle time
}

function checkVersion(version: number): void {
  if (!(version >= 0 && version <= LAST_LEGACY_VERSION)) {
    throw new ProtocolError('unsupported-version', `${version} is no legacy version of Produce`);
  }
}
