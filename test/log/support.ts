import { readFileSync } from 'node:fs';
import { type Offset, offset, type ProducerId } from '#model/ids';
import { createCodecs } from '#platform/codecs';
import { type BatchHeader, batchAttributes } from '#protocol/record-batch';
import { buildBatch } from '#protocol/record-batch-builder';

export const codecs = createCodecs();

/** Written by the classes of Kafka 4.3.1: see test/fixtures/kafka-files/README.md. */
export function kafkaFile(name: string): Buffer {
  return readFileSync(new URL(`../fixtures/kafka-files/${name}`, import.meta.url));
}

export const at = (value: number): Offset => offset(value);
export const pid = (value: number): ProducerId => value as ProducerId;

export interface BatchIdea {
  readonly producerId?: number;
  readonly epoch?: number;
  readonly sequence?: number;
  readonly count?: number;
  readonly transactional?: boolean;
  readonly control?: boolean;
}

/** A header as a batch of `count` records would have; idempotent unless told otherwise. */
export function headerOf(idea: BatchIdea): BatchHeader {
  const count = idea.count ?? 1;
  return {
    at: 0,
    sizeBytes: 61 + 7 * count,
    baseOffset: 0,
    partitionLeaderEpoch: 0,
    magic: 2,
    crc: 0,
    attributes: batchAttributes(0, false, idea.transactional ?? false, idea.control ?? false),
    lastOffsetDelta: count - 1,
    baseTimestamp: 0,
    maxTimestamp: 0,
    producerId: idea.producerId ?? 1,
    producerEpoch: idea.epoch ?? 0,
    baseSequence: idea.sequence ?? 0,
    recordCount: count,
  };
}

/** A whole plain batch of `count` records of `valueBytes` each. */
export function plainBatch(baseOffset: number, count: number, { leaderEpoch = 0, valueBytes = 3, timestamp = 0 } = {}) {
  const record = { timestamp, key: null, value: new Uint8Array(valueBytes).fill(120) };
  return buildBatch({ baseOffset, leaderEpoch, records: new Array(count).fill(record) }, codecs);
}

/** A transaction marker as the coordinator writes it. */
export function markerBatch(
  baseOffset: number,
  producerId: number,
  producerEpoch: number,
  type: number,
  coordinatorEpoch: number,
) {
  const key = new Uint8Array([0, 0, 0, type]);
  const value = new Uint8Array(6);
  new DataView(value.buffer).setInt32(2, coordinatorEpoch);
  return buildBatch(
    {
      baseOffset,
      leaderEpoch: 0,
      producerId,
      producerEpoch,
      transactional: true,
      control: true,
      records: [{ timestamp: 9, key, value }],
    },
    codecs,
  );
}
