import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Codec } from '#base/ports';
import { createCodecs } from '#platform/codecs';
import {
  type BatchHeader,
  batchCrcMatches,
  codecOf,
  isControl,
  isLogAppendTime,
  isTransactional,
  lastOffset,
  lastSequence,
  patchBatch,
  patchLogAppendTime,
  readBatchHeader,
} from '#protocol/record-batch';
import { buildBatch, type NewRecord, recompressBatch } from '#protocol/record-batch-builder';
import { type DecodedRecord, iterateRecords } from '#protocol/records';
import { type BatchVector, batchVectors, bytesOf } from './fixtures.ts';

const codecs = createCodecs();
const ALL_CODECS = [Codec.None, Codec.Gzip, Codec.Snappy, Codec.Lz4, Codec.Zstd] as const;
const CODEC_NAMES = ['none', 'gzip', 'snappy', 'lz4', 'zstd'];
const MAX_BYTES = 1 << 20;
const vectors = batchVectors();

function headerOf(bytes: Uint8Array, at = 0): BatchHeader {
  const header = readBatchHeader(bytes, at);
  if (typeof header === 'string') throw new Error(header);
  return header;
}

function recordsOf(bytes: Uint8Array): DecodedRecord[] {
  const records = iterateRecords(bytes, headerOf(bytes), codecs, MAX_BYTES);
  if (typeof records === 'string') throw new Error(records);
  return [...records];
}

function built(bytes: Uint8Array | 'unavailable'): Uint8Array {
  if (bytes === 'unavailable') throw new Error('a native codec is missing');
  return bytes;
}

function base64(bytes: Uint8Array | null): string | null {
  return bytes === null ? null : Buffer.from(bytes).toString('base64');
}

function asJson(records: readonly DecodedRecord[]): BatchVector['batch']['records'] {
  return records.map(({ offset, timestamp, key, value, headers }) => ({
    offset,
    timestamp,
    key: base64(key),
    value: base64(value),
    headers: headers.map((header) => ({
      key: Buffer.from(header.key).toString('latin1'),
      value: base64(header.value),
    })),
  }));
}

/** The records' own timestamps, which the type LogAppendTime hides. */
function withoutLogAppendTime(bytes: Uint8Array): Uint8Array {
  const copy = Uint8Array.from(bytes);
  copy[22] = (copy[22] ?? 0) & ~0x08;
  return copy;
}

function rebuild(bytes: Uint8Array, codec: Codec): Uint8Array {
  const header = headerOf(bytes);
  const batch = built(
    buildBatch(
      {
        baseOffset: header.baseOffset,
        leaderEpoch: header.partitionLeaderEpoch,
        producerId: header.producerId,
        producerEpoch: header.producerEpoch,
        baseSequence: header.baseSequence,
        transactional: isTransactional(header),
        control: isControl(header),
        codec,
        records: recordsOf(withoutLogAppendTime(bytes)),
      },
      codecs,
    ),
  );
  if (isLogAppendTime(header)) patchLogAppendTime(batch, 0, header.maxTimestamp, codecs);
  return batch;
}

describe('batches of the Kafka 4.3.1 Java client', () => {
  it('are 66, of five codecs and six kinds', () => {
    expect(vectors).toHaveLength(66);
    expect(new Set(vectors.map(({ batch }) => batch.compression))).toEqual(new Set(CODEC_NAMES));
  });

  it.each(vectors.map((vector, index) => [`${vector.name} ${index}`, vector] as const))('%s', (_, { hex, batch }) => {
    const bytes = bytesOf(hex);
    const header = headerOf(bytes);
    expect(header).toMatchObject({
      at: 0,
      sizeBytes: batch.sizeInBytes,
      baseOffset: batch.baseOffset,
      partitionLeaderEpoch: batch.partitionLeaderEpoch,
      magic: 2,
      crc: batch.crc,
      maxTimestamp: batch.maxTimestamp,
      producerId: batch.producerId,
      producerEpoch: batch.producerEpoch,
      baseSequence: batch.baseSequence,
      recordCount: batch.records.length,
    });
    expect(lastOffset(header)).toBe(batch.lastOffset);
    expect(CODEC_NAMES[codecOf(header)]).toBe(batch.compression);
    expect(isLogAppendTime(header)).toBe(batch.timestampType === 'LogAppendTime');
    expect(isTransactional(header)).toBe(batch.isTransactional);
    expect(isControl(header)).toBe(batch.isControl);
    expect(batchCrcMatches(bytes, header, codecs)).toBe(true);
    expect(asJson(recordsOf(bytes))).toEqual(batch.records);

    const again = rebuild(bytes, codecOf(header) as Codec);
    if (batch.compression === 'none') expect(Buffer.from(again).toString('hex')).toBe(hex);
    expect(batchCrcMatches(again, headerOf(again), codecs)).toBe(true);
    expect(asJson(recordsOf(again))).toEqual(batch.records);
    expect({ ...headerOf(again), crc: 0, sizeBytes: 0 }).toEqual({ ...header, crc: 0, sizeBytes: 0 });
  });

  it('keep their records and all of their header but codec, size and CRC in every other codec', () => {
    for (const { hex, batch } of vectors) {
      const bytes = bytesOf(hex);
      for (const codec of ALL_CODECS) {
        const again = recompressBatch(bytes, headerOf(bytes), { codec }, MAX_BYTES, codecs);
        if (typeof again === 'string') throw new Error(again);
        const header = headerOf(again);
        expect(codecOf(header)).toBe(codec);
        expect(batchCrcMatches(again, header, codecs)).toBe(true);
        expect(asJson(recordsOf(again))).toEqual(batch.records);
        const varying = { crc: 0, sizeBytes: 0, attributes: 0 };
        expect({ ...header, ...varying }).toEqual({ ...headerOf(bytes), ...varying });
      }
    }
  });
});

/** Format 2 read with bigints, one field after the other: slow and plain, for comparison. */
function readPlainly(body: Uint8Array, header: BatchHeader): BatchVector['batch']['records'] | 'corrupt' {
  let at = 0;
  const varint = (bits: bigint): number => {
    let value = 0n;
    for (let shift = 0n; shift < bits + 6n; shift += 7n) {
      const byte = BigInt(body[at++] ?? fail());
      value |= (byte & 0x7fn) << shift;
      if (byte < 0x80n) {
        if (bits === 32n && value >= 2n ** 32n) fail();
        return Number((value >> 1n) ^ -(value & 1n));
      }
    }
    return fail();
  };
  const field = (): Uint8Array | null => {
    const length = varint(32n);
    if (length < -1 || length > body.length - at) fail();
    at += Math.max(0, length);
    return length < 0 ? null : body.subarray(at - length, at);
  };
  try {
    const records: DecodedRecord[] = [];
    let last = -1;
    for (let index = 0; index < header.recordCount; index += 1) {
      const length = varint(32n);
      const end = at + length;
      at += 1;
      const timestamp = header.baseTimestamp + varint(64n);
      const delta = varint(32n);
      const key = field();
      const value = field();
      const headerCount = varint(32n);
      if (headerCount < 0 || headerCount > body.length) fail();
      const headers = Array.from({ length: headerCount }, () => ({ key: field() ?? fail(), value: field() }));
      if (at !== end || delta <= last || delta > header.lastOffsetDelta) fail();
      last = delta;
      records.push({ offset: header.baseOffset + delta, timestamp, key, value, headers });
    }
    return at === body.length && header.recordCount >= 0 ? asJson(records) : 'corrupt';
  } catch {
    return 'corrupt';
  }
}

function fail(): never {
  throw new Error('corrupt');
}

const plain = vectors.find(({ batch }) => batch.compression === 'none' && batch.producerId >= 0);
const sample = (): Uint8Array => bytesOf(plain?.hex ?? '');

describe('readBatchHeader', () => {
  it('calls every truncation incomplete, never corrupt', () => {
    const bytes = sample();
    for (let length = 0; length < bytes.length; length += 1) {
      expect(readBatchHeader(bytes.subarray(0, length), 0)).toBe('incomplete');
    }
  });

  it('reads a batch in the midst of others', () => {
    const bytes = sample();
    const both = Uint8Array.from([...bytes, ...bytes, 7]);
    expect(headerOf(both, bytes.length)).toEqual({ ...headerOf(bytes), at: bytes.length });
    expect(readBatchHeader(both, 2 * bytes.length)).toBe('incomplete');
  });

  it('calls lengths that no batch has, and unknown magics, corrupt', () => {
    for (const length of [-1, 0, 13, 48]) {
      const bytes = sample();
      new DataView(bytes.buffer).setInt32(8, length);
      expect(readBatchHeader(bytes, 0)).toBe('corrupt');
    }
    for (const magic of [-1, 3, 127]) {
      const bytes = sample();
      new DataView(bytes.buffer).setInt8(16, magic);
      expect(readBatchHeader(bytes, 0)).toBe('corrupt');
    }
  });

  it('tells offset, size, magic and crc of old magics', () => {
    const bytes = sample();
    new DataView(bytes.buffer).setInt8(16, 1);
    expect(headerOf(bytes)).toMatchObject({ magic: 1, sizeBytes: bytes.length, recordCount: -1, producerId: -1 });
    expect(batchCrcMatches(bytes, headerOf(bytes), codecs)).toBe(false);
  });
});

describe('patching', () => {
  it('moves a batch without touching what the CRC covers', () => {
    const bytes = sample();
    patchBatch(bytes, 0, 2 ** 40 + 5, 77);
    const header = headerOf(bytes);
    expect(header).toEqual({ ...headerOf(sample()), baseOffset: 2 ** 40 + 5, partitionLeaderEpoch: 77 });
    expect(batchCrcMatches(bytes, header, codecs)).toBe(true);
  });

  it('stamps every record with the append time', () => {
    const bytes = sample();
    const header = patchLogAppendTime(bytes, 0, 1_800_000_000_000, codecs);
    expect(header).toEqual(headerOf(bytes));
    expect(batchCrcMatches(bytes, header, codecs)).toBe(true);
    expect(new Set(recordsOf(bytes).map((record) => record.timestamp))).toEqual(new Set([1_800_000_000_000]));
  });

  it('wraps the last sequence from 2^31-1 to 0', () => {
    const at = (baseSequence: number, lastOffsetDelta: number) =>
      lastSequence({ ...headerOf(sample()), baseSequence, lastOffsetDelta });
    expect(at(5, 3)).toBe(8);
    expect(at(0x7fff_fffd, 2)).toBe(0x7fff_ffff);
    expect(at(0x7fff_fffd, 3)).toBe(0);
    expect(at(0x7fff_ffff, 0x7fff_ffff)).toBe(0x7fff_fffe);
    expect(at(-1, 3)).toBe(-1);
  });
});

const bytesArbitrary = fc.uint8Array({ maxLength: 200 });
const recordArbitrary: fc.Arbitrary<NewRecord> = fc.record({
  timestamp: fc.oneof(fc.integer({ min: -1, max: 2 ** 41 }), fc.maxSafeNat()),
  key: fc.option(bytesArbitrary),
  value: fc.option(bytesArbitrary),
  headers: fc.array(fc.record({ key: bytesArbitrary, value: fc.option(bytesArbitrary) }), { maxLength: 3 }),
});

describe('records', () => {
  it('come back from a batch as they went in, in every codec', () => {
    fc.assert(
      fc.property(
        fc.array(recordArbitrary, { minLength: 1, maxLength: 20 }),
        fc.constantFrom(...ALL_CODECS),
        fc.integer({ min: 0, max: 2 ** 48 }),
        (records, codec, baseOffset) => {
          const bytes = built(buildBatch({ baseOffset, leaderEpoch: 1, codec, records }, codecs));
          const expected = records.map((record, index) => ({ headers: [], ...record, offset: baseOffset + index }));
          expect(asJson(recordsOf(bytes))).toEqual(asJson(expected));
        },
      ),
      { numRuns: 300 },
    );
  });

  it('are taken exactly if a plain reading of the format takes them, whatever bytes stand in their place', () => {
    const bytes = sample();
    let taken = 0;
    const change = fc.tuple(
      fc.integer({ min: 57, max: bytes.length - 1 }),
      fc.oneof(fc.integer({ min: 0, max: 255 }), fc.integer({ min: 0, max: 5 })),
    );
    fc.assert(
      fc.property(fc.array(change, { minLength: 1, maxLength: 3 }), (changes) => {
        const mutated = Uint8Array.from(bytes);
        for (const [at, byte] of changes) mutated[at] = byte;
        const header = headerOf(mutated);
        const expected = readPlainly(mutated.subarray(61), header);
        const records = iterateRecords(mutated, header, codecs, MAX_BYTES);
        expect(typeof records === 'string' ? records : asJson([...records])).toEqual(expected);
        if (typeof records !== 'string') taken += 1;
      }),
      { numRuns: 5000 },
    );
    expect(taken).toBeGreaterThan(500);
  });

  it('of a negative length are corrupt, also where its zigzag form fits', () => {
    const bytes = built(
      buildBatch({ baseOffset: 0, leaderEpoch: 0, records: [{ timestamp: 0, key: null, value: null }] }, codecs),
    );
    bytes[61] = (bytes[61] ?? 0) | 1;
    expect(iterateRecords(bytes, headerOf(bytes), codecs, MAX_BYTES)).toBe('corrupt');
  });

  it('claimed in a number that the bytes can not hold are corrupt at once', () => {
    const bytes = sample();
    new DataView(bytes.buffer).setInt32(57, 0x7fff_ffff);
    expect(iterateRecords(bytes, headerOf(bytes), codecs, MAX_BYTES)).toBe('corrupt');
  });

  it('that decompress to more than the limit are too large', () => {
    const records = [{ timestamp: 0, key: null, value: new Uint8Array(100_000) }];
    for (const codec of [Codec.Gzip, Codec.Snappy, Codec.Lz4, Codec.Zstd]) {
      const bytes = built(buildBatch({ baseOffset: 0, leaderEpoch: 0, codec, records }, codecs));
      expect(iterateRecords(bytes, headerOf(bytes), codecs, 50_000), `codec ${codec}`).toBe('too-large');
    }
  });
});
