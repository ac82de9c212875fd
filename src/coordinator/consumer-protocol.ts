/** The consumers' own protocol, in the metadata and assignments of classic groups: the only one that is looked into here. */
import { at } from '#base/assert';
import {
  readConsumerProtocolAssignment,
  writeConsumerProtocolAssignment,
} from '#protocol/generated/consumer-protocol-assignment';
import { readConsumerProtocolSubscription } from '#protocol/generated/consumer-protocol-subscription';
import { ProtocolError } from '#protocol/protocol-error';
import { Reader } from '#protocol/reader';
import { Writer } from '#protocol/writer';
import { fitsRecord } from './group-records.ts';

/** Protocol type of Kafka consumers. */
export const CONSUMER_PROTOCOL_TYPE = 'consumer';

const SUBSCRIPTION_VERSION_MAX = 3;
const ASSIGNMENT_VERSION_MAX = 3;

export interface ConsumerSubscription {
  readonly version: number;
  readonly topics: readonly string[];
  readonly owned: readonly TopicNumbers[];
  readonly rackId: string | null;
}

export interface TopicNumbers {
  readonly topic: string;
  readonly partitions: readonly number[];
}

/**
 * Undefined if the bytes are no consumer's, or say what no record could hold. What a later version adds behind what is
 * known is ignored.
 */
export function readSubscription(metadata: Uint8Array): ConsumerSubscription | undefined {
  return versioned(metadata, SUBSCRIPTION_VERSION_MAX, (reader, version) => {
    const { topics, ownedPartitions, rackId } = readConsumerProtocolSubscription(reader, version);
    if (![...topics, rackId ?? ''].every(fitsRecord)) return undefined;
    return { version, topics, owned: ownedPartitions, rackId: rackId === '' ? null : rackId };
  });
}

/** Undefined if the bytes are no consumer's, or hold what only a custom assignor understands. */
export function readAssignment(assignment: Uint8Array): readonly TopicNumbers[] | undefined {
  const read = versioned(assignment, ASSIGNMENT_VERSION_MAX, readConsumerProtocolAssignment);
  return read === undefined || (read.userData?.length ?? 0) > 0 ? undefined : read.assignedPartitions;
}

export function writeAssignment(assignedPartitions: readonly TopicNumbers[], version: number): Uint8Array {
  const writer = new Writer();
  const known = Math.min(version, ASSIGNMENT_VERSION_MAX);
  writer.int16(known);
  writeConsumerProtocolAssignment(writer, { assignedPartitions, userData: null }, known);
  const chunks = writer.chunks();
  return chunks.length === 1 ? at(chunks, 0) : Buffer.concat(chunks);
}

function versioned<Value>(
  bytes: Uint8Array,
  versionMax: number,
  read: (reader: Reader, version: number) => Value | undefined,
): Value | undefined {
  try {
    const reader = new Reader(bytes);
    const version = reader.int16();
    return version < 0 ? undefined : read(reader, Math.min(version, versionMax));
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error;
    return undefined;
  }
}

/**
 * The topics of a consumer's subscription metadata: version (int16), then count (int32) and names, which begin every
 * version so far (Kafka's ConsumerProtocolSubscription). Undefined if the bytes do not fit that.
 */
export function subscriptionTopics(metadata: Uint8Array): readonly string[] | undefined {
  const view = new DataView(metadata.buffer, metadata.byteOffset, metadata.byteLength);
  if (metadata.length < 6 || view.getInt16(0) < 0) return undefined;
  const count = view.getInt32(2);
  // Each name takes at least its length: a count that cannot fit must not cost anything.
  if (count < 0 || count * 2 > metadata.length - 6) return undefined;
  const text = Buffer.from(metadata.buffer, metadata.byteOffset, metadata.byteLength);
  const topics: string[] = [];
  let position = 6;
  for (let index = 0; index < count; index += 1) {
    if (position + 2 > metadata.length) return undefined;
    const length = view.getInt16(position);
    position += 2;
    if (length < 0 || position + length > metadata.length) return undefined;
    topics.push(text.toString('utf8', position, position + length));
    position += length;
  }
  return topics;
}
