import { describe, expect, test } from 'vitest';
import type { Disk } from '#base/ports';
import { leaderEpoch, offset, uuid } from '#model/ids';
import { readText, readWhole, writeAt } from '#storage/files';
import { defaultLogConfig } from '#storage/log-config';
import type { PartitionLog } from '#storage/partition-log';
import { append, appended, batch, Harness, Listener, TOPIC_ID } from './support.ts';

const OTHER_TOPIC = uuid('AAAAAAAAAAAAAAAAAAAABg');
const SEGMENT = 't-0/00000000000000000000.log';

async function flipBit(harness: Harness, path: string, at: number): Promise<void> {
  const disk = harness.disks[0] as Disk;
  await harness.world.complete(
    (async () => {
      const bytes = await readWhole(disk, path);
      if (bytes === undefined) throw new Error(`no ${path}`);
      bytes[at] = (bytes[at] as number) ^ 1;
      const file = await disk.open(path, 'write');
      await writeAt(file, [bytes], 0);
      await file.close();
    })(),
  );
}

describe('a process that is killed', () => {
  test('leaves bytes that no sync has covered: they count as durable only once the next process has synced them', async () => {
    const harness = await Harness.open();
    appended(await harness.create(), batch());
    await harness.settle();
    const log = harness.store.get('t', 0);
    if (log === undefined) return expect.unreachable();
    // The write ends, the sync never does.
    harness.strike = (operation, path) => (operation === 'sync' && path === SEGMENT ? { delayMs: 1e9 } : undefined);
    appended(log, batch());
    await harness.settle(50);
    expect(log.durableOffset).toBe(1);
    harness.strike = undefined;
    await harness.kill();
    const again = harness.store.get('t', 0);
    expect(again?.logEndOffset).toBe(2);
    expect(again?.durableOffset).toBe(2);
    await harness.crash();
    expect([harness.store.quarantined.length, harness.store.get('t', 0)?.logEndOffset]).toEqual([0, 2]);
  });

  test('leaves a checkpoint without its last leader epochs: a small log’s is not believed once the log has grown', async () => {
    const harness = await Harness.open();
    appended(await harness.create(), batch());
    await harness.settle(6000);
    const log = (): PartitionLog => harness.store.get('t', 0) as PartitionLog;
    for (const epoch of [3, 3, 3, 4, 4, 4]) appended(log(), batch({ valueBytes: 5000 }), leaderEpoch(epoch));
    await harness.settle();
    await harness.kill();
    await harness.restart();
    appended(log(), batch({ valueBytes: 300_000 }), leaderEpoch(5));
    await harness.settle();
    await harness.kill();
    expect(log().epochs.entries).toEqual([
      { epoch: 0, startOffset: 0 },
      { epoch: 3, startOffset: 1 },
      { epoch: 4, startOffset: 4 },
      { epoch: 5, startOffset: 7 },
    ]);
  });
});

test("a log that rolls twice before its first write finds room is nobody's after a kill", async () => {
  const harness = await Harness.open();
  const log = await harness.create('t', 0, { segmentBytes: 1000 });
  harness.strike = (operation, path) => {
    if (operation === 'write' && path.endsWith('partition.metadata')) return { fail: 'ENOSPC' };
    return operation === 'syncDir' && path === 't-0' ? { delayMs: 10_000 } : undefined;
  };
  for (let round = 0; round < 3; round += 1) appended(log, batch({ valueBytes: 900 }));
  await harness.settle(1000);
  harness.strike = undefined;
  await harness.kill();
  expect(harness.store.quarantined).toEqual([]);
});

describe('a quarantined log', () => {
  test('stays quarantined however often the node starts: its recovery point is kept', async () => {
    const harness = await Harness.open();
    const log = await harness.create();
    for (let round = 0; round < 10; round += 1) appended(log, batch({ valueBytes: 100 }));
    appended(await harness.create('t', 1), batch());
    await harness.settle(6000);
    await harness.stop();
    await flipBit(harness, SEGMENT, 300);
    for (let start = 0; start < 3; start += 1) {
      await harness.start();
      expect(harness.store.quarantined).toMatchObject([{ topic: 't', partition: 0 }]);
      const other = harness.store.get('t', 1);
      if (other === undefined) return expect.unreachable();
      appended(other, batch());
      await harness.settle(6000);
      await harness.stop();
    }
    const size = (await harness.world.complete(readWhole(harness.disks[0] as Disk, SEGMENT)))?.length;
    expect(size).toBeGreaterThan(1500);
  });

  test.each([
    ['in the middle', 5],
    ['the last', 9],
  ])('is one with a batch that claims another offset, which no sum covers: %s', async (_, index) => {
    for (const byte of [3, 5, 7]) {
      const harness = await Harness.open();
      const log = await harness.create();
      for (let round = 0; round < 10; round += 1) appended(log, batch({ valueBytes: 100 }));
      await harness.settle(6000);
      await harness.stop();
      const bytes = await harness.world.complete(readWhole(harness.disks[0] as Disk, SEGMENT));
      await flipBit(harness, SEGMENT, ((bytes?.length ?? 0) / 10) * index + byte);
      await harness.start();
      expect(harness.store.quarantined, `byte ${byte}`).toMatchObject([{ topic: 't', partition: 0 }]);
    }
  });

  test.each([3, 5, 7])('is one with such a batch above the recovery point too: byte %i of its offset', async (byte) => {
    const harness = await Harness.open();
    const log = await harness.create();
    for (let round = 0; round < 10; round += 1) appended(log, batch({ valueBytes: 100 }));
    await harness.settle(50);
    expect(log.durableOffset).toBe(log.logEndOffset);
    await harness.powerOff();
    const bytes = await harness.world.complete(readWhole(harness.disks[0] as Disk, SEGMENT));
    await flipBit(harness, SEGMENT, ((bytes?.length ?? 0) / 10) * 4 + byte);
    await harness.start();
    expect(harness.store.quarantined).toMatchObject([{ topic: 't', partition: 0 }]);
  });

  test('of a deleted topic hands its name on, not its recovery point', async () => {
    const harness = await Harness.open();
    const log = await harness.create();
    for (let round = 0; round < 10; round += 1) appended(log, batch({ valueBytes: 100 }));
    await harness.settle(6000);
    await harness.stop();
    await flipBit(harness, SEGMENT, 300);
    await harness.start();
    const made = await harness.world.complete(harness.store.create('t', OTHER_TOPIC, 0, defaultLogConfig()));
    if (made === undefined) return expect.unreachable();
    appended(made, batch());
    await harness.settle(50);
    await harness.crash();
    expect(harness.store.quarantined).toEqual([]);
    expect(harness.store.get('t', 0)).toMatchObject({ topicId: OTHER_TOPIC, logEndOffset: 1 });
  });
});

describe('a folder that cannot be moved out of the way', () => {
  test('of a deleted topic is never written into for the next topic of that name', async () => {
    const harness = await Harness.open();
    const log = await harness.create();
    for (let round = 0; round < 10; round += 1) appended(log, batch({ valueBytes: 100 }, 1));
    await harness.settle();
    harness.strike = (operation) => (operation === 'rename' ? { fail: 'ENOSPC' } : undefined);
    await harness.world.complete(harness.store.delete(log));
    const refused = await harness.world.complete(harness.store.create('t', OTHER_TOPIC, 0, defaultLogConfig()));
    expect(refused).toBeUndefined();
    harness.strike = undefined;
    await harness.settle(2000);
    const made = await harness.world.complete(harness.store.create('t', OTHER_TOPIC, 0, defaultLogConfig()));
    if (made === undefined) return expect.unreachable();
    appended(made, batch({ valueBytes: 100 }, 2));
    await harness.settle();
    await harness.crash();
    expect(harness.store.get('t', 0)).toMatchObject({ topicId: OTHER_TOPIC, logEndOffset: 1 });
  });

  test('of a quarantined log keeps it, and its name is not taken', async () => {
    const harness = await Harness.open();
    const log = await harness.create();
    for (let round = 0; round < 10; round += 1) appended(log, batch({ valueBytes: 100 }));
    await harness.settle(6000);
    await harness.stop();
    await flipBit(harness, SEGMENT, 300);
    await harness.start();
    harness.strike = (operation) => (operation === 'rename' ? { fail: 'ENOSPC' } : undefined);
    const refused = await harness.world.complete(harness.store.create('t', OTHER_TOPIC, 0, defaultLogConfig()));
    expect(refused).toBeUndefined();
    expect(harness.store.quarantined).toHaveLength(1);
  });
});

describe('several data directories', () => {
  test('a creation that failed half-way on one leaves nothing there that would hide the log on the other', async () => {
    const harness = await Harness.open({ disks: 2 });
    let failures = 0;
    harness.strike = (operation, path) => {
      if (failures > 0 || operation !== 'open' || path !== SEGMENT) return undefined;
      failures += 1;
      return { fail: 'EMFILE' };
    };
    const log = await harness.create();
    expect([failures, log.directory]).toEqual([1, harness.store.directories[1]]);
    appended(log, batch());
    await harness.settle(2000);
    expect(log.durableOffset).toBe(1);
    await harness.kill();
    expect(harness.store.quarantined).toEqual([]);
    expect(harness.store.get('t', 0)?.logEndOffset).toBe(1);
  });

  test('while one could not be read at the start no log is made anew on another: it may be on the one that is missing', async () => {
    const harness = await Harness.open({ disks: 2 });
    const logs = [await harness.create('t', 0), await harness.create('t', 1)];
    for (const log of logs) appended(log, batch());
    await harness.settle(6000);
    const lost = logs.find(({ directory }) => directory === harness.store.directories[1]);
    if (lost === undefined) return expect.unreachable();
    await harness.stop();
    const second = harness.disks[1];
    harness.strike = undefined;
    harness.failAll = (disk) => disk === second;
    await harness.start();
    expect(harness.store.offlineDirectoryCount).toBe(1);
    const made = await harness.world.complete(
      harness.store.create(lost.topic, TOPIC_ID, lost.partition, defaultLogConfig()),
    );
    expect(made).toBeUndefined();
    await harness.stop();
    harness.failAll = () => false;
    await harness.start();
    expect([...harness.store.logs()].map(({ logEndOffset }) => logEndOffset)).toEqual([1, 1]);
  });

  test.each(['begin anew', 'be replaced, being damaged,'])(
    'while one could not be read at the start a log on another can %s all the same',
    async (how) => {
      const harness = await Harness.open({ disks: 2 });
      const logs = [await harness.create('t', 0), await harness.create('t', 1)];
      for (const log of logs) appended(log, batch({ count: 2 }));
      await harness.settle(6000);
      const kept = logs.find(({ directory }) => directory === harness.store.directories[0]);
      if (kept === undefined) return expect.unreachable();
      const { partition } = kept;
      await harness.stop();
      harness.failAll = (disk) => disk === harness.disks[1];
      await harness.start();
      const { store, world } = harness;
      const log = store.get('t', partition);
      if (log === undefined) return expect.unreachable();
      if (how === 'begin anew') {
        expect((await world.complete(store.restart(log, offset(5))))?.logStartOffset).toBe(5);
        return;
      }
      await world.complete(store.quarantine(log, 'a test'));
      const made = store.replaceDamaged('t', TOPIC_ID, partition, defaultLogConfig());
      expect((await world.complete(made))?.logEndOffset).toBe(0);
    },
  );
});

describe('without room', () => {
  test('for the journal the logs of a round are synced one by one instead, and acknowledged', async () => {
    const harness = await Harness.open();
    const logs = [];
    for (let index = 0; index < 30; index += 1) logs.push(await harness.create('t', index));
    for (const log of logs) appended(log, batch());
    await harness.settle();
    let writes = 0;
    harness.strike = (operation, path) => {
      if (operation !== 'write' || !path.startsWith('commit-journal')) return undefined;
      writes += 1;
      return { fail: 'ENOSPC' };
    };
    for (const log of logs) appended(log, batch());
    await harness.settle(500);
    expect(logs.map(({ durableOffset }) => durableOffset)).toEqual(new Array(30).fill(2));
    expect(writes).toBeGreaterThan(0);
    expect(writes).toBeLessThan(10);
  });

  test('a log that is to be cut ends where its leader says, and starts no later, while the disk keeps it from being cut', async () => {
    const harness = await Harness.open();
    const log = await harness.create();
    for (let round = 0; round < 4; round += 1) appended(log, batch());
    await harness.settle(6000);
    let isFull = true;
    harness.strike = (operation) => (isFull && operation === 'write' ? { fail: 'ENOSPC' } : undefined);
    log.deleteRecordsBefore(offset(3));
    log.truncateTo(offset(3), () => {});
    await harness.settle(50);
    expect([log.logStartOffset, log.logEndOffset, log.durableOffset]).toEqual([3, 3, 3]);
    isFull = false;
    await harness.settle(12_000);
    expect(appended(log, batch())).toBe(3);
  });

  test('a shutdown before the log has found its way back forgets no producer', async () => {
    const harness = await Harness.open();
    const log = await harness.create();
    for (let sequence = 0; sequence < 40; sequence += 1) {
      appended(log, batch({ producerId: 5, baseSequence: sequence, valueBytes: 10_000 }));
    }
    await harness.settle(6000);
    const before = log.producers.takeSnapshot();
    let isFull = true;
    harness.strike = (operation, path) =>
      isFull && operation === 'write' && /\.log$|checkpoint/.test(path) ? { fail: 'ENOSPC' } : undefined;
    log.listener = new Listener();
    appended(log, batch({ producerId: 5, baseSequence: 40 }));
    await harness.settle(500);
    expect(append(log, batch())).toBe('full');
    const closing = harness.store.close();
    await harness.settle(50);
    isFull = false;
    await harness.world.complete(closing);
    await harness.kill();
    const again = harness.store.get('t', 0);
    expect(again?.logEndOffset).toBe(40);
    expect(Buffer.from(again?.producers.takeSnapshot() ?? []).equals(before)).toBe(true);
  });
});

test('what flush.policy=os has acknowledged is synced before later records are acknowledged under fsync, also beside a journal', async () => {
  const harness = await Harness.open();
  const logs = [];
  for (let index = 0; index < 30; index += 1) logs.push(await harness.create('t', index, { flushPolicy: 'os' }));
  for (const log of logs) appended(log, batch({ valueBytes: 3000 }));
  await harness.settle(50);
  // Wakes the journal.
  for (let index = 30; index < 60; index += 1) appended(await harness.create('t', index), batch());
  await harness.settle(50);
  for (const log of logs) {
    log.updateConfig({ ...log.config, flushPolicy: 'fsync' });
    appended(log, batch({ valueBytes: 3000 }));
  }
  await harness.settle(200);
  expect(logs.map(({ durableOffset }) => durableOffset)).toEqual(new Array(30).fill(2));
  await harness.crash();
  const ends = logs.map(({ partition }) => harness.store.get('t', partition)?.logEndOffset);
  expect(ends).toEqual(new Array(30).fill(2));
});

test('what flush.policy=os has acknowledged is synced by the next checkpoint, also under fsync and if nothing follows it', async () => {
  const harness = await Harness.open();
  const log = await harness.create('t', 0, { flushPolicy: 'os' });
  appended(log, batch());
  await harness.settle(50);
  log.updateConfig({ ...log.config, flushPolicy: 'fsync' });
  await harness.settle(6000);
  expect([log.durableOffset, log.recoveryPoint]).toEqual([1, 1]);
  await harness.crash();
  expect(harness.store.get('t', 0)?.logEndOffset).toBe(1);
});

test('what flush.policy=os has acknowledged is synced at once when the topic comes to ask for fsync: from then on a crash is taken to lose nothing', async () => {
  const harness = await Harness.open();
  const log = await harness.create('t', 0, { flushPolicy: 'os' });
  appended(log, batch());
  await harness.settle(50);
  log.updateConfig({ ...log.config, flushPolicy: 'fsync' });
  await harness.settle(50);
  await harness.crash();
  expect(harness.store.get('t', 0)?.logEndOffset).toBe(1);
});

test('the id of a log that has offsets behind it is never given up, even if no record is left', async () => {
  const harness = await Harness.open();
  const log = await harness.create('t', 0, { retentionMs: -1, fileDeleteDelayMs: 0 });
  appended(log, batch({ count: 5 }));
  log.roll();
  await harness.settle();
  log.deleteRecordsBefore(log.durableOffset);
  await harness.settle(12_000);
  await harness.stop();
  expect(await harness.world.complete(readText(harness.disks[0] as Disk, 't-0/partition.metadata'))).toContain(
    'topic_id',
  );
  await flipBit(harness, 't-0/partition.metadata', 0);
  await harness.start();
  expect(harness.store.quarantined).toMatchObject([{ topic: 't', partition: 0, topicId: undefined }]);
});

test('index files that a power cut has left in part are not believed: the highest timestamp is found wherever it lies', async () => {
  for (let seed = 1; seed <= 40; seed += 1) {
    const harness = await Harness.open({ seed });
    const log = await harness.create();
    for (let round = 0; round < 20; round += 1) {
      const timestamp = round === 3 ? 5000 : 300 - round;
      appended(log, batch({ valueBytes: 64 * 1024, timestamp, producerId: 1, baseSequence: round }));
    }
    await harness.settle(6000);
    // A new epoch's checkpoint makes the names in the folder durable.
    appended(log, batch({ timestamp: 200 }), leaderEpoch(1));
    await harness.settle(6000);
    await harness.crash();
    const again = harness.store.get('t', 0);
    if (again === undefined) return expect.unreachable();
    const found = await harness.world.complete(
      new Promise((resolve) => again.maxTimestamp(again.logEndOffset, resolve)),
    );
    expect([seed, found]).toEqual([seed, { offset: 3, timestamp: 5000, leaderEpoch: 0 }]);
  }
});

describe('a segment that was sealed and grows again, because the log was cut', () => {
  test('is as old as its latest record: what retention knew of it before counts no more', async () => {
    const harness = await Harness.open();
    const log = await harness.create('t', 0, { retentionMs: 1000 });
    appended(log, batch({ timestamp: 100 }));
    appended(log, batch({ timestamp: 101 }));
    log.roll();
    await harness.settle();
    log.truncateTo(offset(1), () => {});
    await harness.settle();
    appended(log, batch({ timestamp: 5000 }));
    await harness.settle();
    log.enforceRetention(5500);
    await harness.settle();
    expect([log.logStartOffset, log.logEndOffset]).toEqual([0, 2]);
  });

  test('is not read by an index that was loaded before it was cut', async () => {
    const harness = await Harness.open({ tailCacheBytes: 0 });
    const log = await harness.create('t', 0, { indexIntervalBytes: 1 });
    for (let round = 0; round < 40; round += 1) {
      if (round === 10) log.roll();
      appended(log, batch({ valueBytes: 1000 }, 1));
    }
    log.roll();
    await harness.settle();
    // A reader asks for the index between the cut and the scan, and its file takes its time.
    let asked = false;
    const answers: unknown[] = [];
    harness.strike = (operation, path) => {
      if (operation === 'open' && path.endsWith('10.snapshot') && !asked) {
        asked = true;
        log.read(offset(15), offset(16), 1, true, (answer) => answers.push(answer));
      }
      return operation === 'read' && path.endsWith('.index') ? { delayMs: 300 } : undefined;
    };
    log.truncateTo(offset(20), () => {});
    await harness.settle(1000);
    harness.strike = undefined;
    expect(answers).toHaveLength(1);
    for (let round = 0; round < 20; round += 1) appended(log, batch({ valueBytes: 700, timestamp: 9000 + round }, 2));
    const find = (): Promise<unknown> =>
      harness.world.complete(new Promise((resolve) => log.maxTimestamp(log.logEndOffset, resolve)));
    expect(await find()).toMatchObject({ offset: 39, timestamp: 9019 });
    log.roll();
    await harness.settle();
    expect(await find()).toMatchObject({ offset: 39, timestamp: 9019 });
    for (let from = 0; from < 40; from += 1) expect((await harness.bases(log, from))[0]).toBe(from);
  });
});
