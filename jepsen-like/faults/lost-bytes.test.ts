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

/** Strikes a node that has this file alone; gives what it has then, and what comes of it if it has `after` in the end. */
async function struck(
  fault: string,
  file: string,
  bytes: Uint8Array,
  after?: Uint8Array,
): Promise<{ readonly found: Uint8Array; readonly recovered: string }> {
  using folder = temporaryFolder('rot');
  const path = join(folder.path, file);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, bytes);
  const cluster = {
    signal: () => undefined,
    ended: async () => undefined,
    stop: async () => undefined,
    ask: async () => true,
    said: () => '',
    member: () => ({ dataDir: folder.path }),
  } as unknown as Cluster;
  const about = { links: undefined, random: new SimRandom('rot'), topics: ['t'], record: () => undefined };
  const scene: Scene = { ...about, cluster };
  const one = LOST_BYTES_FAULTS.find(({ name }) => name === fault);
  await one?.begin(scene, 1);
  const found = readFileSync(path);
  if (after !== undefined) writeFileSync(path, after);
  const recovered = await one?.recovered?.(scene, 1).then(
    () => 'whole',
    (failure: Error) => failure.message,
  );
  return { found, recovered: recovered ?? 'no such fault' };
}

const batch = buildBatch(
  { baseOffset: offset(0), leaderEpoch: 0, records: [{ timestamp: 0, key: null, value: Buffer.from('value') }] },
  createCodecs(),
);

test('rot-segments changes what a checksum covers, and nothing else', async () => {
  const { found } = await struck('rot-segments', 't-0/00000000000000000000.log', batch);
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

test('a segment that rotted and is as it was when the cluster is whole has not been fetched anew', async () => {
  const file = 't-0/00000000000000000000.log';
  expect((await struck('rot-segments', file, batch)).recovered).toMatch(
    /0\.log is as rotten as it was, with \d bytes more/,
  );
  expect((await struck('rot-segments', file, batch, batch)).recovered).toBe('whole');
  expect((await struck('rot-segments', file, batch, Buffer.alloc(0))).recovered).toBe('whole');
});

test('of the large logs the indexes of one rot, and the snapshots of the other; of all else both', async () => {
  const isRotten = (file: string): Promise<boolean> =>
    struck('rot-indexes', file, batch).then(
      ({ found }) => Buffer.compare(found, batch) !== 0,
      () => false,
    );
  const rotten = await Promise.all(
    ['t-large-0/0.index', 't-large-0/0.snapshot', 't-large-1/0.index', 't-large-1/0.snapshot'].map(isRotten),
  );
  expect(rotten).toEqual([true, false, false, true]);
  const others = ['t-0/0.index', 't-0/0.timeindex', 't-0/0.txnindex', 't-0/0.snapshot', 't-0/0.log'];
  expect(await Promise.all(others.map(isRotten))).toEqual([true, true, true, true, false]);
});

test('a snapshot that nobody has looked at is no trial of it', async () => {
  expect((await struck('rot-indexes', 't-0/0.snapshot', batch)).recovered).toBe('node 1 has looked at no snapshot');
});
