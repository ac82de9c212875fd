import fc from 'fast-check';
import { Packr } from 'msgpackr/pack';
import { describe, expect, it } from 'vitest';
import { decodePeerData, PeerDataEncoder } from '#runtime/peer-data';

const encoder = new PeerDataEncoder();

function encode(value: unknown): Uint8Array {
  const bytes = encoder.encode(value, 1 << 24);
  if (bytes === undefined) throw new Error('too large');
  return bytes;
}

const { data } = fc.letrec((tie) => ({
  data: fc.oneof(
    { maxDepth: 4 },
    fc.constantFrom(null, undefined, true, false),
    fc.integer(),
    fc.maxSafeInteger(),
    fc.double(),
    fc.string({ unit: 'binary', maxLength: 300 }),
    fc.uint8Array({ maxLength: 300 }),
    fc.array(tie('data'), { maxLength: 20 }),
    fc.dictionary(fc.string({ maxLength: 10 }), tie('data'), { noNullPrototype: true }),
    fc.array(fc.tuple(fc.oneof(fc.string(), fc.integer()), tie('data'))).map((entries) => new Map(entries)),
  ),
}));

describe('plain data', () => {
  it('comes out as it went in: objects, maps, bytes, numbers, null and undefined', () => {
    fc.assert(
      fc.property(data, (value) => {
        expect(decodePeerData(encode(value))).toStrictEqual({ value });
      }),
    );
  });

  it.each([0x1f, 0x20, 0xff, 0x100, 0xffff, 0x1_0000])('keeps its lengths at %i', (length) => {
    const keys = Array.from({ length: Math.min(length, 70_000) }, (_, index) => index);
    for (const value of [
      'x'.repeat(length),
      new Uint8Array(length).fill(7),
      keys,
      Object.fromEntries(keys.map((key) => [`k${key}`, key])),
      new Map(keys.map((key) => [key, null])),
    ]) {
      expect(decodePeerData(encode(value))).toStrictEqual({ value });
    }
  });

  it('is MessagePack that msgpackr reads, but for maps', () => {
    const value = { a: [1, -1, -33, 300, 70_000, -70_000, 2 ** 40, 1.5, null, true], b: 'ü', c: Uint8Array.of(1, 2) };
    const packr = new Packr({ useRecords: false, int64AsType: 'number' });
    expect(packr.unpack(encode(value))).toEqual(value);
  });

  it('has these bytes', () => {
    const value = [1, 'createTopics', { name: 't', partitions: 3 }, new Map([[7, Uint8Array.of(1)]]), null, undefined];
    expect(Buffer.from(encode(value)).toString('hex')).toBe(
      '9601ac637265617465546f7069637382a46e616d65a174aa706172746974696f6e7303c90000000401' + '07c40101c0d40000',
    );
  });

  it('gives no view of the bytes that it was read from', () => {
    const bytes = encode([Uint8Array.of(1, 2, 3)]);
    const decoded = decodePeerData(bytes);
    bytes.fill(0);
    expect(decoded).toEqual({ value: [Uint8Array.of(1, 2, 3)] });
  });

  it('carries a key that would change what an object is', () => {
    const value = JSON.parse('{"__proto__": 1}');
    const decoded = decodePeerData(encode(value));
    const object = ('value' in decoded ? decoded.value : null) as object;
    expect(Object.keys(object)).toEqual(['__proto__']);
    expect(Object.getPrototypeOf(object)).toBe(Object.prototype);
  });

  it('is not coded beyond a limit, and the next is coded as if nothing had been', () => {
    expect(encoder.encode(['x'.repeat(1000), new Map([[1, 'y'.repeat(1000)]])], 1500)).toBeUndefined();
    expect(encoder.encode([1], 1500)).toEqual(Uint8Array.of(0x91, 1));
  });

  it.each([
    ['a date', new Date(0)],
    ['a set', new Set()],
    ['a bigint', 1n],
    ['a function', () => 1],
    ['a cycle', cycle()],
  ])('is not %s', (_, value) => {
    expect(() => encode([value])).toThrow(/plain data/);
  });

  it.each([
    ['nothing', ''],
    ['a cut string', 'a361'],
    ['an array that announces what cannot come', 'ddffffffff'],
    ['an object that announces what cannot come', 'dfffffffff'],
    ['bytes that announce what cannot come', 'c6ffffffff00'],
    ['a map that announces what cannot come', 'c9ffffffff01'],
    ['a map whose last value goes beyond it', 'c90000000201' + '01a161'],
    ['something behind the value', 'c0c0'],
    ['an object with a number for a key', '810102'],
    ['an extension', 'd40500'],
    ['a timestamp', 'd6ff00000000'],
    ['a 64-bit integer', 'cf0000000000000001'],
    ['what is nested too deeply', `${'91'.repeat(40)}c0`],
  ])('is refused for %s', (_, hex) => {
    expect(decodePeerData(Buffer.from(hex, 'hex'))).toEqual({ error: expect.any(String) });
  });

  it('is refused when it has more values than are sensible', () => {
    const many = Buffer.concat([Uint8Array.of(0xdd, 0, 0x10, 0, 0), new Uint8Array(0x10_0000).fill(0x90)]);
    expect(decodePeerData(many)).toEqual({ error: 'the data has too many values' });
  });

  it('never throws, whatever the bytes, cut or changed', () => {
    fc.assert(
      fc.property(
        data,
        fc.array(fc.tuple(fc.nat(), fc.integer({ min: 0, max: 255 })), { maxLength: 4 }),
        fc.nat(),
        (value, changes, cut) => {
          const bytes = encode([value]);
          for (const [at, byte] of changes) bytes[at % bytes.length] = byte;
          decodePeerData(bytes);
          decodePeerData(bytes.subarray(0, cut % bytes.length));
        },
      ),
    );
    fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => void decodePeerData(bytes)));
  });
});

function cycle(): unknown {
  const self: unknown[] = [];
  self.push(self);
  return self;
}
