import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';

export interface MessageVector {
  readonly name: string;
  readonly version: number;
  /** The body as Kafka 4.3.1's Java client writes it, without size and header. */
  readonly hex: string;
  readonly json: unknown;
}

export interface BatchVector {
  readonly name: string;
  readonly hex: string;
  readonly batch: {
    readonly baseOffset: number;
    readonly lastOffset: number;
    readonly partitionLeaderEpoch: number;
    readonly magic: number;
    readonly crc: number;
    readonly compression: 'none' | 'gzip' | 'snappy' | 'lz4' | 'zstd';
    readonly timestampType: 'CreateTime' | 'LogAppendTime';
    readonly maxTimestamp: number;
    readonly producerId: number;
    readonly producerEpoch: number;
    readonly baseSequence: number;
    readonly isTransactional: boolean;
    readonly isControl: boolean;
    readonly sizeInBytes: number;
    readonly records: readonly {
      readonly offset: number;
      readonly timestamp: number;
      readonly key: string | null;
      readonly value: string | null;
      readonly headers: readonly { readonly key: string; readonly value: string | null }[];
    }[];
  };
}

export function messageVectors(): MessageVector[] {
  return linesOf('message-vectors.ndjson.gz') as MessageVector[];
}

export function batchVectors(): BatchVector[] {
  return linesOf('batch-vectors.ndjson.gz') as BatchVector[];
}

export function bytesOf(hex: string): Uint8Array {
  return Uint8Array.from(Buffer.from(hex, 'hex'));
}

function linesOf(file: string): unknown[] {
  const text = gunzipSync(readFileSync(join(import.meta.dirname, '..', 'fixtures', file))).toString();
  return text
    .trimEnd()
    .split('\n')
    .map((line): unknown => JSON.parse(line));
}
