import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  decodeEntry,
  decodeSegmentHeader,
  decodeSnapshot,
  encodeChunkHead,
  encodeEntryHead,
  encodeSegmentHeader,
  encodeSnapshotEnd,
  encodeSnapshotHeader,
  parseSegmentName,
  parseSnapshotName,
  segmentName,
  snapshotName,
} from '#storage/raft-log-format';
import { crc32c, payload } from './raft-log-support.ts';

const hex = (...parts: readonly Uint8Array[]) => Buffer.concat(parts).toString('hex');

/** Written by Odradek 0.1.0; integers are big-endian. */
describe('golden bytes', () => {
  test('of a segment header', () => {
    expect(hex(encodeSegmentHeader(258, crc32c))).toBe('4f44524c000100000000000000000102d4394989');
  });

  test('of an entry', () => {
    const entry = { index: 3, epoch: 2, payload: payload('abc') };
    expect(hex(encodeEntryHead(entry, 1, crc32c), entry.payload)).toBe(
      'b0a5f253000000170000000000000003000000020000000000000001616263',
    );
  });

  test('of a snapshot', () => {
    const chunk = payload('abc');
    const bytes = [
      encodeSnapshotHeader(3, 2, crc32c),
      encodeChunkHead(chunk, crc32c),
      chunk,
      encodeSnapshotEnd(1, crc32c),
    ];
    expect(hex(...bytes)).toBe(
      '4f44534e0001000000000000000000030000000237b896eb8f337f99000000036162637e4331890000000000000001',
    );
  });
});

describe('names', () => {
  test('of segments and snapshots sort as their indexes do', () => {
    expect(segmentName(258)).toBe('00000000000000000258.raft');
    expect(snapshotName(258, 7)).toBe('00000000000000000258-0000000007.snapshot');
    expect([parseSegmentName(segmentName(258)), parseSnapshotName(snapshotName(258, 7))]).toEqual([
      258,
      { index: 258, epoch: 7 },
    ]);
  });

  test.each(['1.raft', '00000000000000000258.log', `${segmentName(1)}.new`, 'quorum-state'])(
    '%s is none of them',
    (name) => {
      expect([parseSegmentName(name), parseSnapshotName(name)]).toEqual([undefined, undefined]);
    },
  );
});

const anyEntry = fc.record({
  index: fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }),
  epoch: fc.integer({ min: 0, max: 0x7fff_ffff }),
  payload: fc.uint8Array({ maxLength: 200 }),
});

describe('an entry', () => {
  test('is read as it was written, wherever it stands', () => {
    fc.assert(
      fc.property(anyEntry, fc.nat(), fc.nat(20), (entry, durable, at) => {
        const bytes = Buffer.concat([
          new Uint8Array(at),
          encodeEntryHead(entry, durable, crc32c),
          entry.payload,
          new Uint8Array(5),
        ]);
        const decoded = decodeEntry(bytes, at, crc32c);
        expect(decoded).toEqual({
          entry: { ...entry, payload: Buffer.from(entry.payload) },
          durable,
          sizeBytes: 28 + entry.payload.length,
        });
      }),
    );
  });

  test('is none with any byte changed or cut off', () => {
    fc.assert(
      fc.property(anyEntry, fc.nat(), fc.integer({ min: 1, max: 255 }), (entry, where, flip) => {
        const bytes = Buffer.concat([encodeEntryHead(entry, 0, crc32c), entry.payload]);
        const at = where % bytes.length;
        expect(decodeEntry(bytes.subarray(0, at), 0, crc32c)).toBeUndefined();
        bytes[at] = (bytes[at] ?? 0) ^ flip;
        expect(decodeEntry(bytes, 0, crc32c)).toBeUndefined();
      }),
    );
  });
});

describe('headers', () => {
  test('of a later version are refused by it', () => {
    const segment = encodeSegmentHeader(1, crc32c);
    segment[5] = 2;
    new DataView(segment.buffer).setUint32(16, crc32c(segment.subarray(0, 16)));
    expect(decodeSegmentHeader(segment, crc32c)).toBe('version 2 is not known to this release');
    const snapshot = Uint8Array.from([...encodeSnapshotHeader(1, 1, crc32c), ...encodeSnapshotEnd(0, crc32c)]);
    snapshot[5] = 2;
    new DataView(snapshot.buffer).setUint32(20, crc32c(snapshot.subarray(0, 20)));
    expect(decodeSnapshot(snapshot, crc32c)).toBe('version 2 is not known to this release');
  });

  test.each([
    [new Uint8Array(3), 'the header is cut off'],
    [new Uint8Array(40), 'the magic number is wrong'],
  ])('that are none are refused', (bytes, reason) => {
    expect(decodeSegmentHeader(bytes, crc32c)).toBe(reason);
    expect(decodeSnapshot(bytes, crc32c)).toBe(reason);
  });
});
