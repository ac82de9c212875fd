import fc from 'fast-check';
import { describe, expect, it, vi } from 'vitest';
import { decodeMessage, encodeMessage } from '#protocol/codec';
import { codecs } from '#protocol/generated/codecs';
import { ProtocolError } from '#protocol/protocol-error';
import { canonicalJson, messageArbitrary } from './arbitrary-message.ts';
import { bytesOf, messageVectors } from './fixtures.ts';

// Seconds of pure computing: a machine that is busy otherwise may take many times as long.
vi.setConfig({ testTimeout: 60_000 });

/** What decoding gives, or the error that it is meant to give. */
function decodeOrRefuse(name: string, version: number, bytes: Uint8Array): unknown {
  try {
    return decodeMessage(name, version, bytes);
  } catch (error) {
    if (error instanceof ProtocolError) return error;
    throw error;
  }
}

/** A reader takes tags in any order, a writer in theirs only. */
function encodeOrRefuse(name: string, version: number, value: unknown): Uint8Array | ProtocolError {
  try {
    return encodeMessage(name, version, value);
  } catch (error) {
    if (error instanceof ProtocolError) return error;
    throw error;
  }
}

const versions = [...codecs].flatMap(([name, codec]) =>
  Array.from({ length: codec.maxVersion - codec.minVersion + 1 }, (_, i) => ({
    name,
    codec,
    version: codec.minVersion + i,
  })),
);

describe('every message in every version', () => {
  it('decodes to what was encoded, records of the coordinators and the controller included', () => {
    for (const { name, codec, version } of versions) {
      fc.assert(
        fc.property(messageArbitrary(codec.shape, version), (json) => {
          const given = JSON.parse(JSON.stringify(json)) as Record<string, unknown>;
          const bytes = encodeMessage(name, version, given);
          const decoded = decodeMessage(name, version, bytes);
          expect(decoded).toEqual(canonicalJson(codec.shape, given));
          expect(encodeMessage(name, version, JSON.parse(JSON.stringify(decoded)))).toEqual(bytes);
        }),
        { numRuns: 10 },
      );
    }
  });

  it('refuses the versions around its own', () => {
    for (const [name, { minVersion, maxVersion }] of codecs) {
      for (const version of [minVersion - 1, maxVersion + 1, Number.NaN]) {
        expect(decodeOrRefuse(name, version, new Uint8Array(100))).toMatchObject({ code: 'unsupported-version' });
        expect(() => encodeMessage(name, version, {})).toThrow(ProtocolError);
      }
    }
  });
});

describe('a message that is not whole', () => {
  it('is an error at every truncation', () => {
    const seen = new Set<string>();
    for (const { name, version, hex } of messageVectors()) {
      const bytes = bytesOf(hex);
      if (seen.has(`${name} ${version}`) || bytes.length > 400) continue;
      seen.add(`${name} ${version}`);
      for (let length = 0; length < bytes.length; length += 1) {
        expect(decodeOrRefuse(name, version, bytes.subarray(0, length))).toBeInstanceOf(ProtocolError);
      }
    }
    expect(seen.size).toBeGreaterThan(600);
  });

  it('is an error with a byte too many', () => {
    for (const { name, version, hex } of messageVectors()) {
      expect(decodeOrRefuse(name, version, bytesOf(`${hex}00`))).toMatchObject({ code: 'trailing' });
    }
  });

  it('gives a value or an error, whatever bytes are changed', () => {
    const vectors = messageVectors().filter((vector) => vector.hex.length > 0);
    const change = fc.tuple(fc.nat(), fc.oneof(fc.constantFrom(0, 0x7f, 0x80, 0xff), fc.nat(255)));
    fc.assert(
      fc.property(fc.constantFrom(...vectors), fc.array(change, { minLength: 1, maxLength: 6 }), (vector, changes) => {
        const bytes = bytesOf(vector.hex);
        for (const [at, byte] of changes) bytes[at % bytes.length] = byte;
        const decoded = decodeOrRefuse(vector.name, vector.version, bytes);
        if (decoded instanceof ProtocolError) return;
        // Not to the same bytes always: varints, booleans and invalid UTF-8 have several forms.
        const again = encodeOrRefuse(vector.name, vector.version, decoded);
        if (!(again instanceof ProtocolError))
          expect(decodeMessage(vector.name, vector.version, again)).toEqual(decoded);
      }),
      { numRuns: 20_000 },
    );
  });
});
