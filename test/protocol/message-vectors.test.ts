import { describe, expect, it } from 'vitest';
import { decodeMessage, encodeMessage } from '#protocol/codec';
import { codecs } from '#protocol/generated/codecs';
import { bytesOf, type MessageVector, messageVectors } from './fixtures.ts';

const byName = Map.groupBy(messageVectors(), (vector) => vector.name);

describe('messages of the Kafka 4.3.1 Java client', () => {
  it('are 3,750, of every message and version of its clients module', () => {
    const seen = new Set([...byName.values()].flat().map((vector) => `${vector.name} ${vector.version}`));
    expect([...byName.values()].flat()).toHaveLength(3750);
    for (const name of byName.keys()) {
      const codec = codecs.get(name);
      for (let version = codec?.minVersion ?? 0; version <= (codec?.maxVersion ?? -1); version += 1) {
        expect(seen).toContain(`${name} ${version}`);
      }
    }
  });

  for (const [name, vectors] of byName) {
    it(`${name} decodes to its json and encodes to its bytes`, () => {
      for (const vector of vectors) check(vector);
    });
  }
});

function check({ name, version, hex, json }: MessageVector): void {
  const decoded = decodeMessage(name, version, bytesOf(hex));
  expect(decoded, `${name} ${version}`).toEqual(json);
  const through: unknown = JSON.parse(JSON.stringify(decoded));
  expect(Buffer.from(encodeMessage(name, version, through)).toString('hex'), `${name} ${version}`).toBe(hex);
}
