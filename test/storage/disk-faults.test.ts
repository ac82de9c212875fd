import { describe, expect, test } from 'vitest';
import { offset } from '#model/ids';
import { append, appended, batch, Harness, Listener } from './support.ts';

describe('a failed sync', () => {
  test('takes the directory offline at once: appends are refused, listeners told, and it is never tried again (S5)', async () => {
    const harness = await Harness.open();
    const log = await harness.create();
    const other = await harness.create('t', 1);
    const listeners = [new Listener(), new Listener()];
    log.listener = listeners[0];
    other.listener = listeners[1];
    appended(other, batch());
    await harness.settle();
    let syncs = 0;
    harness.strike = (operation, path) => {
      if (operation !== 'sync' || path !== 't-0/00000000000000000000.log') return undefined;
      syncs += 1;
      return { fail: 'EIO' };
    };
    appended(log, batch());
    await harness.settle(20_000);
    expect(syncs).toBe(1);
    expect(listeners.map(({ failures }) => failures)).toEqual([1, 1]);
    expect([append(log, batch()), append(other, batch())]).toEqual(['offline', 'offline']);
    expect([log.durableOffset, other.durableOffset]).toEqual([0, 1]);
    expect(harness.store.offlineDirectoryCount).toBe(1);
    expect(harness.offlineReasons).toHaveLength(1);
    expect(other.readCached(offset(0), offset(1), 1000, true)?.chunks).toHaveLength(1);
  });

  test('of the journal does the same, and no log of the round is acknowledged', async () => {
    const harness = await Harness.open();
    const logs = [];
    for (let index = 0; index < 20; index += 1) logs.push(await harness.create('t', index));
    for (const log of logs) appended(log, batch());
    await harness.settle();
    harness.strike = (operation, path) =>
      operation === 'sync' && path.startsWith('commit-journal') ? { fail: 'EIO' } : undefined;
    for (const log of logs) appended(log, batch());
    await harness.settle();
    expect(harness.store.offlineDirectoryCount).toBe(1);
    expect(logs.filter(({ durableOffset }) => durableOffset > 1).length).toBeLessThanOrEqual(12);
    expect(logs.every((log) => append(log, batch()) === 'offline')).toBe(true);
  });

  test('on one of several directories leaves the others at work; new logs go there', async () => {
    const harness = await Harness.open({ disks: 2 });
    const logs = [await harness.create('t', 0), await harness.create('t', 1)];
    expect(new Set(logs.map(({ directory }) => directory)).size).toBe(2);
    const [, second] = harness.store.directories;
    const onSecond = logs.find(({ directory }) => directory === second);
    const onFirst = logs.find(({ directory }) => directory !== second);
    if (onFirst === undefined || onSecond === undefined) return expect.unreachable();
    harness.strike = (operation, path) =>
      operation === 'sync' && path.startsWith(onSecond.folder) && path.endsWith('.log') ? { fail: 'EIO' } : undefined;
    appended(onSecond, batch());
    appended(onFirst, batch());
    await harness.settle();
    expect([append(onSecond, batch()), onFirst.durableOffset]).toEqual(['offline', 1]);
    expect(harness.offlineReasons).toEqual([]);
    expect((await harness.create('t', 2)).directory).toBe(onFirst.directory);
    expect(harness.store.directoryIds).toHaveLength(1);
  });
});

describe('a full disk', () => {
  test('drops what was not written, refuses appends, keeps serving reads, and takes appends again when there is room (S7)', async () => {
    const harness = await Harness.open({ tailCacheBytes: 0 });
    const log = await harness.create();
    const listener = new Listener();
    log.listener = listener;
    for (let sequence = 0; sequence < 3; sequence += 1) {
      appended(log, batch({ producerId: 5, baseSequence: sequence, valueBytes: 500 }));
    }
    await harness.settle();
    let isFull = true;
    harness.strike = (operation, path) =>
      isFull && operation === 'write' && path.endsWith('.log') ? { fail: 'ENOSPC' } : undefined;
    appended(log, batch({ producerId: 5, baseSequence: 3 }));
    appended(log, batch({ producerId: 5, baseSequence: 4 }));
    await harness.settle();
    expect(listener.rejectedFrom).toEqual([3]);
    expect([log.logEndOffset, log.durableOffset]).toEqual([3, 3]);
    expect([log.isBeingRewound, listener.rewinds]).toEqual([false, 1]);
    expect(append(log, batch())).toBe('full');
    expect(await harness.bases(log, 0)).toEqual([0, 1, 2]);
    isFull = false;
    await harness.settle(2000);
    const [next] = [batch({ producerId: 5, baseSequence: 3 })];
    expect(appended(log, next)).toBe(3);
    await harness.settle();
    expect(log.durableOffset).toBe(4);
    await harness.crash();
    const again = harness.store.get('t', 0);
    expect(again?.logEndOffset).toBe(4);
    expect(harness.offlineReasons).toEqual([]);
  });

  test('has its transactions decided as before, once it has found its way back (seed 51)', async () => {
    const harness = await Harness.open();
    const log = await harness.create();
    appended(log, batch({ producerId: 5, baseSequence: 0, transactional: true }));
    appended(log, batch({ producerId: 5, marker: 'commit' }));
    await harness.settle();
    const committed = offset(2);
    log.highWatermark = committed;
    log.producers.highWatermarkAdvanced(committed);
    expect(log.producers.lastStableOffset(committed)).toBe(2);
    let isFull = true;
    harness.strike = (operation, path) =>
      isFull && operation === 'write' && path.endsWith('.log') ? { fail: 'ENOSPC' } : undefined;
    appended(log, batch({ producerId: 6, baseSequence: 0 }));
    await harness.settle();
    isFull = false;
    await harness.settle(2000);
    expect([log.isBeingRewound, log.logEndOffset, log.producers.lastStableOffset(committed)]).toEqual([false, 2, 2]);
  });

  test('leaves no trace of dropped batches in the producer state: sent again they are no duplicates', async () => {
    const harness = await Harness.open();
    const log = await harness.create();
    appended(log, batch({ producerId: 5, baseSequence: 0 }));
    await harness.settle();
    const before = log.producers.takeSnapshot();
    harness.strike = (operation, path) =>
      operation === 'write' && path.endsWith('.log') ? { fail: 'ENOSPC' } : undefined;
    appended(log, batch({ producerId: 5, baseSequence: 1 }));
    appended(log, batch({ producerId: 6, baseSequence: 0 }));
    await harness.settle();
    expect(log.producers.takeSnapshot()).toEqual(before);
    expect(log.producers.size).toBe(1);
  });

  test('that takes back the end of a log while its producers are saved has none of them forgotten', async () => {
    const harness = await Harness.open();
    const log = await harness.create();
    const listener = new Listener();
    log.listener = listener;
    for (let sequence = 0; sequence < 30; sequence += 1)
      appended(log, batch({ producerId: 5, baseSequence: sequence, valueBytes: 50_000 }));
    await harness.settle();
    let isSaving = false;
    harness.strike = (operation, path) => {
      if (operation === 'write' && path.endsWith('.log')) return { fail: 'ENOSPC' };
      if (operation !== 'sync' || !path.endsWith('.timeindex')) return undefined;
      isSaving = true;
      return { delayMs: 100 };
    };
    await harness.world.run(() => isSaving);
    appended(log, batch({ producerId: 5, baseSequence: 30 }));
    await harness.settle(1000);
    harness.strike = undefined;
    await harness.settle(12_000);
    expect([listener.rejectedFrom, listener.rewinds, log.producers.size]).toEqual([[30], 1, 1]);
  });

  test('when a new segment finds no room the log goes back to the old one', async () => {
    const harness = await Harness.open();
    const log = await harness.create('t', 0, { segmentBytes: 1000 });
    appended(log, batch({ valueBytes: 800 }));
    await harness.settle();
    let isFull = true;
    harness.strike = (operation, path) =>
      isFull && operation === 'open' && path.endsWith('1.log') ? { fail: 'ENOSPC' } : undefined;
    appended(log, batch({ valueBytes: 800 }));
    await harness.settle();
    expect([log.logEndOffset, append(log, batch())]).toEqual([1, 'full']);
    isFull = false;
    await harness.settle(2000);
    expect(appended(log, batch({ valueBytes: 800 }))).toBe(1);
    await harness.settle();
    expect(await harness.bases(log, 1)).toEqual([1]);
    await harness.crash();
    expect(harness.store.get('t', 0)?.logEndOffset).toBe(2);
  });

  test('takes no new logs, but an empty one in place of one that began anew: it leaves more room than it takes', async () => {
    const harness = await Harness.open();
    const log = await harness.create();
    log.directory.refuse('a test');
    expect(await harness.world.complete(harness.store.create('u', log.topicId, 0, log.config))).toBeUndefined();
    const made = await harness.world.complete(harness.store.restart(log, offset(7)));
    expect([made?.logStartOffset, made?.logEndOffset]).toEqual([7, 7]);
  });

  test('gets the room of deleted topics and records back, though no checkpoint finds any; a log starts where its files do then', async () => {
    for (const before of [25, 40]) {
      const harness = await Harness.open();
      const log = await harness.create('t', 0, { retentionMs: -1, fileDeleteDelayMs: 1000 });
      const other = await harness.create('t', 1, { fileDeleteDelayMs: 1000 });
      appended(other, batch());
      for (let round = 0; round < 4; round += 1) {
        appended(log, batch({ count: 10 }));
        log.roll();
      }
      await harness.settle(6000);
      const listener = new Listener();
      log.listener = listener;
      harness.strike = (operation) => (operation === 'write' ? { fail: 'ENOSPC' } : undefined);
      await harness.world.complete(harness.store.delete(other));
      log.deleteRecordsBefore(offset(before));
      await harness.settle(12_000);
      const [disk] = harness.faults;
      if (disk === undefined) return expect.unreachable();
      const names = await harness.world.complete(disk.list(''));
      expect(names.filter((name) => name.startsWith('t-'))).toEqual(['t-0']);
      const files = await harness.world.complete(disk.list('t-0'));
      // Of a log without a file nothing would tell where it starts.
      const kept = before === 25 ? [20, 30] : [30];
      expect(files.filter((name) => /[.]log/.test(name)).map((name) => Number.parseInt(name, 10))).toEqual(kept);
      expect([log.logStartOffset, log.savedStartOffset, listener.savedStarts]).toEqual([before, 0, 0]);
      harness.strike = undefined;
      const again = (await harness.crash()).get('t', 0);
      expect([again?.logStartOffset, again?.logEndOffset, harness.store.quarantined]).toEqual([kept[0], 40, []]);
    }
  });

  test('that has no room for another name of a deleted log’s folder has it removed when it has', async () => {
    const harness = await Harness.open();
    const log = await harness.create('t', 0, { fileDeleteDelayMs: 1000 });
    appended(log, batch());
    await harness.settle();
    harness.strike = (operation, path) => (operation === 'rename' && path === 't-0' ? { fail: 'ENOSPC' } : undefined);
    await harness.world.complete(harness.store.delete(log));
    await harness.settle(6000);
    harness.strike = undefined;
    await harness.settle(12_000);
    const names = await harness.world.complete(harness.faults[0]?.list('') ?? Promise.reject());
    expect(names.filter((name) => name.startsWith('t-'))).toEqual([]);
  });

  test('is refused early, below the floor of free room', async () => {
    const harness = await Harness.open({ diskBytes: 200_000, minFreeBytes: 100_000 });
    const log = await harness.create();
    for (let round = 0; round < 15; round += 1) appended(log, batch({ valueBytes: 10_000 }));
    await harness.settle(2000);
    expect(append(log, batch())).toBe('full');
    expect(log.durableOffset).toBe(15);
    log.updateConfig({ ...log.config, retentionBytes: 0, fileDeleteDelayMs: 0 });
    log.roll();
    log.enforceRetention(0);
    await harness.settle(12_000);
    // The memory disk frees the room when the removal is synced.
    await harness.world.complete(harness.faults[0]?.syncDir('t-0') ?? Promise.reject());
    await harness.settle(2000);
    expect(appended(log, batch())).toBe(15);
  });
});
