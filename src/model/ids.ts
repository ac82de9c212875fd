/** Branded ids and offsets: a type for each, so that the compiler tells a leader epoch from an offset. */
import { assert } from '#base/assert';

declare const brand: unique symbol;
type Branded<Name extends string> = number & { readonly [brand]: Name };

/** A record's position in a partition's log; 0 or more. */
export type Offset = Branded<'Offset'>;
/** Counts the leaders of one partition. */
export type LeaderEpoch = Branded<'LeaderEpoch'>;
export type NodeId = Branded<'NodeId'>;
export type ProducerId = Branded<'ProducerId'>;

export function offset(value: number): Offset {
  assert(Number.isSafeInteger(value) && value >= 0, `not an offset: ${value}`);
  return value as Offset;
}

/** `from` moved by `count` records, which may be negative. */
export function offsetPlus(from: Offset, count: number): Offset {
  return offset(from + count);
}

export function leaderEpoch(value: number): LeaderEpoch {
  assert(Number.isInteger(value) && value >= 0 && value <= 0x7fff_ffff, `not a leader epoch: ${value}`);
  return value as LeaderEpoch;
}

export function nodeId(value: number): NodeId {
  assert(Number.isInteger(value) && value >= 0 && value <= 0x7fff_ffff, `not a node id: ${value}`);
  return value as NodeId;
}

export function producerId(value: number): ProducerId {
  assert(Number.isSafeInteger(value) && value >= 0, `not a producer id: ${value}`);
  return value as ProducerId;
}

/** 16 bytes as Kafka prints them: unpadded URL-safe base64, 22 characters. */
export type Uuid = string & { readonly [brand]: 'Uuid' };
export const ZERO_UUID = 'AAAAAAAAAAAAAAAAAAAAAA' as Uuid;
const UUID_SHAPE = /^[A-Za-z0-9_-]{21}[AQgw]$/;

export function isUuid(text: string): text is Uuid {
  return UUID_SHAPE.test(text);
}

export function uuid(text: string): Uuid {
  assert(isUuid(text), `not a uuid: ${text}`);
  return text;
}

export function uuidFromBytes(bytes: Uint8Array): Uuid {
  assert(bytes.length === 16, 'a uuid has 16 bytes');
  return Buffer.from(bytes.buffer, bytes.byteOffset, 16).toString('base64url') as Uuid;
}

export function uuidToBytes(id: Uuid): Uint8Array {
  return Buffer.from(id, 'base64url');
}

/** A partition's place in maps keyed by text, and the name of its folder: `topic-3`. */
export function partitionName(topic: string, partition: number): string {
  return `${topic}-${partition}`;
}
