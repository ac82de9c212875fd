import { describe, expect, it } from 'vitest';
import { RECOVERY_POINT_CHECKPOINT } from '#log/file-names';
import { createCodecs } from '#platform/codecs';
import { buildBatch } from '#protocol/record-batch-builder';
import { BitRot } from '#sim/bit-rot';
import { PartitionImage } from '#sim/checkers/partition-image';
import { SimRandom } from '#sim/ports/sim-random';
import { SimWorld } from '#sim/ports/sim-world';
import { write } from '../platform/disk-contract.ts';

const codecs = createCodecs();
const SEGMENT = 't-0/00000000000000000000.log';

/** A disk with a log of three batches of one record, of which two are below the recovery point; and what has been damaged. */
async function rotten() {
  const world = new SimWorld({ seed: 1, codecs });
  const disk = world.disk('n1');
  const batches = [0, 1, 2].map((baseOffset) =>
    buildBatch(
      { baseOffset, leaderEpoch: 0, records: [{ timestamp: 1, key: null, value: Buffer.from(`v${baseOffset}`) }] },
      codecs,
    ),
  );
  const put = async (path: string, bytes: Uint8Array): Promise<void> => {
    const file = await world.complete(disk.open(path, 'write'));
    await world.complete(write(file, Buffer.from(bytes).toString('latin1'), 0));
    await world.complete(file.close());
  };
  await world.complete(disk.makeDir('t-0'));
  const whole = Buffer.concat(batches);
  await put(RECOVERY_POINT_CHECKPOINT, Buffer.from('0\n1\nt 0 2\n'));
  const segment = await world.complete(disk.open(SEGMENT, 'write'));
  const restore = (): Promise<void> =>
    world.complete(
      new Promise((resolve, reject) => segment.write([whole], 0, (failure) => (failure ? reject(failure) : resolve()))),
    );
  await restore();
  const rot = new BitRot();
  const random = new SimRandom('rot');
  let where: string | undefined;
  while (where === undefined) where = rot.strike(random, disk, 't', 0);
  const synced = (batches[0]?.length ?? 0) + (batches[1]?.length ?? 0);
  return { rot, random, disk, where, whole, restore, synced };
}

describe('bit rot', () => {
  it('changes a byte of what was synced, and says of which partition', async () => {
    const { rot, disk, where, whole, synced } = await rotten();
    const at = Number(where.slice(where.lastIndexOf(' ')));
    const found = disk.peek(SEGMENT) ?? new Uint8Array(0);
    const changed = [...whole.keys()].filter((place) => whole[place] !== found[place]);
    expect(changed).toEqual([at]);
    expect(at).toBeLessThan(synced);
    expect([rot.isRotten(disk, 't', 0), rot.isRotten(disk, 't', 1)]).toEqual([true, false]);
  });

  it('is told by a checksum, wherever it strikes below the recovery point', async () => {
    const { rot, random, disk, restore, synced } = await rotten();
    const struck = new Set<number>();
    for (let strike = 0; strike < 1000; strike += 1) {
      await restore();
      const where = rot.strike(random, disk, 't', 0);
      if (where === undefined) continue;
      const at = Number(where.slice(where.lastIndexOf(' ')));
      struck.add(at);
      const image = new PartitionImage(disk, codecs.crc32c, 't', 0);
      image.look(() => {});
      expect(image.endOffset, where).toBeLessThan(2);
    }
    expect(Math.max(...struck)).toBeLessThan(synced);
    expect(struck.size).toBeGreaterThan(50);
  });

  it('is repaired when the damage is gone and the records are back, and not before', async () => {
    const { rot, disk, restore } = await rotten();
    expect(rot.isRepaired(() => 3)).toBe(false);
    await restore();
    expect(rot.isRotten(disk, 't', 0)).toBe(false);
    expect([rot.isRepaired(() => 0), rot.isRepaired(() => undefined), rot.isRepaired(() => 3)]).toEqual([
      false,
      false,
      true,
    ]);
  });

  it('is not repaired by an empty disk', async () => {
    const { rot, disk } = await rotten();
    disk.wipe();
    rot.wiped(disk);
    expect([rot.isRotten(disk, 't', 0), rot.isRepaired(() => 3)]).toEqual([false, false]);
  });
});
