import { describe, expect, it } from 'vitest';
import { readLegacyProducePartitions, writeLegacyProduceResponse } from '#protocol/legacy-produce';
import { ProtocolError } from '#protocol/protocol-error';
import { Reader } from '#protocol/reader';
import { Writer } from '#protocol/writer';

/** acks 1, timeout 5000, topic `t` with partition 3 (two bytes of records) and partition 4 (null). */
const REQUEST = '0001000013880000000100017400000002000000030000000201020000 0004ffffffff'.replace(' ', '');

describe('Produce 0 to 2', () => {
  it('tells the partitions that were asked for', () => {
    for (const version of [0, 1, 2]) {
      const reader = new Reader(Buffer.from(REQUEST, 'hex'));
      expect(readLegacyProducePartitions(reader, version)).toEqual([{ name: 't', partitions: [3, 4] }]);
      expect(reader.remaining).toBe(0);
    }
  });

  it('is a ProtocolError at every truncation, and with counts that the bytes can not hold', () => {
    const bytes = Buffer.from(REQUEST, 'hex');
    for (let length = 0; length < bytes.length; length += 1) {
      expect(() => readLegacyProducePartitions(new Reader(bytes.subarray(0, length)), 0)).toThrow(ProtocolError);
    }
    const hostile = Buffer.from(bytes);
    hostile.writeInt32BE(0x7fff_ffff, 6);
    expect(() => readLegacyProducePartitions(new Reader(hostile), 0)).toThrow(ProtocolError);
  });

  it('is answered UNSUPPORTED_VERSION in the layout of its version', () => {
    const answer = (version: number) => {
      const writer = new Writer();
      writeLegacyProduceResponse(writer, [{ name: 't', partitions: [3] }], version);
      return Buffer.concat(writer.chunks()).toString('hex');
    };
    const partition = '00000001000174000000010000000300 23ffffffffffffffff'.replace(' ', '');
    expect(answer(0)).toBe(partition);
    expect(answer(1)).toBe(`${partition}00000000`);
    expect(answer(2)).toBe(`${partition}ffffffffffffffff00000000`);
    expect(() => answer(3)).toThrow(ProtocolError);
  });
});
