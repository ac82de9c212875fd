import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Codec } from '#base/ports';
import { ErrorCode } from '#model/errors';
import { createCodecs } from '#platform/codecs';
import { type ProduceLimits, validateProducedBatches } from '#protocol/produced-batches';
import { batchCrcMatches, readBatchHeader } from '#protocol/record-batch';
import { buildBatch, type NewBatch, type NewRecord } from '#protocol/record-batch-builder';

const codecs = createCodecs();
const NOW = 1_700_000_000_000;
const LIMITS: ProduceLimits = {
  maxMessageBytes: 10_000,
  logAppendTime: false,
  nowMs: NOW,
  timestampBeforeMaxMs: Number.POSITIVE_INFINITY,
  timestampAfterMaxMs: 3_600_000,
  keysRequired: false,
  zstdAllowed: true,
};

function record(key: string | null, timestamp = NOW): NewRecord {
  return { timestamp, key: key === null ? null : Buffer.from(key), value: Buffer.from('value'), headers: [] };
}

function batch(changes: Partial<NewBatch> = {}): Uint8Array {
  const records = [record('a'), record('b'), record('c')];
  const bytes = buildBatch({ baseOffset: 0, leaderEpoch: -1, records, ...changes }, codecs);
  if (bytes === 'unavailable') throw new Error('a native codec is missing');
  return bytes;
}

/** A batch with some bytes of its header changed, and a CRC that fits them. */
function forged(change: (view: DataView) => void, bytes: Uint8Array = batch()): Uint8Array {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  change(view);
  view.setUint32(17, codecs.crc32c(bytes.subarray(21)));
  return bytes;
}

function outcome(bytes: Uint8Array, limits: Partial<ProduceLimits> = {}) {
  const result = validateProducedBatches(bytes, { ...LIMITS, ...limits }, codecs);
  return 'error' in result ? result.error : ErrorCode.None;
}

describe('a produced batch', () => {
  it('is taken in every codec, idempotent and transactional too', () => {
    for (const codec of [Codec.None, Codec.Gzip, Codec.Snappy, Codec.Lz4, Codec.Zstd]) {
      for (const transactional of [false, true]) {
        const bytes = batch({ codec, producerId: 7, producerEpoch: 0, baseSequence: 0, transactional });
        expect(validateProducedBatches(bytes, LIMITS, codecs)).toEqual({ headers: [readBatchHeader(bytes, 0)] });
      }
    }
  });

  it('must be there, whole and alone', () => {
    const bytes = batch();
    for (let length = 0; length < bytes.length; length += 1) {
      expect(outcome(bytes.subarray(0, length))).toBe(ErrorCode.InvalidRecord);
    }
    expect(outcome(Buffer.concat([bytes, bytes]))).toBe(ErrorCode.InvalidRecord);
    expect(outcome(Buffer.concat([bytes, new Uint8Array(1)]))).toBe(ErrorCode.InvalidRecord);
  });

  it('of magic 0 or 1 is an invalid record, of any other a corrupt message', () => {
    expect(outcome(forged((view) => view.setInt8(16, 0)))).toBe(ErrorCode.InvalidRecord);
    expect(outcome(forged((view) => view.setInt8(16, 1)))).toBe(ErrorCode.InvalidRecord);
    expect(outcome(forged((view) => view.setInt8(16, 3)))).toBe(ErrorCode.CorruptMessage);
  });

  it('with any bit changed behind the CRC is a corrupt message', () => {
    const bytes = batch();
    for (let at = 21; at < bytes.length; at += 1) {
      const changed = Uint8Array.from(bytes);
      changed[at] = (changed[at] ?? 0) ^ 1;
      // Zstd is refused before the CRC is looked at; one bit does not make zstd of none.
      expect(outcome(changed)).toBe(ErrorCode.CorruptMessage);
    }
  });

  it('larger than max.message.bytes is too large', () => {
    const bytes = batch();
    expect(outcome(bytes, { maxMessageBytes: bytes.length })).toBe(ErrorCode.None);
    expect(outcome(bytes, { maxMessageBytes: bytes.length - 1 })).toBe(ErrorCode.MessageTooLarge);
  });

  it('whose offsets and counts do not fit is an invalid record', () => {
    expect(outcome(batch({ baseOffset: 1 }))).toBe(ErrorCode.InvalidRecord);
    for (const count of [-1, 0, 2, 4, 0x7fff_ffff]) {
      expect(outcome(forged((view) => view.setInt32(57, count)))).toBe(ErrorCode.InvalidRecord);
      expect(
        outcome(
          forged((view) => {
            view.setInt32(57, count);
            view.setInt32(23, count - 1);
          }),
        ),
      ).toBe(ErrorCode.InvalidRecord);
    }
    expect(outcome(forged((view) => view.setInt32(23, 5)))).toBe(ErrorCode.InvalidRecord);
  });

  it('with a control bit or a codec that is none is an invalid record', () => {
    expect(outcome(batch({ control: true }))).toBe(ErrorCode.InvalidRecord);
    for (const codec of [5, 6, 7]) {
      expect(outcome(forged((view) => view.setInt16(21, codec)))).toBe(ErrorCode.InvalidRecord);
    }
  });

  it('of an idempotent producer needs an epoch and a sequence', () => {
    expect(outcome(batch({ producerId: 7, producerEpoch: 0, baseSequence: -1 }))).toBe(ErrorCode.InvalidRecord);
    expect(outcome(batch({ producerId: 7, producerEpoch: -1, baseSequence: 0 }))).toBe(ErrorCode.InvalidRecord);
    expect(outcome(batch({ producerId: -2 }))).toBe(ErrorCode.InvalidRecord);
  });

  it('in zstd is an unsupported compression type below Produce 7', () => {
    expect(outcome(batch({ codec: Codec.Zstd }), { zstdAllowed: false })).toBe(ErrorCode.UnsupportedCompressionType);
    expect(outcome(batch({ codec: Codec.Gzip }), { zstdAllowed: false })).toBe(ErrorCode.None);
  });

  it('needs a key in every record of a compacted topic, compressed or not', () => {
    for (const codec of [Codec.None, Codec.Gzip, Codec.Snappy, Codec.Lz4, Codec.Zstd]) {
      expect(outcome(batch({ codec }), { keysRequired: true })).toBe(ErrorCode.None);
      const records = [record('a'), record(null), record('')];
      const bytes = batch({ codec, records });
      expect(outcome(bytes)).toBe(ErrorCode.None);
      expect(validateProducedBatches(bytes, { ...LIMITS, keysRequired: true }, codecs)).toMatchObject({
        error: ErrorCode.InvalidRecord,
        recordIndex: 1,
      });
    }
  });

  it('that unfolds beyond all measure is too large where keys are required', () => {
    const records = [{ timestamp: NOW, key: Buffer.from('k'), value: new Uint8Array(5_000_000) }];
    expect(outcome(batch({ codec: Codec.Gzip, records }), { keysRequired: true })).toBe(ErrorCode.MessageTooLarge);
  });

  it('has its timestamps within before.max and after.max; -1 is none', () => {
    const limits = { timestampBeforeMaxMs: 1000, timestampAfterMaxMs: 2000 };
    for (const codec of [Codec.None, Codec.Gzip]) {
      const of = (...timestamps: number[]) => batch({ codec, records: timestamps.map((at) => record('k', at)) });
      expect(outcome(of(NOW - 1000, NOW + 2000), limits)).toBe(ErrorCode.None);
      expect(outcome(of(NOW - 1001, NOW), limits)).toBe(ErrorCode.InvalidTimestamp);
      expect(outcome(of(NOW, NOW + 2001), limits)).toBe(ErrorCode.InvalidTimestamp);
      expect(outcome(of(-1), limits)).toBe(ErrorCode.None);
      expect(outcome(of(NOW + 2001), { ...limits, logAppendTime: true })).toBe(ErrorCode.None);
      expect(outcome(of(NOW * 1e6), limits)).toBe(ErrorCode.InvalidTimestamp);
    }
    expect(outcome(batch({ records: [record('k', NOW), record('k', NOW - 1001)] }), limits)).toBe(
      ErrorCode.InvalidTimestamp,
    );
  });

  it('does not claim the broker’s own timestamp type', () => {
    expect(outcome(batch({ timestampType: 'LogAppendTime' }))).toBe(ErrorCode.InvalidTimestamp);
  });

  it('that names a wrong maximal timestamp is set right, as in Kafka', () => {
    const bytes = forged((view) => view.setInt32(39, 17));
    const result = validateProducedBatches(bytes, LIMITS, codecs);
    expect(result).toMatchObject({ headers: [{ maxTimestamp: NOW }] });
    expect(result).toEqual({ headers: [readBatchHeader(bytes, 0)] });
    expect('headers' in result && result.headers.every((header) => batchCrcMatches(bytes, header, codecs))).toBe(true);
  });

  it('with any bytes for records and a fitting CRC is taken or refused, never an exception', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.integer({ min: 21, max: batch().length - 1 }), fc.integer({ min: 0, max: 255 })), {
          minLength: 1,
          maxLength: 4,
        }),
        fc.boolean(),
        (changes, keysRequired) => {
          const bytes = forged((view) => {
            for (const [at, byte] of changes) view.setUint8(at, byte);
          });
          expect(Object.values(ErrorCode)).toContain(outcome(bytes, { keysRequired }));
        },
      ),
      { numRuns: 2000 },
    );
  });
});
