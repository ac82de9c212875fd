import type { Random } from '#base/ports';
import type { GroupConfig } from '#coordinator/group-config';

/** Kafka's defaults, but no initial delay. */
export function testConfig(overrides: Partial<GroupConfig> = {}): GroupConfig {
  return {
    sessionTimeoutMsMin: 6_000,
    sessionTimeoutMsMax: 1_800_000,
    groupSizeMax: 2_147_483_647,
    initialRebalanceDelayMs: 0,
    offsetMetadataSizeMax: 4_096,
    offsetsRetentionMs: 7 * 24 * 3_600_000,
    offsetsRetentionCheckIntervalMs: 600_000,
    ...overrides,
  };
}

/** Its secrets count 1, 2, 3, …, in the last bytes. */
export function countingRandom(): Random {
  let count = 0;
  const random: Random = {
    uint32: () => 0,
    fork: () => random,
    secret(into) {
      count += 1;
      into.fill(0);
      new DataView(into.buffer, into.byteOffset, into.byteLength).setUint32(into.byteLength - 4, count);
    },
  };
  return random;
}

/** A consumer's subscription metadata, version 0. */
export function subscription(topics: readonly string[]): Uint8Array {
  const parts: Buffer[] = [Buffer.from([0, 0]), int32(topics.length)];
  for (const topic of topics) {
    const name = Buffer.from(topic);
    const length = Buffer.alloc(2);
    length.writeInt16BE(name.length);
    parts.push(length, name);
  }
  parts.push(int32(-1));
  return Buffer.concat(parts);
}

function int32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32BE(value);
  return bytes;
}
