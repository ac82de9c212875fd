import { readFileSync } from 'node:fs';
import { gunzipSync, gzipSync, zstdCompressSync } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Codec } from '#base/ports';
import { createCodecs } from '#platform/codecs';
import { createCrc32c } from '#platform/crc32c';
import { encodeLz4Frame } from '#platform/lz4';

const codecs = createCodecs();
const ALL = Object.entries(Codec) as [keyof typeof Codec, Codec][];
const COMPRESSING = ALL.filter(([name]) => name !== 'None');
const MIB = 1024 * 1024;

function compress(codec: Codec, bytes: Uint8Array, level?: number): Uint8Array {
  const packed = codecs.compress(codec, bytes, level);
  if (packed === 'unavailable') throw new Error(`no package for codec ${codec}`);
  return packed;
}

/** Bytes that compress a little: runs, repeats and noise. */
const payload = fc
  .array(
    fc.oneof(
      fc.uint8Array({ maxLength: 300 }),
      fc
        .tuple(fc.uint8Array({ minLength: 1, maxLength: 20 }), fc.integer({ min: 1, max: 4000 }))
        .map(([unit, times]) => {
          const run = new Uint8Array(unit.length * times);
          for (let at = 0; at < run.length; at++) run[at] = unit[at % unit.length] as number;
          return run;
        }),
    ),
    { maxLength: 12 },
  )
  .map((parts) => new Uint8Array(Buffer.concat(parts)));

describe('each codec', () => {
  it.each(ALL)('%s gives back what it was given', (_, codec) => {
    fc.assert(
      fc.property(payload, (bytes) => {
        const unpacked = codecs.decompress(codec, compress(codec, bytes), bytes.length);
        expect(unpacked).toBeInstanceOf(Uint8Array);
        expect(Buffer.compare(unpacked as Uint8Array, bytes)).toBe(0);
      }),
      { numRuns: 60 },
    );
  });

  it.each(ALL)('%s refuses one byte more than the bound', (_, codec) => {
    const bytes = Buffer.alloc(100_000, 'a line of text, ');
    expect(codecs.decompress(codec, compress(codec, bytes), bytes.length - 1)).toBe('too-large');
  });

  it.each(COMPRESSING)('%s refuses its output cut short, wherever the cut is', (_, codec) => {
    const bytes = Buffer.from('some text that is long enough to be worth it, and once more: '.repeat(8));
    const packed = compress(codec, bytes);
    for (let length = 0; length < packed.length; length++) {
      const outcome = codecs.decompress(codec, packed.subarray(0, length), bytes.length);
      // A xerial stream has no end mark: cut behind its header it is empty.
      if (codec === Codec.Snappy && length === 16) expect(outcome).toHaveLength(0);
      // Cut within its magic it reads as a raw block that claims much.
      else expect(outcome).toBe(codec === Codec.Snappy && length > 1 && length < 8 ? 'too-large' : 'corrupt');
    }
  });

  it.each(COMPRESSING)('%s never throws, and never gives more than the bound, whatever the input', (_, codec) => {
    const packed = compress(codec, Buffer.alloc(5000, 'abcdefghijklmnop qrstuvwxyz'));
    const mutated = fc
      .array(fc.tuple(fc.nat(packed.length - 1), fc.nat(255)), { minLength: 1, maxLength: 8 })
      .map((changes) => {
        const copy = Uint8Array.from(packed);
        for (const [at, value] of changes) copy[at] = value;
        return copy;
      });
    fc.assert(
      fc.property(fc.oneof(mutated, fc.uint8Array({ maxLength: 200 })), (bytes) => {
        const outcome = codecs.decompress(codec, bytes, 6000);
        if (outcome instanceof Uint8Array) expect(outcome.length).toBeLessThanOrEqual(6000);
        else expect(['corrupt', 'too-large']).toContain(outcome);
      }),
      { numRuns: 300 },
    );
  });

  it.each(COMPRESSING)('%s turns a bomb away without unpacking it', (_, codec) => {
    const bomb = compress(codec, Buffer.alloc(256 * MIB));
    const before = process.memoryUsage();
    expect(codecs.decompress(codec, bomb, MIB)).toBe('too-large');
    const after = process.memoryUsage();
    expect(after.arrayBuffers - before.arrayBuffers).toBeLessThan(8 * MIB);
    expect(after.rss - before.rss).toBeLessThan(64 * MIB);
  });

  it('gzip and zstd take levels, and the default where none is given', () => {
    const text = Buffer.from(Array.from({ length: 20_000 }, (_, index) => `${index * 7919} `).join(''));
    for (const codec of [Codec.Gzip, Codec.Zstd]) {
      expect(compress(codec, text, 9).length).toBeLessThan(compress(codec, text, 1).length);
    }
    expect(Buffer.from(compress(Codec.Gzip, text, -1))).toEqual(Buffer.from(compress(Codec.Gzip, text)));
  });
});

describe('gzip and zstd', () => {
  it('read several members as one', () => {
    const twice = (bytes: Buffer) => Buffer.concat([bytes, bytes]);
    const expected = Buffer.from('onceonce');
    expect(codecs.decompress(Codec.Gzip, twice(gzipSync('once')), 100)).toEqual(expected);
    expect(codecs.decompress(Codec.Zstd, twice(zstdCompressSync('once')), 100)).toEqual(expected);
  });
});

describe('snappy', () => {
  const text = Buffer.from('to be or not to be, that is the question. '.repeat(3000));

  it('is written as snappy-java does: magic, versions 1 and 1, blocks of 32 KiB', () => {
    const packed = Buffer.from(compress(Codec.Snappy, text));
    expect(packed.subarray(0, 16).toString('hex')).toBe('82534e41505059000000000100000001');
    let at = 16;
    const claimed: number[] = [];
    while (at < packed.length) {
      const [a, b, c] = packed.subarray(at + 4) as unknown as [number, number, number];
      claimed.push((a & 127) + (b & 127) * 128 + (b < 128 ? 0 : c) * 128 * 128);
      at += 4 + packed.readInt32BE(at);
    }
    expect(claimed).toEqual([32_768, 32_768, 32_768, text.length - 3 * 32_768]);
  });

  it('is read raw as well, as librdkafka writes it', () => {
    // Hand-made: length 11, a literal of 5, a copy of 6 at distance 5 (snappy's format_description.txt).
    const raw = Buffer.from([11, 4 << 2, ...Buffer.from('abcde'), ((6 - 1) << 2) | 2, 5, 0]);
    expect(codecs.decompress(Codec.Snappy, raw, 11)).toEqual(Buffer.from('abcdeabcdea'));
    expect(codecs.decompress(Codec.Snappy, raw, 10)).toBe('too-large');
  });

  it('is read when streams are concatenated', () => {
    const one = compress(Codec.Snappy, Buffer.from('one '));
    const two = compress(Codec.Snappy, Buffer.from('two'));
    const unpacked = codecs.decompress(Codec.Snappy, Buffer.concat([one, two]), 100) as Uint8Array;
    expect(Buffer.from(unpacked).toString()).toBe('one two');
  });

  it('allocates nothing for a length that is only claimed', () => {
    const claims = Buffer.from([0xff, 0xff, 0xff, 0xff, 0x0f, 0]);
    expect(codecs.decompress(Codec.Snappy, claims, MIB)).toBe('too-large');
    expect(codecs.decompress(Codec.Snappy, Buffer.from([0xff, 0xff, 0xff, 0xff, 0xff, 1]), MIB)).toBe('corrupt');
  });
});

describe('lz4', () => {
  const MAGIC = [0x04, 0x22, 0x4d, 0x18];
  const END = [0, 0, 0, 0];
  /** A raw block: the literals 'abcd', then a match of 8 at distance 4, then the literal 'z'. */
  const BLOCK = [0x44, ...Buffer.from('abcd'), 4, 0, 0x10, ...Buffer.from('z')];
  const HEAD = [BLOCK.length, 0, 0, 0];

  function unpack(...bytes: number[]): string {
    const outcome = codecs.decompress(Codec.Lz4, Uint8Array.from(bytes), 1000);
    return outcome instanceof Uint8Array ? Buffer.from(outcome).toString() : outcome;
  }

  it("is written in independent blocks of 64 KiB with Kafka's header, and stored where it would grow", () => {
    const noise = new Uint8Array(70_000);
    for (let at = 0, state = 1; at < noise.length; at++) {
      state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
      noise[at] = state >>> 24;
    }
    const packed = Buffer.from(compress(Codec.Lz4, noise));
    expect(packed.subarray(0, 7).toString('hex')).toBe('04224d18604082');
    expect(packed.readUInt32LE(7)).toBe(0x8000_0000 + 65_536);
    expect(packed.length).toBe(7 + 4 + 65_536 + 4 + (70_000 - 65_536) + 4);
  });

  it('reads overlapping matches', () => {
    expect(unpack(...MAGIC, 0x60, 0x40, 0, ...HEAD, ...BLOCK, ...END)).toBe('abcdabcdabcdz');
  });

  it('reads a content size, block checksums and a content checksum', () => {
    const size = [13, 0, 0, 0, 0, 0, 0, 0];
    expect(unpack(...MAGIC, 0x7c, 0x40, ...size, 0, ...HEAD, ...BLOCK, 1, 2, 3, 4, ...END, 5, 6, 7, 8)).toBe(
      'abcdabcdabcdz',
    );
  });

  it('reads matches into the block before if blocks are linked (python-lz4), and only then', () => {
    // A match of 4 at distance 13: the first bytes of the block before.
    const linked = [0x00, 13, 0, 0x10, ...Buffer.from('!')];
    const blocks = [...HEAD, ...BLOCK, linked.length, 0, 0, 0, ...linked];
    expect(unpack(...MAGIC, 0x40, 0x40, 0, ...blocks, ...END)).toBe('abcdabcdabcdzabcd!');
    expect(unpack(...MAGIC, 0x60, 0x40, 0, ...blocks, ...END)).toBe('corrupt');
  });

  it('reads stored blocks, several frames and skippable ones', () => {
    const frame = [...MAGIC, 0x60, 0x40, 0, 3, 0, 0, 0x80, ...Buffer.from('raw'), ...END];
    const skippable = [0x5f, 0x2a, 0x4d, 0x18, 2, 0, 0, 0, 9, 9];
    expect(unpack(...frame, ...skippable, ...frame)).toBe('rawraw');
  });

  it('holds each block to the size that its frame declares', () => {
    const zeros = encodeLz4Frame(new Uint8Array(70_000), () => {
      // One block of 70,000 zeros: a literal 0, then a match of the rest at distance 1.
      const match = 70_000 - 1 - 1 - 4 - 15;
      const bytes = [
        0,
        0,
        0,
        0,
        0x1f,
        0,
        1,
        0,
        ...new Array<number>(Math.floor(match / 255)).fill(255),
        match % 255,
        0x10,
        0,
      ];
      return Uint8Array.from(bytes);
    });
    expect(codecs.decompress(Codec.Lz4, zeros, 10 * MIB)).toBe('corrupt');
  });
});

describe('golden batches of the Java client', () => {
  const BATCH_HEADER_BYTES = 61;
  const vectors = gunzipSync(readFileSync(new URL('../fixtures/batch-vectors.ndjson.gz', import.meta.url)))
    .toString()
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as { name: string; hex: string });

  it.each(vectors)('$name has the CRC that its header says, and a payload that decodes', ({ hex }) => {
    const batch = Buffer.from(hex, 'hex');
    const covered = batch.subarray(21);
    expect(codecs.crc32c(covered)).toBe(batch.readUInt32BE(17));
    const codec = (batch.readInt16BE(21) & 7) as Codec;
    const records = codecs.decompress(codec, batch.subarray(BATCH_HEADER_BYTES), 16 * MIB);
    expect(records).toBeInstanceOf(Uint8Array);
    expect((records as Uint8Array).length).toBeGreaterThan(0);
  });

  it('are of all five codecs', () => {
    const seen = new Set(vectors.map(({ hex }) => Buffer.from(hex, 'hex').readInt16BE(21) & 7));
    expect([...seen].sort()).toEqual([0, 1, 2, 3, 4]);
  });
});

describe('crc32c', () => {
  const fallback = createCrc32c();

  it('gives the check value of the Castagnoli polynomial', () => {
    expect(codecs.crc32c(Buffer.from('123456789'))).toBe(0xe306_9283);
    expect(fallback(Buffer.from('123456789'))).toBe(0xe306_9283);
  });

  it('is the same in the native package and in TypeScript, whole or continued', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), fc.nat(200), (bytes, cut) => {
        const expected = codecs.crc32c(bytes);
        expect(fallback(bytes)).toBe(expected);
        const head = bytes.subarray(0, cut);
        const tail = bytes.subarray(cut);
        expect(fallback(tail, fallback(head))).toBe(expected);
        expect(codecs.crc32c(tail, codecs.crc32c(head))).toBe(expected);
      }),
    );
  });
});

describe('without the native packages', () => {
  const bare = createCodecs((name) => {
    throw new Error(`cannot find ${name}`);
  });
  const bytes = Buffer.from('plain');

  it('snappy and the writing of lz4 are unavailable, all else works', () => {
    expect(bare.compress(Codec.Snappy, bytes)).toBe('unavailable');
    expect(bare.decompress(Codec.Snappy, compress(Codec.Snappy, bytes), 100)).toBe('unavailable');
    expect(bare.compress(Codec.Lz4, bytes)).toBe('unavailable');
    expect(Buffer.from(bare.decompress(Codec.Lz4, compress(Codec.Lz4, bytes), 100) as Uint8Array)).toEqual(bytes);
    expect(bare.decompress(Codec.Zstd, bare.compress(Codec.Zstd, bytes) as Uint8Array, 100)).toEqual(bytes);
    expect(bare.crc32c(bytes)).toBe(codecs.crc32c(bytes));
  });
});
