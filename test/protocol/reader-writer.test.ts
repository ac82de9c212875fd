import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ZERO_UUID } from '#model/ids';
import { decodeMessage, encodeMessage } from '#protocol/codec';
import { readFetchRequest, writeFetchRequest } from '#protocol/generated/fetch-request';
import { writeFetchResponse } from '#protocol/generated/fetch-response';
import { readMetadataRequest, writeMetadataRequest } from '#protocol/generated/metadata-request';
import { readProduceRequest, writeProduceRequest } from '#protocol/generated/produce-request';
import { ProtocolError } from '#protocol/protocol-error';
import { Reader } from '#protocol/reader';
import { Writer } from '#protocol/writer';

function written(write: (writer: Writer) => void): Uint8Array {
  const writer = new Writer();
  write(writer);
  const bytes = Buffer.concat(writer.chunks());
  expect(writer.sizeBytes).toBe(bytes.length);
  return Uint8Array.from(bytes);
}

describe('int64', () => {
  it('is exact within ±2^53 and the nearest double beyond', () => {
    fc.assert(
      fc.property(fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }), (value) => {
        const bytes = new Uint8Array(8);
        new DataView(bytes.buffer).setBigInt64(0, value);
        expect(new Reader(bytes).int64()).toBe(Number(value));
      }),
    );
    fc.assert(
      fc.property(fc.maxSafeInteger(), (value) => {
        expect(new Reader(written((writer) => writer.int64(value))).int64()).toBe(value);
      }),
    );
  });

  it('saturates at the greatest, which 2^63 stands for', () => {
    const greatest = written((writer) => writer.int64(2 ** 63));
    expect(Buffer.from(greatest).toString('hex')).toBe('7fffffffffffffff');
    expect(new Reader(greatest).int64()).toBe(2 ** 63);
    expect(Buffer.from(written((writer) => writer.int64(-(2 ** 63)))).toString('hex')).toBe('8000000000000000');
  });

  it('passes the codec door exactly, as number or decimal string', () => {
    const json = (offset: unknown) => ({
      replicaId: -1,
      isolationLevel: 0,
      topics: [{ name: 't', partitions: [{ partitionIndex: 0, currentLeaderEpoch: -1, timestamp: offset }] }],
      timeoutMs: 0,
    });
    for (const value of ['9223372036854775807', '-9223372036854775808', '9007199254740993', '-9007199254740993']) {
      const bytes = encodeMessage('ListOffsetsRequest', 11, json(value));
      expect(new DataView(bytes.buffer, bytes.byteOffset).getBigInt64(17)).toBe(BigInt(value));
      expect(decodeMessage('ListOffsetsRequest', 11, bytes)).toEqual(json(value));
    }
    for (const value of [2 ** 53, -(2 ** 53), 0, -1]) {
      const bytes = encodeMessage('ListOffsetsRequest', 11, json(value));
      expect(encodeMessage('ListOffsetsRequest', 11, json(String(value)))).toEqual(bytes);
      expect(decodeMessage('ListOffsetsRequest', 11, bytes)).toEqual(json(value));
    }
    for (const value of ['9223372036854775808', '-9223372036854775809', '1.5', '', 1.5, true]) {
      expect(() => encodeMessage('ListOffsetsRequest', 11, json(value))).toThrow(ProtocolError);
    }
  });
});

describe('a tagged field', () => {
  it('that is unknown is kept, in tag order among the known ones', () => {
    const data = Uint8Array.from([1, 2, 3]);
    const unknownTaggedFields = [
      { tag: 2, data },
      { tag: 5, data: new Uint8Array(5000).fill(7) },
      { tag: 300, data: new Uint8Array(0) },
    ];
    const request = {
      clusterId: 'c',
      replicaState: { replicaId: 1 },
      maxWaitMs: 0,
      minBytes: 0,
      topics: [],
      unknownTaggedFields,
    };
    const bytes = written((writer) => writeFetchRequest(writer, request, 18));
    const read = readFetchRequest(new Reader(bytes), 18);
    expect(read).toMatchObject({ clusterId: 'c', replicaState: { replicaId: 1 }, unknownTaggedFields });
    expect(written((writer) => writeFetchRequest(writer, read, 18))).toEqual(bytes);
    const json = decodeMessage('FetchRequest', 18, bytes);
    expect(Uint8Array.from(encodeMessage('FetchRequest', 18, JSON.parse(JSON.stringify(json))))).toEqual(bytes);
  });

  it('is not written twice, out of order, or to a version without tags', () => {
    const write = (tags: readonly number[], version: number) => () => {
      const unknownTaggedFields = tags.map((tag) => ({ tag, data: new Uint8Array(0) }));
      written((writer) =>
        writeFetchRequest(
          writer,
          { clusterId: 'c', maxWaitMs: 0, minBytes: 0, topics: [], unknownTaggedFields },
          version,
        ),
      );
    };
    expect(write([7, 9], 18)).not.toThrow();
    expect(write([9, 7], 18)).toThrow(ProtocolError);
    expect(write([7, 7], 18)).toThrow(ProtocolError);
    expect(write([0], 18)).toThrow(ProtocolError);
    expect(write([], 11)).not.toThrow();
    expect(write([7], 11)).toThrow(ProtocolError);
  });
});

describe('a writer', () => {
  it('takes records, and bytes from 1 KiB on, by reference', () => {
    const batch = Uint8Array.from([1, 2, 3]);
    const large = new Uint8Array(1024);
    const writer = new Writer();
    const partition = {
      partitionIndex: 0,
      errorCode: 0,
      highWatermark: 0,
      abortedTransactions: null,
      records: [batch, large],
    };
    writeFetchResponse(writer, { throttleTimeMs: 0, responses: [{ topic: 't', partitions: [partition] }] }, 12);
    expect(writer.chunks()).toContain(batch);
    expect(writer.chunks()).toContain(large);
    const small = new Writer();
    small.raw(new Uint8Array(1023));
    expect(small.chunks()[0]?.buffer).not.toBe(large.buffer);
  });

  it('gives a reader one view of the records, or null', () => {
    const records = [Uint8Array.from([1, 2]), Uint8Array.from([3])];
    const partitionData = [
      { index: 0, records },
      { index: 1, records: null },
      { index: 2, records: [] },
    ];
    const request = { acks: 1, timeoutMs: 0, topicData: [{ name: 't', partitionData }] };
    const bytes = written((writer) => writeProduceRequest(writer, request, 9));
    const read = readProduceRequest(new Reader(bytes), 9).topicData[0]?.partitionData.map(
      (partition) => partition.records,
    );
    expect(read).toEqual([[Uint8Array.from([1, 2, 3])], null, [new Uint8Array(0)]]);
    expect(read?.[0]?.[0]?.buffer).toBe(bytes.buffer);
  });

  it('patches an int32 that it wrote before, over many buffers', () => {
    const writer = new Writer();
    writer.int32(0);
    for (let i = 0; i < 10_000; i += 1) writer.string('0123456789', true);
    writer.patchInt32(0, writer.sizeBytes - 4);
    writer.int8(5);
    const reader = new Reader(Buffer.concat(writer.chunks()));
    expect(reader.int32()).toBe(110_000);
    expect(reader.remaining).toBe(110_001);
    expect(() => writer.patchInt32(writer.sizeBytes, 0)).toThrow(ProtocolError);
  });

  it('refuses null where the version has none, and fields that must not get lost', () => {
    expect(() => written((writer) => writeMetadataRequest(writer, { topics: null }, 1))).not.toThrow();
    expect(() => written((writer) => writeMetadataRequest(writer, { topics: null }, 0))).toThrow(/topics is null/);
    const request = { topics: [], includeTopicAuthorizedOperations: true };
    expect(() => written((writer) => writeMetadataRequest(writer, request, 8))).not.toThrow();
    expect(() => written((writer) => writeMetadataRequest(writer, request, 7))).toThrow(
      expect.objectContaining({ code: 'unsupported-field' }),
    );
  });

  it('refuses strings beyond 32,767 bytes and what is no uuid', () => {
    expect(() => written((writer) => writer.string('é'.repeat(16_383), true))).not.toThrow();
    expect(() => written((writer) => writer.string('é'.repeat(16_384), true))).toThrow(ProtocolError);
    expect(() => written((writer) => writer.uuid('short' as typeof ZERO_UUID))).toThrow(ProtocolError);
  });
});

describe('a reader', () => {
  it('fills what the version lacks with defaults', () => {
    const bytes = written((writer) =>
      writeFetchRequest(writer, { maxWaitMs: 5, minBytes: 1, topics: [{ partitions: [] }] }, 4),
    );
    expect(readFetchRequest(new Reader(bytes), 4)).toMatchObject({
      replicaId: -1,
      maxBytes: 0x7fff_ffff,
      sessionEpoch: -1,
      replicaState: { replicaId: -1, replicaEpoch: -1 },
      topics: [{ topic: '', topicId: ZERO_UUID, partitions: [] }],
      rackId: '',
      clusterId: null,
    });
  });

  it('starts at any place of its bytes and tells what remains', () => {
    const reader = new Reader(Uint8Array.from([9, 9, 0, 5, 1]), 2);
    expect([reader.int16(), reader.position, reader.remaining]).toEqual([5, 4, 1]);
  });

  it('makes U+FFFD of invalid UTF-8 and keeps all else', () => {
    expect(new Reader(Uint8Array.from([3, 0xff, 0x41])).string(true)).toBe('\ufffdA');
    expect(new Reader(Uint8Array.from([4, 0xef, 0xbb, 0xbf])).string(true)).toBe('\ufeff');
  });

  it('takes varints of up to 32 bits', () => {
    for (const value of [0, 127, 128, 16_383, 2 ** 31, 2 ** 32 - 1]) {
      expect(new Reader(written((writer) => writer.uvarint(value))).uvarint()).toBe(value);
    }
    for (const bytes of [
      [0x80, 0x80, 0x80, 0x80, 0x10],
      [0x80, 0x80, 0x80, 0x80, 0x80, 0x00],
    ]) {
      expect(() => new Reader(Uint8Array.from(bytes)).uvarint()).toThrow(
        expect.objectContaining({ code: 'malformed' }),
      );
    }
  });

  it('believes no length or count that the bytes can not hold', () => {
    const reading =
      (version: number, ...bytes: number[]) =>
      () =>
        readMetadataRequest(new Reader(Uint8Array.from(bytes)), version);
    expect(reading(1, 0x7f, 0xff, 0xff, 0xff)).toThrow(expect.objectContaining({ code: 'truncated' }));
    expect(reading(1, 0xff, 0xff, 0xff, 0xfe)).toThrow(expect.objectContaining({ code: 'malformed' }));
    expect(reading(9, 0xff, 0xff, 0xff, 0xff, 0x0f)).toThrow(expect.objectContaining({ code: 'truncated' }));
    expect(reading(0, 0xff, 0xff, 0xff, 0xff)).toThrow(/null/);
    expect(reading(0, 0, 0, 0, 1, 0x7f, 0xff)).toThrow(expect.objectContaining({ code: 'truncated' }));
    expect(reading(0, 0, 0, 0, 1, 0x80, 0x00)).toThrow(expect.objectContaining({ code: 'malformed' }));
  });

  it('refuses a message of more than a million objects before it makes them', () => {
    const count = 1_000_001;
    const bytes = new Uint8Array(4 + 2 * count);
    new DataView(bytes.buffer).setInt32(0, count);
    expect(() => readMetadataRequest(new Reader(bytes), 1)).toThrow(/more than 1000000 objects/);
    const tags = new Uint8Array(10 + 2 * count).fill(0);
    tags.set(written((writer) => writer.uvarint(count)));
    expect(() => new Reader(tags).unknownTags()).toThrow(/more than 1000000 objects/);
  });

  it('refuses a tagged field whose content is shorter or longer than its size', () => {
    const bytes = written((writer) =>
      writeFetchRequest(writer, { clusterId: 'abc', maxWaitMs: 0, minBytes: 0, topics: [] }, 12),
    );
    const sizeAt = bytes.length - 5;
    expect(bytes[sizeAt]).toBe(4);
    for (const size of [3, 5]) {
      const changed = Uint8Array.from([...bytes, 0]);
      changed[sizeAt] = size;
      expect(() => readFetchRequest(new Reader(changed), 12)).toThrow(expect.objectContaining({ code: 'malformed' }));
    }
  });
});

describe('the codec door', () => {
  it('names what does not fit', () => {
    const encode = (json: unknown) => () => encodeMessage('HeartbeatRequest', 0, json);
    expect(encode({ groupId: 'g', generationId: 1, memberId: 'm' })).not.toThrow();
    expect(encode({ groupId: 'g', generationId: 1 })).toThrow(/memberId/);
    expect(encode({ groupId: 'g', generationId: 2 ** 31, memberId: 'm' })).toThrow(/generationId/);
    expect(encode({ groupId: null, generationId: 1, memberId: 'm' })).toThrow(/groupId/);
    expect(encode({ groupId: 'g', generationId: 1, memberId: 'm', typo: 1 })).toThrow(/typo/);
    expect(encode([])).toThrow(ProtocolError);
    expect(() => decodeMessage('NoSuchMessage', 0, new Uint8Array(0))).toThrow(/NoSuchMessage/);
  });
});
