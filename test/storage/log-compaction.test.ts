import { describe, expect, test } from 'vitest';
import { Codec, type Disk } from '#base/ports';
import { offset } from '#model/ids';
import type { PartitionLog } from '#storage/partition-log';
import { batchesOf, COMPACT, clean, committedRecords, committing, prepared, put, words } from './compaction-support.ts';
import { appended, batch, Harness } from './support.ts';

async function opened(config = {}): Promise<{ harness: Harness; log: PartitionLog }> {
  const harness = await Harness.open();
  const log = await harness.create('t', 0, { ...COMPACT, ...config });
  committing(log);
  return { harness, log };
}

function names(harness: Harness): Promise<readonly string[]> {
  return harness.world.complete((harness.faults[0] as Disk).list('t-0'));
}

describe('a compacted log', () => {
  test('keeps the last value of each key at its offset, and everything in the active segment', async () => {
    const { harness, log } = await opened();
    put(log, 'a=1 b=1 a=2');
    put(log, 'b=2 c=1');
    await clean(harness, log);
    put(log, 'a=3 a=4');
    await harness.settle();
    expect(await words(harness, log)).toBe('2:a=2 3:b=2 4:c=1 5:a=3 6:a=4');
    expect([log.logStartOffset, log.logEndOffset, log.compaction.cleanedOffset]).toEqual([0, 7, 5]);
    await clean(harness, log);
    expect(await words(harness, log)).toBe('3:b=2 4:c=1 6:a=4');
  });

  test('reads from within a gap give the next batch; each kept batch keeps its offsets', async () => {
    const { harness, log } = await opened();
    for (let round = 0; round < 10; round += 1) put(log, `a=${round}`);
    put(log, 'b=1');
    await clean(harness, log);
    expect((await batchesOf(harness, log, 3)).map(({ base, last }) => [base, last])).toEqual([
      [9, 9],
      [10, 10],
    ]);
  });

  test('ends each segment where it ended, with an emptied batch if nothing else is left', async () => {
    const { harness, log } = await opened();
    put(log, 'a=1');
    put(log, 'b=1 a=2');
    await clean(harness, log);
    put(log, 'a=3 b=3');
    await clean(harness, log);
    expect(await words(harness, log)).toBe('3:a=3 4:b=3');
    const restarted = (await harness.crash()).get('t', 0) as PartitionLog;
    expect([restarted.logStartOffset, restarted.logEndOffset]).toEqual([0, 5]);
    expect(await words(harness, restarted)).toBe('3:a=3 4:b=3');
    expect(harness.store.quarantined).toEqual([]);
  });

  test('merges segments that together fit one, and tells so in its checkpoint', async () => {
    const { harness, log } = await opened();
    for (let round = 0; round < 5; round += 1) {
      put(log, `a=${round} k${round}=1`);
      log.roll();
    }
    await clean(harness, log);
    await harness.settle(6000);
    expect((await names(harness)).filter((name) => /log|index/.test(name))).toEqual([
      '00000000000000000000.index',
      '00000000000000000000.log',
      '00000000000000000000.timeindex',
    ]);
    await harness.restart();
    const again = harness.store.get('t', 0) as PartitionLog;
    expect(again.compaction.cleanedOffset).toBe(10);
    expect(await words(harness, again)).toBe('1:k0=1 3:k1=1 5:k2=1 7:k3=1 8:a=4 9:k4=1');
  });

  test('is read on by whoever was about to look into a segment that is merged away', async () => {
    const harness = await Harness.open({ tailCacheBytes: 0 });
    const log = await harness.create('t', 0, COMPACT);
    committing(log);
    for (let round = 0; round < 3; round += 1) {
      put(log, `a=${round} k${round}=1`);
      log.roll();
    }
    const run = await prepared(harness, log);
    harness.strike = (operation, path) =>
      operation === 'open' && path.endsWith('2.index') ? { delayMs: 1_000 } : undefined;
    let found: unknown;
    log.read(offset(3), log.logEndOffset, 1e6, true, (result) => {
      found = result;
    });
    if (run === undefined) return expect.unreachable();
    await harness.world.complete(run());
    const files = (await names(harness)).filter((name) => name.endsWith('.log'));
    expect([found, files]).toEqual([undefined, ['00000000000000000000.log']]);
    await harness.settle(2_000);
    expect(found).toMatchObject({ sizeBytes: expect.any(Number) });
    expect(harness.lines.filter(({ level }) => level === 'error')).toEqual([]);
  });

  test('is left as it is from the moment on that its policy is another', async () => {
    const { harness, log } = await opened();
    put(log, 'a=1 a=2');
    const run = await prepared(harness, log);
    if (run === undefined) return expect.unreachable();
    const running = run();
    log.updateConfig({ ...log.config, cleanupPolicy: 'delete' });
    expect((await harness.world.complete(running))?.cleanedTo).toBeUndefined();
    expect(await words(harness, log)).toBe('0:a=1 1:a=2');
    expect((await names(harness)).filter((name) => name.includes('cleaned'))).toEqual([]);
  });

  test('stays in the codec of its batches', async () => {
    for (const codec of [Codec.Gzip, Codec.Snappy, Codec.Lz4, Codec.Zstd]) {
      const { harness, log } = await opened();
      put(log, 'a=1 b=1 a=2', { codec });
      put(log, 'b=', { codec });
      await clean(harness, log);
      expect(await words(harness, log)).toBe('2:a=2 3:b=');
      const found = await harness.read(log, 0);
      expect(typeof found === 'object' && (found.chunks[0]?.[22] ?? 0) & 7).toBe(codec);
    }
  });

  test('takes a prefix if the memory for keys ends, and the rest with the next cleanings', async () => {
    const { harness, log } = await opened();
    for (let round = 0; round < 4; round += 1) {
      for (let key = 0; key < 400; key += 1) put(log, `${'k'.repeat(30)}${key}=${round}`);
    }
    const steps: number[] = [];
    for (let round = 0; round < 20; round += 1) {
      const result = await clean(harness, log, { dedupeBytes: 20_000 });
      if (result === undefined) break;
      steps.push(result.cleanedTo ?? -1);
    }
    expect(steps.length).toBeGreaterThan(2);
    expect(steps).toEqual(steps.toSorted((a, b) => a - b));
    expect(steps.at(-1)).toBe(1600);
    const found = (await words(harness, log)).split(' ');
    expect(found).toHaveLength(400);
    expect(found.every((word) => word.endsWith('=3'))).toBe(true);
  });
});

describe('a tombstone (KIP-534)', () => {
  test('outlives its key by delete.retention.ms from the first cleaning that saw it', async () => {
    const { harness, log } = await opened();
    put(log, 'a=1 b=1');
    put(log, 'a=');
    await clean(harness, log, { nowMs: 100_000 });
    expect(await words(harness, log)).toBe('1:b=1 2:a=');
    put(log, 'c=1');
    await clean(harness, log, { nowMs: 159_999 });
    expect(await words(harness, log)).toBe('1:b=1 2:a= 3:c=1');
    put(log, 'd=1');
    await clean(harness, log, { nowMs: 160_000 });
    expect(await words(harness, log)).toBe('1:b=1 3:c=1 4:d=1');
  });

  test('keeps its timestamp, also beside the horizon in its batch', async () => {
    const { harness, log } = await opened();
    put(log, 'a= b=1 c=', { timestamp: 7000 });
    await clean(harness, log, { nowMs: 100_000 });
    const [first] = await batchesOf(harness, log);
    expect(first?.records.map(({ timestamp }) => timestamp)).toEqual([7000, 7001, 7002]);
  });

  test('beyond what the map knows begins to count later: its older values may still be there', async () => {
    const { harness, log } = await opened();
    for (let key = 0; key < 1500; key += 1) put(log, `${'k'.repeat(20)}${key}=1`);
    put(log, `${'k'.repeat(20)}1=`);
    const first = await clean(harness, log, { dedupeBytes: 50_000, nowMs: 1000 });
    expect(first?.cleanedTo).toBeLessThan(1500);
    let result = first;
    for (; result !== undefined; ) result = await clean(harness, log, { dedupeBytes: 50_000, nowMs: 61_500 });
    expect((await words(harness, log)).endsWith('1500:kkkkkkkkkkkkkkkkkkkk1=')).toBe(true);
  });
});

describe('transactions', () => {
  const transactional = (baseSequence: number, producerId = 7) => ({ producerId, baseSequence, transactional: true });
  const end = (log: PartitionLog, marker: 'abort' | 'commit', producerId = 7) =>
    appended(log, batch({ producerId, marker }));

  test('aborted records go; their marker stays a while longer than they do', async () => {
    const { harness, log } = await opened();
    put(log, 'a=1');
    put(log, 'a=2 b=2', transactional(0));
    end(log, 'abort');
    put(log, 'c=3', transactional(2));
    end(log, 'commit');
    await clean(harness, log, { nowMs: 1000 });
    expect(await words(harness, log)).toBe('0:a=1 4:c=3');
    expect((await batchesOf(harness, log)).map(({ control }) => control ?? 'data')).toEqual([
      'data',
      'abort',
      'data',
      'commit',
    ]);
    expect(log.abortedTransactions(offset(0), offset(6))).toHaveLength(1);
    put(log, 'd=1');
    await clean(harness, log, { nowMs: 2000 });
    expect(log.abortedTransactions(offset(0), offset(6))).toHaveLength(0);
    put(log, 'e=1');
    await clean(harness, log, { nowMs: 61_999 });
    expect((await batchesOf(harness, log)).map(({ control }) => control ?? 'data')).toContain('abort');
    put(log, 'f=1');
    await clean(harness, log, { nowMs: 62_000 });
    const left = (await batchesOf(harness, log)).map(({ control }) => control ?? 'data');
    expect(left).not.toContain('abort');
    expect(left).toContain('commit');
    const committed = await committedRecords(harness, log, log.logEndOffset);
    expect(committed.map(({ key }) => key).join('')).toBe('acdef');
  });

  test('what is above the first open one is not touched', async () => {
    const { harness, log } = await opened();
    put(log, 'a=1');
    put(log, 'a=2');
    log.roll();
    put(log, 'b=1', transactional(0));
    put(log, 'c=1');
    put(log, 'c=2');
    await clean(harness, log);
    expect(await words(harness, log)).toBe('1:a=2 2:b=1 3:c=1 4:c=2');
    end(log, 'commit');
    await clean(harness, log);
    expect(await words(harness, log)).toBe('1:a=2 2:b=1 4:c=2');
  });
});

describe('an idempotent producer', () => {
  test('keeps its sequence when all its records are gone, also through a replay of the whole log', async () => {
    const { harness, log } = await opened();
    put(log, 'a=1', { producerId: 5, baseSequence: 0 });
    put(log, 'a=2', { producerId: 5, baseSequence: 1 });
    put(log, 'a=3');
    put(log, 'z=1');
    await clean(harness, log);
    expect(await words(harness, log)).toBe('2:a=3 3:z=1');
    const before = log.producers.lastOfEach();
    await harness.settle(6000);
    await harness.stop(async (disk) => {
      for (const name of await disk.list('t-0')) if (name.endsWith('.snapshot')) await disk.remove(`t-0/${name}`);
      await disk.syncDir('t-0');
    });
    const again = (await harness.start()).get('t', 0) as PartitionLog;
    expect(again.producers.lastOfEach()).toEqual(before);
  });
});

describe('what the cleaner’s checkpoint says', () => {
  test('of a log that was deleted is not said of the next one with its name', async () => {
    const { harness, log } = await opened();
    put(log, 'a=1 a=2 a=3');
    await clean(harness, log);
    await harness.world.complete(harness.store.delete(log));
    await harness.crash();
    const next = await harness.create('t', 0, COMPACT);
    put(next, 'k=1 k= b=1 b=2');
    await harness.settle(6000);
    const again = (await harness.crash()).get('t', 0) as PartitionLog;
    expect(again.compaction.cleanedOffset).toBe(0);
  });
});

describe('compact,delete', () => {
  test('is compacted and expires', async () => {
    const { harness, log } = await opened({ cleanupPolicy: 'compact,delete', retentionMs: 1000, retentionBytes: -1 });
    put(log, 'a=1 a=2', { timestamp: 1000 });
    await clean(harness, log);
    expect(await words(harness, log)).toBe('1:a=2');
    put(log, 'b=1', { timestamp: 9000 });
    log.enforceRetention(5000);
    await harness.settle();
    expect([log.logStartOffset, await words(harness, log)]).toEqual([2, '2:b=1']);
  });

  test('a cleaning that finds its first segment half gone by retention ends; the directory goes on', async () => {
    const { harness, log } = await opened({ cleanupPolicy: 'compact,delete', retentionMs: 1000, retentionBytes: -1 });
    put(log, 'a=1 a=2', { timestamp: 1000 });
    log.roll();
    put(log, 'b=1 b=2', { timestamp: 9000 });
    const run = await prepared(harness, log);
    if (run === undefined) return expect.unreachable();
    let isGoing = false;
    harness.strike = (operation, path) => {
      if (operation === 'rename' && path.endsWith('.log')) isGoing = true;
      return isGoing && path.endsWith('.index') ? { delayMs: 50 } : undefined;
    };
    log.enforceRetention(5000);
    while (!isGoing) await harness.settle(0.1);
    expect((await harness.world.complete(run()))?.cleanedTo).toBeUndefined();
    await harness.settle(1000);
    expect([harness.offlineReasons, harness.store.offlineDirectoryCount]).toEqual([[], 0]);
    expect([log.logStartOffset, await words(harness, log)]).toEqual([2, '2:b=1 3:b=2']);
    expect(log.compaction.uncleanable).toBeUndefined();
  });
});

test('a swap that lacks file handles once it has begun comes to its end when there are some', async () => {
  const { harness, log } = await opened();
  put(log, 'a=1 b=1');
  log.roll();
  put(log, 'a=2');
  const run = await prepared(harness, log);
  if (run === undefined) return expect.unreachable();
  let isCommitted = false;
  let lacksHandles = true;
  harness.strike = (operation, path) => {
    if (operation === 'rename' && path.endsWith('.log.cleaned')) isCommitted = true;
    const takesHandle = operation === 'list' || operation === 'syncDir';
    return isCommitted && lacksHandles && takesHandle ? { fail: 'EMFILE' } : undefined;
  };
  const running = run();
  await harness.settle(1000);
  expect([isCommitted, harness.store.offlineDirectoryCount]).toEqual([true, 0]);
  lacksHandles = false;
  expect((await harness.world.complete(running))?.cleanedTo).toBe(3);
  expect(await words(harness, log)).toBe('1:b=1 2:a=2');
  await harness.crash();
  expect(harness.store.get('t', 0)?.logEndOffset).toBe(3);
});

describe('the node’s cleaner', () => {
  test('takes what is due on its own: the dirtiest log first, no log below min.cleanable.dirty.ratio', async () => {
    const { harness, log } = await opened({ minCleanableDirtyRatio: 0.5 });
    const other = await harness.create('t', 1, { ...COMPACT, minCleanableDirtyRatio: 0.5 });
    const plain = await harness.create('t', 2, { cleanupPolicy: 'delete' });
    for (const each of [log, other, plain]) {
      for (let round = 0; round < 10; round += 1) put(each, `a=${round}`);
      each.roll();
    }
    await harness.settle(40_000);
    expect(await words(harness, log)).toBe('9:a=9');
    expect(await words(harness, other)).toBe('9:a=9');
    expect((await words(harness, plain)).split(' ')).toHaveLength(10);
    expect(harness.store.cleaner.counts.runs).toBe(2);
    // As many bytes as there are clean ones: a ratio of 0.5, which is not above it.
    put(log, 'b=1');
    log.roll();
    await harness.settle(40_000);
    expect([harness.store.cleaner.counts.runs, log.compaction.cleanedOffset]).toEqual([2, 10]);
  });

  test('waits for min.compaction.lag.ms, and not beyond max.compaction.lag.ms', async () => {
    const wall = (await Harness.open()).world.clock.wall();
    const { harness, log } = await opened({ minCompactionLagMs: 60_000, minCleanableDirtyRatio: 0.9 });
    put(log, 'a=1 a=2', { timestamp: wall });
    log.roll();
    await harness.settle(40_000);
    expect((await words(harness, log)).split(' ')).toHaveLength(2);
    await harness.settle(60_000);
    expect(await words(harness, log)).toBe('1:a=2');
    put(log, 'b=1', { timestamp: wall + 100_000 });
    log.roll();
    await harness.settle(200_000);
    expect(log.compaction.cleanedOffset).toBe(2);
    log.updateConfig({ ...log.config, maxCompactionLagMs: 100_000 });
    await harness.settle(20_000);
    expect(log.compaction.cleanedOffset).toBe(3);
  });

  test('waits until no copy of the log grows elsewhere: what a tombstone has deleted would come back with the copy', async () => {
    const harness = await Harness.open({ disks: 2 });
    const log = await harness.create('t', 0, { ...COMPACT, minCleanableDirtyRatio: 0.1, deleteRetentionMs: 0 });
    committing(log);
    put(log, 'a=1');
    put(log, 'a=');
    log.roll();
    const elsewhere = harness.store.directories.find((directory) => directory !== log.directory);
    if (elsewhere === undefined) return expect.unreachable();
    const { store, world } = harness;
    const copy = await world.complete(store.createFuture(log, elsewhere, offset(0)));
    if (copy === undefined) return expect.unreachable();
    await harness.settle(40_000);
    expect(await words(harness, log)).toBe('0:a=1 1:a=');
    await world.complete(store.dropFuture(copy));
    await harness.settle(40_000);
    expect(await words(harness, log)).toBe('1:a=');
  });

  test('ends the cleaning of a log of which a copy begins to grow elsewhere, before anything is copied', async () => {
    const harness = await Harness.open({ disks: 2 });
    const log = await harness.create('t', 0, { ...COMPACT, minCleanableDirtyRatio: 0.1 });
    committing(log);
    put(log, 'a=1 a=2');
    log.roll();
    let isCleaning = false;
    harness.strike = (operation, path) => {
      if (operation !== 'open' || !path.endsWith('.log.cleaned')) return undefined;
      isCleaning = true;
      return { delayMs: 1000 };
    };
    while (!isCleaning) await harness.settle(10);
    const elsewhere = harness.store.directories.find((directory) => directory !== log.directory);
    if (elsewhere === undefined) return expect.unreachable();
    await harness.world.complete(harness.store.createFuture(log, elsewhere, offset(0)));
    expect(log.compaction.isRunning).toBe(false);
    await harness.settle(40_000);
    expect(await words(harness, log)).toBe('0:a=1 1:a=2');
  });

  test('waits for room that a cleaning needs beside log.dir.min.free.bytes: appends go on, and it is said once', async () => {
    const harness = await Harness.open({ diskBytes: 320_000, minFreeBytes: 50_000 });
    const { store, lines } = harness;
    const log = await harness.create('t', 0, { ...COMPACT, minCleanableDirtyRatio: 0.1 });
    committing(log);
    const other = await harness.create('t', 1, { fileDeleteDelayMs: 0 });
    for (let key = 0; key < 100; key += 1) {
      put(log, `k${key}=${'v'.repeat(1000)}`);
      appended(other, batch({ valueBytes: 1000 }));
    }
    put(log, 'k0=1');
    log.roll();
    await harness.settle(50_000);
    expect([log.directory.isFull, store.cleaner.waitingCount, store.cleaner.counts.runs]).toEqual([false, 1, 0]);
    expect(lines.filter(({ level }) => level === 'error')).toEqual([]);
    expect(lines.filter(({ message }) => message.includes('want of room'))).toHaveLength(1);
    expect((await names(harness)).filter((name) => name.includes('cleaned'))).toEqual([]);
    await harness.world.complete(store.delete(other));
    await harness.settle(50_000);
    expect([store.cleaner.waitingCount, log.compaction.cleanedOffset]).toEqual([0, 101]);
  });

  test('gives up a cleaning whose directory becomes full meanwhile, and the room that it took', async () => {
    const { harness, log } = await opened();
    for (let key = 0; key < 10; key += 1) put(log, `k${key}=${'v'.repeat(100_000)}`);
    put(log, 'k0=1');
    const run = await prepared(harness, log);
    if (run === undefined) return expect.unreachable();
    let written = 0;
    harness.strike = (operation, path) => {
      if (operation === 'write' && path.endsWith('.log.cleaned') && written++ === 0) log.directory.refuse('a test');
      return undefined;
    };
    expect(await harness.world.complete(run())).toBeUndefined();
    expect([written, log.compaction.waitsForRoom]).toEqual([1, true]);
    expect((await names(harness)).filter((name) => name.includes('cleaned'))).toEqual([]);
  });

  test('leaves a log alone whose records cannot be read, and says so', async () => {
    const { harness, log } = await opened({ minCleanableDirtyRatio: 0 });
    const bytes = batch({ count: 2 });
    appended(log, bytes);
    put(log, 'a=1');
    log.roll();
    await harness.settle(6000);
    const file = await harness.world.complete(
      (harness.faults[0] as Disk).open('t-0/00000000000000000000.log', 'write'),
    );
    await harness.world.complete(new Promise((done) => file.write([Uint8Array.of(9)], 80, done)));
    await harness.settle(30_000);
    expect(harness.store.cleaner.uncleanableCount).toBe(1);
    expect(harness.offlineReasons).toEqual([]);
  });
});
