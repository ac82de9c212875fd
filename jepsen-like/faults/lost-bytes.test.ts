import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect, test } from 'vitest';
import { offset } from '#model/ids';
import { createCodecs } from '#platform/codecs';
import { buildBatch } from '#protocol/record-batch-builder';
import { SimRandom } from '#sim/ports/sim-random';
import type { Cluster } from '../../test/support/cluster/cluster.ts';
import { temporaryFolder } from '../../test/support/temporary-folder.ts';
import type { Scene } from './fault.ts';
import { LOST_BYTES_FAULTS } from './lost-bytes.ts';

/** Strikes a node that has this file alone. */
async function struck(fault: string, file: string, bytes: Uint8Array): Promise<Uint8Array> {
  using folder = temporaryFolder('rot');
  const path = join(folder.path, file);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, bytes);
  const cluster = {
    signal: () => undefined,
    ended: async () => undefined,
    member: () => ({ dataDir: folder.path }),
  } as unknown as Cluster;
  const about = { links: undefined, random: new SimRandom('rot'), topics: ['t'], record: () => undefined };
  await LOST_BYTES_FAULTS.find(({ name }) => name === fault)?.begin({ ...about, cluster } satisfies Scene, 1);
  return readFileSync(path);
}

const batch = buildBatch(
  { baseOffset: offset(0), leaderEpoch: 0, records: [{ timestamp: 0, key: null, value: Buffer.from('value') }] },
  createCodecs(),
);

test('rot-segments changes what a checksum covers, and nothing else', async () => {
  const found = await struck('rot-segments', 't-0/00000000000000000000.log', batch);
  expect(Buffer.compare(found, batch)).not.toBe(0);
  expect(found.length).toBe(batch.length);
  expect([found.subarray(0, 8), found.subarray(12, 16)].map((part) => [...part])).toEqual(
    [batch.subarray(0, 8), batch.subarray(12, 16)].map((part) => [...part]),
  );
});

test('a fault that finds nothing to rot says so', async () => {
  await expect(struck('rot-segments', 't-0/00000000000000000000.log', Buffer.alloc(0))).rejects.toThrow(
    'nothing to rot',
  );
  await expect(struck('rot-segments', 'another-0/00000000000000000000.log', batch)).rejects.toThrow('nothing to rot');
  await expect(struck('rot-indexes', 't-0/00000000000000000000.index', Buffer.alloc(0))).rejects.toThrow(
    'nothing to rot',
  );
});
