import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { readEndMarker } from '#log/end-marker';
import { type BatchHeader, readBatchHeader } from '#protocol/record-batch';
import { markerBatch, plainBatch } from './support.ts';

function headerIn(bytes: Uint8Array, from = 0): BatchHeader {
  const header = readBatchHeader(bytes, from);
  if (typeof header === 'string') throw new Error(header);
  return header;
}

describe('KIP-98: transaction markers', () => {
  test("tell whether the transaction was aborted, and the coordinator's epoch", () => {
    const abort = markerBatch(0, 7, 1, 0, 12);
    expect(readEndMarker(abort, headerIn(abort))).toEqual({ aborted: true, coordinatorEpoch: 12 });
    const commit = markerBatch(0, 7, 1, 1, 0x7fff_ffff);
    expect(readEndMarker(commit, headerIn(commit))).toEqual({ aborted: false, coordinatorEpoch: 0x7fff_ffff });
  });

  test('are found wherever the batch lies in its buffer', () => {
    const bytes = Buffer.concat([plainBatch(0, 3), markerBatch(3, 7, 1, 0, 5)]);
    const first = headerIn(bytes);
    expect(readEndMarker(bytes, first)).toBeUndefined();
    expect(readEndMarker(bytes, headerIn(bytes, first.sizeBytes))).toEqual({ aborted: true, coordinatorEpoch: 5 });
  });

  test('are not other control records, nor what makes no sense', () => {
    const leaderChange = markerBatch(0, 7, 1, 2, 0);
    expect(readEndMarker(leaderChange, headerIn(leaderChange))).toBeUndefined();
    const whole = markerBatch(0, 7, 1, 0, 0);
    const header = headerIn(whole);
    for (let at = 61; at < whole.length; at += 1) {
      for (const byte of [0, 1, 0x7f, 0x80, 0xff]) {
        const bytes = Uint8Array.from(whole);
        bytes[at] = byte;
        expect([undefined, 'object']).toContain(readEndMarker(bytes, header) && 'object');
      }
    }
  });

  test('as the Java client writes them are read', () => {
    const file = new URL('../fixtures/batch-vectors.ndjson.gz', import.meta.url);
    const vectors = gunzipSync(readFileSync(file)).toString().trimEnd().split('\n');
    const markers = vectors.flatMap((line) => {
      const bytes = Buffer.from((JSON.parse(line) as { hex: string }).hex, 'hex');
      const marker = readEndMarker(bytes, headerIn(bytes));
      return marker === undefined ? [] : [marker];
    });
    expect(markers.length).toBeGreaterThan(0);
    expect(new Set(markers.map(({ aborted }) => aborted))).toEqual(new Set([true, false]));
  });
});
