import { describe, expect, it } from 'vitest';
import { ApiKey, apis } from '#protocol/generated/apis';
import {
  readRequestHeader,
  readResponseHeader,
  responseHeaderVersion,
  writeRequestHeader,
  writeResponseHeader,
} from '#protocol/headers';
import { Reader } from '#protocol/reader';
import { Writer } from '#protocol/writer';

function written(write: (writer: Writer) => void): Uint8Array {
  const writer = new Writer();
  write(writer);
  return Buffer.concat(writer.chunks());
}

describe('request headers', () => {
  it('are version 1 before and 2 from the first flexible version on, for every API', () => {
    for (const api of apis) {
      for (let apiVersion = api.minVersion; apiVersion <= api.maxVersion; apiVersion += 1) {
        const header = { apiKey: api.key, apiVersion, correlationId: -7, clientId: 'client' };
        const bytes = written((writer) => writeRequestHeader(writer, header));
        const headerVersion = apiVersion >= api.flexibleFrom ? 2 : 1;
        expect(bytes.length).toBe(headerVersion === 2 ? 17 : 16);
        const reader = new Reader(bytes);
        expect(readRequestHeader(reader)).toEqual({ ...header, headerVersion });
        expect(reader.remaining).toBe(0);
      }
    }
  });

  it('take a null client id and unknown tagged fields', () => {
    const bytes = Buffer.from('0003000c00000001ffff01070201020a0b', 'hex');
    const reader = new Reader(bytes);
    expect(readRequestHeader(reader)).toMatchObject({ apiKey: 3, apiVersion: 12, clientId: null, headerVersion: 2 });
    expect(reader.remaining).toBe(2);
  });

  it('of unknown APIs and versions tell key, version and correlation id, whatever follows', () => {
    for (const hex of ['03e7000000000005', '00120063000000050001ff', '0003006400000005ffff']) {
      const header = readRequestHeader(new Reader(Buffer.from(hex, 'hex')));
      expect(header).toMatchObject({ correlationId: 5, clientId: null });
    }
  });

  it('of Produce 0 to 2 are version 1', () => {
    for (const apiVersion of [0, 1, 2]) {
      const header = { apiKey: ApiKey.Produce, apiVersion, correlationId: 1, clientId: 'c' };
      const bytes = written((writer) => writeRequestHeader(writer, header));
      expect(readRequestHeader(new Reader(bytes))).toEqual({ ...header, headerVersion: 1 });
    }
  });
});

describe('response headers', () => {
  it('are version 1 in flexible versions, but always 0 for ApiVersions (KIP-511)', () => {
    for (const { key, minVersion, maxVersion, flexibleFrom } of apis) {
      for (let version = minVersion; version <= maxVersion; version += 1) {
        const expected = version >= flexibleFrom && key !== ApiKey.ApiVersions ? 1 : 0;
        expect(responseHeaderVersion(key, version)).toBe(expected);
        const bytes = written((writer) => writeResponseHeader(writer, key, version, 9));
        expect(bytes.length).toBe(expected === 1 ? 5 : 4);
        const reader = new Reader(bytes);
        expect(readResponseHeader(reader, key, version)).toEqual({ correlationId: 9 });
        expect(reader.remaining).toBe(0);
      }
    }
    expect(responseHeaderVersion(ApiKey.ApiVersions, 99)).toBe(0);
  });
});
