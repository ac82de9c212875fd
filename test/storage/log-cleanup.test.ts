import { describe, expect, test } from 'vitest';
import type { Disk } from '#base/ports';
import { offset } from '#model/ids';
import type { PartitionLog } from '#storage/partition-log';
import { appended, batch, Harness, Listener } from './support.ts';

async function files(harness: Harness, extension: string): Promise<number[]> {
  const names = await harness.world.complete((harness.faults[0] as Disk).list('t-0'));
  return names.filter((name) => name.endsWith(extension)).map((name) => Number.parseInt(name, 10));
}

/** Segments of one batch with `count` records each. */
async function filled(
  harness: Harness,
  log: PartitionLog,
  batches: number,
  timestampOf = (n: number) => 1000 + n,
): Promise<void> {
  for (let round = 0; round < batches; round += 1) {
    appended(log, batch({ count: 10, valueBytes: 100, timestamp: timestampOf(round) }));
    log.roll();
  }
  await harness.settle();
}

test('a log whose process is killed again and again is not replayed from ever further back: its producers are saved', async () => {
  const harness = await Harness.open();
  let log = await harness.create('t', 0);
  for (let life = 0; life < 8; life += 1) {
    for (let round = 0; round < 30; round += 1) appended(log, batch({ valueBytes: 10_000 }));
    await harness.settle();
    await harness.world.run(harness.world.clock.now() + 11_000);
    await harness.kill();
    log = harness.store.get('t', 0) as PartitionLog;
  }
  // Every 1 MiB, which is four lives.
  const [oldest = 0, newest = 0] = await files(harness, '.snapshot');
  expect([oldest, newest].map((at) => at % 30)).toEqual([0, 0]);
  expect(newest - oldest).toBe(120);
});

describe('segments roll', () => {
  test('before an append that segment.bytes has no room for', async () => {
    const harness = await Harness.open();
    const log = await harness.create('t', 0, { segmentBytes: 2500 });
    for (let round = 0; round < 6; round += 1) appended(log, batch({ valueBytes: 1000 }));
    await harness.settle();
    expect(await files(harness, '.log')).toEqual([0, 2, 4]);
    expect(await files(harness, '.timeindex')).toEqual([0, 2]);
    expect(await files(harness, '.snapshot')).toEqual([2, 4]);
  });

  test('before an append whose timestamp is more than segment.ms after the first one', async () => {
    const harness = await Harness.open();
    const log = await harness.create('t', 0, { segmentMs: 60_000 });
    for (const timestamp of [1000, 61_000, 61_001, 70_000, 121_001, 121_002]) appended(log, batch({ timestamp }));
    await harness.settle();
    expect(await files(harness, '.log')).toEqual([0, 2, 5]);
  });

  test('by the age of the first record also after a restart', async () => {
    const harness = await Harness.open();
    appended(await harness.create('t', 0), batch({ timestamp: 1000 }));
    await harness.restart();
    const log = harness.store.get('t', 0) as PartitionLog;
    log.updateConfig({ ...log.config, segmentMs: 60_000 });
    appended(log, batch({ timestamp: 61_001 }));
    await harness.settle();
    expect(await files(harness, '.log')).toEqual([0, 1]);
  });

  test('when the index is full', async () => {
    const harness = await Harness.open();
    const log = await harness.create('t', 0, { segmentIndexBytes: 36, indexIntervalBytes: 1 });
    for (let round = 0; round < 10; round += 1) appended(log, batch({ timestamp: 1000 + round }));
    await harness.settle();
    expect((await files(harness, '.log')).length).toBeGreaterThan(2);
  });
});

describe('retention', () => {
  test('by size keeps at least retention.bytes', async () => {
    const harness = await Harness.open();
    const log = await harness.create('t', 0, { retentionMs: -1, fileDeleteDelayMs: 10_000 });
    await filled(harness, log, 5);
    const segmentBytes = log.sizeBytes / 5;
    log.updateConfig({ ...log.config, retentionBytes: Math.floor(segmentBytes * 2.5) });
    log.enforceRetention(0);
    await harness.settle();
    expect([log.logStartOffset, log.sizeBytes]).toEqual([20, segmentBytes * 3]);
    expect([await files(harness, '.log'), await files(harness, '.log.deleted')]).toEqual([
      [20, 30, 40],
      [0, 10],
    ]);
    expect(await harness.read(log, 19)).toBe('out-of-range');
    expect(await harness.bases(log, 20)).toEqual([20, 30, 40]);
    await harness.settle(20_000);
    expect(await files(harness, '.log.deleted')).toEqual([]);
  });

  test('by age goes by the highest timestamp of a segment, from the front, and rolls what has expired as a whole', async () => {
    const harness = await Harness.open();
    const log = await harness.create('t', 0, { retentionMs: 1000 });
    const timestamps = [1000, 9000, 1000, 1000];
    for (const timestamp of timestamps) {
      appended(log, batch({ timestamp }));
      if (timestamp !== timestamps.at(-1) || log.logEndOffset < 4) log.roll();
    }
    await harness.settle();
    log.enforceRetention(3000);
    await harness.settle();
    expect(log.logStartOffset).toBe(1);
    log.enforceRetention(20_000);
    await harness.settle();
    expect([log.logStartOffset, log.logEndOffset, log.sizeBytes]).toEqual([4, 4, 0]);
    expect(appended(log, batch())).toBe(4);
  });

  test('by age looks into the time indexes of segments found at start', async () => {
    const harness = await Harness.open();
    await filled(harness, await harness.create('t', 0), 3, (round) => 1000 * (round + 1));
    await harness.restart();
    const log = harness.store.get('t', 0) as PartitionLog;
    log.updateConfig({ ...log.config, retentionMs: 1000 });
    log.enforceRetention(3100);
    await harness.settle();
    expect(log.logStartOffset).toBe(20);
  });

  test('keeps everything of a log that is only compacted, and nothing at or above the high watermark', async () => {
    const harness = await Harness.open();
    const log = await harness.create('t', 0, { retentionMs: 1, cleanupPolicy: 'compact' });
    await filled(harness, log, 3);
    log.enforceRetention(1e9);
    await harness.settle();
    expect(log.logStartOffset).toBe(0);
    log.updateConfig({ ...log.config, cleanupPolicy: 'delete' });
    log.highWatermark = offset(20);
    log.enforceRetention(1e9);
    await harness.settle();
    expect(log.logStartOffset).toBe(20);
  });

  test('spares what is appended while it looks, though the log was committed to its end when it began', async () => {
    const harness = await Harness.open();
    await filled(harness, await harness.create('t', 0), 3);
    // Nothing is known yet of how old the segments are: that is read from the disk.
    await harness.restart();
    const log = harness.store.get('t', 0) as PartitionLog;
    log.updateConfig({ ...log.config, retentionMs: 1000 });
    appended(log, batch({ timestamp: 2000 }));
    await harness.settle();
    log.highWatermark = log.logEndOffset;
    log.enforceRetention(1_000_000);
    // It waits for the disk.
    for (let turns = 0; turns < 10; turns += 1) await undefined;
    appended(log, batch({ timestamp: 3000 }));
    await harness.settle();
    expect([log.highWatermark, log.logStartOffset, log.logEndOffset]).toEqual([31, 20, 32]);
  });

  test.each([1, 2, 3, 4])(
    'that takes all of a log has saved its producers before: nothing else tells of them after a power cut (seed %i)',
    async (seed) => {
      for (const strike of [{ delayMs: 3000 }, { fail: 'ENOSPC' }] as const) {
        const harness = await Harness.open({ seed });
        const log = await harness.create('t', 0, { retentionMs: 1000 });
        appended(log, batch({ producerId: 5, baseSequence: 0 }));
        await harness.settle();
        harness.strike = (operation, path) => (operation === 'open' && path.includes('.snapshot') ? strike : undefined);
        log.enforceRetention(1e6);
        await harness.settle(1000);
        harness.strike = undefined;
        await harness.crash();
        expect(harness.store.get('t', 0)?.producers.size).toBe(1);
      }
    },
  );

  test('takes what it could not take for want of room to save its producers when there is some, though nothing more is appended', async () => {
    const harness = await Harness.open();
    const log = await harness.create('t', 0, { retentionMs: 1000 });
    appended(log, batch({ producerId: 5, baseSequence: 0 }));
    await harness.settle();
    harness.strike = (operation, path) =>
      operation === 'open' && path.includes('.snapshot') ? { fail: 'ENOSPC' } : undefined;
    log.enforceRetention(1e6);
    await harness.settle(1000);
    expect(log.logStartOffset).toBe(0);
    harness.strike = undefined;
    await harness.settle(12_000);
    log.enforceRetention(1e6);
    await harness.settle();
    expect(log.logStartOffset).toBe(1);
    await harness.crash();
    expect(harness.store.get('t', 0)?.producers.size).toBe(1);
  });

  test('takes no segment by the name of a snapshot for whose content there was no room', async () => {
    const harness = await Harness.open();
    let log = await harness.create('t', 0, { retentionMs: -1, segmentBytes: 2_000_000 });
    appended(log, batch({ producerId: 5, baseSequence: 0 }));
    for (let round = 1; round < 30; round += 1) appended(log, batch({ valueBytes: 50_000 }));
    let refused = 0;
    const noRoom: Harness['strike'] = (operation, path) => {
      if (operation !== 'write' || !path.includes('.snapshot')) return undefined;
      refused += 1;
      return { fail: 'ENOSPC' };
    };
    // First for that of a checkpoint; then for that of the roll that comes next.
    harness.strike = noRoom;
    await harness.settle(12_000);
    harness.strike = undefined;
    await harness.settle(12_000);
    harness.strike = noRoom;
    log.roll();
    appended(log, batch());
    await harness.settle();
    expect(refused).toBe(2);
    harness.strike = undefined;
    await harness.settle(12_000);
    for (let round = 1; round < 10; round += 1) appended(log, batch());
    log.roll();
    appended(log, batch());
    await harness.settle(12_000);
    await harness.kill();
    log = harness.store.get('t', 0) as PartitionLog;
    log.deleteRecordsBefore(offset(30));
    await harness.settle();
    log.truncateTo(offset(35), () => {});
    await harness.settle();
    expect([log.logStartOffset, log.logEndOffset, log.producers.size]).toEqual([30, 35, 1]);
  });

  test('takes a segment also if the one behind it began while a checkpoint saved the producers', async () => {
    const harness = await Harness.open();
    const log = await harness.create('t', 0, { retentionMs: -1, segmentBytes: 2_000_000 });
    for (let round = 0; round < 30; round += 1) appended(log, batch({ valueBytes: 50_000 }));
    await harness.settle();
    let isSaving = false;
    harness.strike = (operation, path) => {
      if (operation !== 'sync' || !path.endsWith('.timeindex') || isSaving) return undefined;
      isSaving = true;
      return { delayMs: 100 };
    };
    await harness.world.run(() => isSaving);
    log.roll();
    appended(log, batch());
    await harness.settle(12_000);
    log.deleteRecordsBefore(offset(30));
    await harness.settle();
    expect([await files(harness, '.snapshot'), await files(harness, '.log')]).toEqual([[30], [30]]);
  });

  test('takes nothing from a log that was closed while it looked', async () => {
    const harness = await Harness.open();
    await filled(harness, await harness.create('t', 0), 3);
    await harness.restart();
    const log = harness.store.get('t', 0) as PartitionLog;
    log.updateConfig({ ...log.config, retentionMs: 1000 });
    log.enforceRetention(1e9);
    await harness.world.complete(log.close());
    expect(log.logStartOffset).toBe(0);
  });

  test('takes nothing from a log of which nobody has said yet how long it is kept: its node may wait long for a quorum', async () => {
    const harness = await Harness.open({ retentionCheckMs: 60_000 });
    await filled(harness, await harness.create('t', 0, { retentionMs: -1 }), 3);
    await harness.restart();
    const log = harness.store.get('t', 0) as PartitionLog;
    await harness.settle(130_000);
    expect([log.logStartOffset, log.logEndOffset]).toEqual([0, 30]);
    log.updateConfig({ ...log.config, retentionMs: 1000 });
    await harness.settle(70_000);
    expect(log.logStartOffset).toBe(30);
  });

  test('happens by itself, at each retention check', async () => {
    const harness = await Harness.open({ retentionCheckMs: 60_000 });
    const log = await harness.create('t', 0, { retentionBytes: 0, retentionMs: -1 });
    await filled(harness, log, 3);
    await harness.settle(50_000);
    expect(log.logStartOffset).toBe(0);
    await harness.settle(20_000);
    expect(log.logStartOffset).toBe(30);
  });
});

describe('DeleteRecords (KIP-107)', () => {
  test('moves the log start within a segment, and drops whole segments below', async () => {
    const harness = await Harness.open();
    const log = await harness.create('t', 0, { retentionMs: -1 });
    await filled(harness, log, 4);
    log.deleteRecordsBefore(offset(25));
    expect(log.logStartOffset).toBe(25);
    expect(await harness.read(log, 24)).toBe('out-of-range');
    expect(await harness.bases(log, 25)).toEqual([20, 30]);
    await harness.settle();
    expect(await files(harness, '.log')).toEqual([20, 30]);
    await harness.crash();
    expect(harness.store.get('t', 0)?.logStartOffset).toBe(25);
  });

  test('tells when the new start is saved: whatever comes then, the records do not come back', async () => {
    for (let seed = 1; seed <= 5; seed += 1) {
      const harness = await Harness.open({ seed });
      const log = await harness.create('t', 0, { retentionMs: -1 });
      await filled(harness, log, 4);
      const listener = new Listener();
      log.listener = listener;
      log.deleteRecordsBefore(offset(25));
      expect([log.logStartOffset, log.savedStartOffset]).toEqual([25, 0]);
      while (listener.savedStarts === 0) await harness.settle(0.05);
      expect(log.savedStartOffset).toBe(25);
      const again = (await harness.crash()).get('t', 0);
      expect([again?.logStartOffset, again?.savedStartOffset]).toEqual([25, 25]);
    }
  });
});

describe('lookups by timestamp', () => {
  test('give the first record at or after a timestamp, across segments and inside a batch', async () => {
    for (const tailCacheBytes of [0, 1e6]) {
      const harness = await Harness.open({ tailCacheBytes });
      const log = await harness.create();
      // Records of a batch have rising timestamps: batch n has 100n … 100n+9.
      await filled(harness, log, 10, (round) => 100 * round);
      const find = (timestamp: number, upTo = log.logEndOffset) =>
        harness.world.complete(new Promise((resolve) => log.offsetForTimestamp(timestamp, upTo, resolve)));
      expect(await find(0)).toMatchObject({ offset: 0, timestamp: 0, leaderEpoch: 0 });
      expect(await find(304)).toMatchObject({ offset: 34, timestamp: 304 });
      expect(await find(310)).toMatchObject({ offset: 40, timestamp: 400 });
      expect(await find(910)).toBeUndefined();
      expect(await find(310, offset(40))).toBeUndefined();
      log.deleteRecordsBefore(offset(37));
      expect(await find(0)).toMatchObject({ offset: 37, timestamp: 307 });
    }
  });

  test('give the record with the highest timestamp (KIP-734), which need not be the last', async () => {
    const harness = await Harness.open();
    const log = await harness.create();
    const find = (upTo = log.logEndOffset) =>
      harness.world.complete(new Promise((resolve) => log.maxTimestamp(upTo, resolve)));
    expect(await find()).toBeUndefined();
    await filled(harness, log, 5, (round) => (round === 2 ? 5000 : 100 * round));
    expect(await find()).toMatchObject({ offset: 29, timestamp: 5009 });
    expect(await find(offset(20))).toMatchObject({ offset: 19, timestamp: 109 });
    expect(await find(offset(0))).toBeUndefined();
    await harness.restart();
    const again = harness.store.get('t', 0) as PartitionLog;
    const found = await harness.world.complete(
      new Promise((resolve) => again.maxTimestamp(again.logEndOffset, resolve)),
    );
    expect(found).toMatchObject({ offset: 29, timestamp: 5009 });
  });

  test('give the highest timestamp of what is left when the record that had it was deleted, also within its segment', async () => {
    for (const segmentBytes of [1500, 1e6]) {
      const harness = await Harness.open();
      const log = await harness.create('t', 0, { segmentBytes, indexIntervalBytes: 100 });
      const find = (upTo = log.logEndOffset) =>
        harness.world.complete(new Promise((resolve) => log.maxTimestamp(upTo, resolve)));
      for (const timestamp of [0, 100, 5000, 300, 400, 500])
        appended(log, batch({ count: 10, valueBytes: 100, timestamp }));
      await harness.settle();
      log.deleteRecordsBefore(offset(25));
      expect(await find()).toMatchObject({ offset: 29, timestamp: 5009 });
      log.deleteRecordsBefore(offset(30));
      await harness.settle();
      expect(await find()).toMatchObject({ offset: 59, timestamp: 509 });
      expect(await find(offset(50))).toMatchObject({ offset: 49, timestamp: 409 });
      log.deleteRecordsBefore(offset(60));
      expect(await find()).toBeUndefined();
    }
  });

  test('go on in what is left when retention takes the segment that they look into', async () => {
    const harness = await Harness.open({ tailCacheBytes: 0 });
    const log = await harness.create('t', 0, { fileDeleteDelayMs: 0 });
    await filled(harness, log, 5, (round) => 100 * round);
    const indexed = new Set<string>();
    harness.strike = (operation, path) => {
      if (operation === 'open' && path.endsWith('.index')) indexed.add(path);
      return operation === 'open' && path.endsWith('00.index') ? { delayMs: 100 } : undefined;
    };
    let found: unknown = 'nothing';
    log.offsetForTimestamp(3, log.logEndOffset, (result) => {
      found = result;
    });
    log.deleteRecordsBefore(offset(20));
    await harness.settle(1_000);
    expect(indexed.size).toBeGreaterThan(0);
    expect(found).toMatchObject({ offset: 20, timestamp: 200 });
  });
});

describe('idle producers', () => {
  test('are forgotten after producer.id.expiration.ms as it is now, in logs that are open and in those opened later', async () => {
    const harness = await Harness.open({ retentionCheckMs: 5000 });
    const write = (log: PartitionLog, producerId: number) =>
      appended(log, batch({ producerId, baseSequence: 0, timestamp: harness.ports.clock.wall() }));
    const open = await harness.create();
    write(open, 1);
    harness.producerIdExpirationMs = 60_000;
    await harness.settle(30_000);
    const later = await harness.create('t', 1);
    write(later, 2);
    expect([open.producers.size, later.producers.size]).toEqual([1, 1]);
    await harness.settle(40_000);
    expect([open.producers.size, later.producers.size]).toEqual([0, 1]);
    harness.producerIdExpirationMs = 7 * 86_400_000;
    await harness.settle(2 * 86_400_000);
    expect([open.producers.size, later.producers.size]).toEqual([0, 1]);
    await harness.restart();
    await harness.settle(10_000);
    expect(harness.store.get('t', 1)?.producers.size).toBe(1);
  });
});

describe('aborted transactions (KIP-98)', () => {
  const data = (producerId: number, baseSequence: number) => batch({ producerId, baseSequence, transactional: true });

  test('are found for every range that they overlap, also after a crash and in a sealed segment', async () => {
    const harness = await Harness.open();
    const log = await harness.create();
    appended(log, data(1, 0));
    appended(log, data(2, 0));
    appended(log, batch({ producerId: 1, marker: 'abort' }));
    log.roll();
    appended(log, batch({ producerId: 2, marker: 'commit' }));
    appended(log, data(3, 0));
    appended(log, batch({ producerId: 3, marker: 'abort' }));
    await harness.settle(6000);
    const aborted = (of: PartitionLog, from: number, to: number) =>
      of.abortedTransactions(offset(from), offset(to)).map(({ producerId, firstOffset }) => [producerId, firstOffset]);
    const check = (of: PartitionLog): void => {
      expect(aborted(of, 0, 6)).toEqual([
        [1, 0],
        [3, 4],
      ]);
      expect(aborted(of, 2, 3)).toEqual([[1, 0]]);
      expect(aborted(of, 3, 4)).toEqual([]);
      expect(aborted(of, 5, 6)).toEqual([[3, 4]]);
    };
    check(log);
    await harness.crash();
    check(harness.store.get('t', 0) as PartitionLog);
    await harness.restart();
    check(harness.store.get('t', 0) as PartitionLog);
    expect(await files(harness, '.txnindex')).toEqual([0, 3]);
  });

  test('are told in the order in which they began, whichever ended first', async () => {
    const harness = await Harness.open();
    const log = await harness.create();
    for (const producerId of [1, 2, 3]) appended(log, data(producerId, 0));
    for (const producerId of [3, 1, 2]) appended(log, batch({ producerId, marker: 'abort' }));
    await harness.settle();
    const told = log.abortedTransactions(offset(0), offset(6));
    expect(told.map(({ firstOffset, lastOffset }) => [firstOffset, lastOffset])).toEqual([
      [0, 4],
      [1, 5],
      [2, 3],
    ]);
  });
});
