import { describe, expect, test } from 'vitest';
import type { Disk } from '#base/ports';
import { offset } from '#model/ids';
import { openToRead, readWhole, writeAt } from '#storage/files';
import { Journal } from '#storage/journal';
import type { PartitionLog } from '#storage/partition-log';
import { COMPACT, committing, prepared, put, words } from './compaction-support.ts';
import { appended, batch, codecs, Harness, withoutRoom } from './support.ts';

const LOGS = 30;

async function logs(harness: Harness): Promise<PartitionLog[]> {
  const made: PartitionLog[] = [];
  for (let index = 0; index < LOGS; index += 1) made.push(await harness.create('t', index));
  return made;
}

/** Everything is durable, most of it in the journal only. */
async function journaled(harness: Harness): Promise<{ syncs: number; logs: readonly PartitionLog[] }> {
  const all = await logs(harness);
  for (const log of all) appended(log, batch());
  await harness.settle();
  let syncs = 0;
  harness.strike = (operation, path) => {
    if (operation === 'sync' && path.endsWith('.log')) syncs += 1;
    return undefined;
  };
  for (const log of all) appended(log, batch());
  await harness.settle();
  harness.strike = undefined;
  return { syncs, logs: all };
}

describe('the commit journal', () => {
  test('makes a round of many logs durable without syncing each', async () => {
    const harness = await Harness.open();
    const { syncs, logs: all } = await journaled(harness);
    expect(all.every(({ durableOffset }) => durableOffset === 2)).toBe(true);
    expect(syncs).toBeLessThan(LOGS / 2);
  });

  test('gives back after a power cut what was only there', async () => {
    const harness = await Harness.open();
    await journaled(harness);
    await harness.crash();
    expect([...harness.store.logs()].map(({ logEndOffset }) => logEndOffset)).toEqual(new Array(LOGS).fill(2));
    expect(harness.lines.some(({ message }) => message.includes('journal was replayed'))).toBe(true);
  });

  test('is emptied by checkpoints: recovery points pass what is in the files, and nothing is replayed', async () => {
    const harness = await Harness.open();
    const { logs: all } = await journaled(harness);
    expect(all.some(({ recoveryPoint }) => recoveryPoint < 2)).toBe(true);
    await harness.settle(11_000);
    expect(all.every(({ recoveryPoint }) => recoveryPoint === 2)).toBe(true);
    await harness.crash();
    expect([...harness.store.logs()].map(({ logEndOffset }) => logEndOffset)).toEqual(new Array(LOGS).fill(2));
    expect(harness.lines.some(({ message }) => message.includes('journal was replayed'))).toBe(false);
  });

  test('leaves no file open when there is no room to make it: it is tried again whenever many logs wait', async () => {
    const { disk, openCount } = withoutRoom();
    const journal = new Journal(disk, codecs, { fileBytes: 1, generation: 0, onFailure: () => expect.unreachable() });
    for (let tries = 0; tries < 3; tries += 1) {
      journal.prepare();
      for (let turns = 0; turns < 20; turns += 1) await undefined;
    }
    await journal.close();
    expect([journal.isReady, openCount()]).toEqual([false, 0]);
  });

  test('is not made where few logs are at work', async () => {
    const harness = await Harness.open();
    for (let index = 0; index < 4; index += 1) {
      const log = await harness.create('t', index);
      for (let round = 0; round < 10; round += 1) appended(log, batch());
    }
    await harness.settle(11_000);
    const names = await harness.world.complete((harness.faults[0] as Disk).list(''));
    expect(names.filter((name) => name.includes('journal'))).toEqual([]);
  });

  test.each([
    ['the bytes', 100],
    ['the header', 2],
    ['the sizes', 29],
  ])(
    'with damage to %s of one of its records takes the directory offline: what follows was acknowledged',
    async (_part, place) => {
      const harness = await Harness.open({ disks: 2 });
      const all = await logs(harness);
      for (let round = 0; round < 3; round += 1) {
        for (const log of all) appended(log, batch());
        await harness.settle();
      }
      await harness.crash();
      harness.world.kill('node');
      await harness.world.complete(Promise.all(harness.faults.map((fault) => fault.close())));
      const disk = harness.disks[1] as Disk;
      await harness.world.complete(restoreAndDamage(disk, place));
      await harness.start();
      expect(harness.store.offlineDirectoryCount).toBe(1);
      expect(
        harness.lines.some(({ fields }) => JSON.stringify(fields).includes('is damaged, and records follow it')),
      ).toBe(true);
    },
  );
});

/** A log whose first segment lies in the journal and is synced, in a directory that fails when the journal is to let it go. */
async function heldByFailingJournal(): Promise<{ harness: Harness; log: PartitionLog; changes: string[] }> {
  const harness = await Harness.open();
  const [log, ...others] = await logs(harness);
  if (log === undefined) return expect.unreachable();
  log.updateConfig({ ...log.config, ...COMPACT });
  committing(log);
  for (const word of ['a=1 b=1', 'a=2 b=2', 'c=3']) {
    put(log, word);
    for (const other of others) appended(other, batch());
    await harness.settle();
  }
  const changes: string[] = [];
  harness.strike = (operation, path) => {
    if (operation === 'sync' && /^t-[1-9]\d*\//.test(path) && path.endsWith('.log'))
      return { delayMs: 30_000, fail: 'EIO' };
    if ((operation === 'rename' || operation === 'remove') && /^t-0\/.*\.log/.test(path))
      changes.push(`${operation} ${path}`);
    return undefined;
  };
  log.roll();
  await harness.settle(11_000);
  expect(log.recoveryPoint).toBe(5);
  return { harness, log, changes };
}

describe('a log that the journal could not let go, because the directory has failed', () => {
  test('is not compacted: its old bytes would be replayed into the new segment', async () => {
    const { harness, log, changes } = await heldByFailingJournal();
    const run = await prepared(harness, log);
    void run?.();
    await harness.settle(60_000);
    expect(harness.store.offlineDirectoryCount).toBe(1);
    expect(changes).toEqual(['remove t-0/00000000000000000000.log.cleaned']);
    harness.strike = undefined;
    const again = (await harness.crash()).get('t', 0) as PartitionLog;
    expect(harness.lines.some(({ message }) => message.includes('journal was replayed'))).toBe(true);
    expect(await words(harness, again)).toBe('0:a=1 1:b=1 2:a=2 3:b=2 4:c=3');
  });

  test('is not cut: its recovery point cannot be taken back', async () => {
    const { harness, log, changes } = await heldByFailingJournal();
    let isCut = false;
    log.truncateTo(offset(2), () => {
      isCut = true;
    });
    await harness.settle(60_000);
    expect(harness.store.offlineDirectoryCount).toBe(1);
    expect([isCut, changes]).toEqual([false, []]);
    harness.strike = undefined;
    const again = (await harness.crash()).get('t', 0);
    expect(harness.store.quarantined).toEqual([]);
    expect(again?.logEndOffset).toBe(5);
  });
});

/** The start has emptied the journal by a new header: puts the old one's records in force again, and breaks the first. */
async function restoreAndDamage(disk: Disk, place: number): Promise<void> {
  for (const name of ['commit-journal-a', 'commit-journal-b']) {
    const bytes = await readWhole(disk, name);
    const file = await openToRead(disk, name);
    await file?.close();
    if (bytes === undefined || bytes.length < 2 * 4096 + 32) continue;
    const { encodeFileHeader } = await import('#storage/journal-format');
    const { codecs } = await import('./support.ts');
    const generation = Number(new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(4096 + 8));
    bytes.set(encodeFileHeader(generation, (part, seed) => codecs.crc32c(part, seed)));
    bytes[4096 + place] = (bytes[4096 + place] as number) ^ 1;
    const target = await disk.open(name, 'write');
    await writeAt(target, [bytes], 0);
    await target.close();
  }
}
