import { describe, expect, test } from 'vitest';
import type { Disk } from '#base/ports';
import { nodeId, offset, uuid } from '#model/ids';
import { openToRead, readText, readWhole, writeAt } from '#storage/files';
import { defaultLogConfig } from '#storage/log-config';
import { LogStore } from '#storage/log-store';
import { append, appended, batch, Harness, headersOf } from './support.ts';

const OTHER_TOPIC = uuid('AAAAAAAAAAAAAAAAAAAABg');

async function change(harness: Harness, path: string, work: (bytes: Uint8Array) => void): Promise<void> {
  const disk = harness.disks[0] as Disk;
  await harness.world.complete(
    (async () => {
      const bytes = await readWhole(disk, path);
      if (bytes === undefined) throw new Error(`no ${path}`);
      work(bytes);
      const file = await disk.open(path, 'write');
      await writeAt(file, [bytes], 0);
      await file.close();
    })(),
  );
}

function text(harness: Harness, path: string): Promise<string | undefined> {
  return harness.world.complete(readText(harness.faults[0] as Disk, path));
}

describe('a log that is deleted while its first write is under way', () => {
  test('does not put its topic’s id on the next log of that name, which would be taken for a stray', async () => {
    const harness = await Harness.open();
    const { store, world } = harness;
    const log = await harness.create();
    let isDelayed = false;
    harness.strike = (operation, path) => {
      if (isDelayed || operation !== 'open' || !path.endsWith('.log')) return undefined;
      isDelayed = true;
      return { delayMs: 1000 };
    };
    appended(log, batch());
    const deleted = store.delete(log);
    await harness.settle(1);
    const created = deleted.then(() => store.create('t', OTHER_TOPIC, 0, defaultLogConfig()));
    const next = await world.complete(created);
    if (next === undefined) return expect.unreachable();
    appended(next, batch());
    await harness.settle(2000);
    const again = (await harness.crash()).get('t', 0);
    expect([again?.topicId, again?.logEndOffset]).toEqual([OTHER_TOPIC, 1]);
  });
});

describe('recovery', () => {
  test('finds an empty log that began anew above 0: without it the replica would give offsets out a second time', async () => {
    for (let seed = 1; seed <= 10; seed += 1) {
      const harness = await Harness.open({ seed });
      const log = await harness.create();
      appended(log, batch());
      await harness.settle();
      await harness.world.complete(harness.store.restart(log, offset(77)));
      const again = (await harness.crash()).get('t', 0);
      expect([again?.logStartOffset, again?.logEndOffset]).toEqual([77, 77]);
    }
  });

  test('quarantines a log that is damaged below its recovery point: reported, not served, not cut (S3)', async () => {
    const harness = await Harness.open();
    const log = await harness.create();
    const other = await harness.create('t', 1);
    for (let round = 0; round < 10; round += 1) {
      appended(log, batch({ valueBytes: 100 }));
      appended(other, batch());
    }
    await harness.settle(6000);
    await harness.stop();
    const path = 't-0/00000000000000000000.log';
    const sizeBefore = (await harness.world.complete(readWhole(harness.disks[0] as Disk, path)))?.length;
    await change(harness, path, (bytes) => {
      bytes[300] = (bytes[300] as number) ^ 1;
    });
    await harness.start();
    expect(harness.store.quarantined).toMatchObject([{ topic: 't', partition: 0, folder: 't-0' }]);
    expect(harness.store.quarantined[0]?.reason).toMatch(/checksum .* everything below 10 was synced/);
    expect([harness.store.get('t', 0), harness.store.get('t', 1)?.logEndOffset]).toEqual([undefined, 10]);
    expect((await harness.world.complete(readWhole(harness.disks[0] as Disk, path)))?.length).toBe(sizeBefore);
    const again = harness.store.create('t', uuid('AAAAAAAAAAAAAAAAAAAABQ'), 0, defaultLogConfig());
    expect(await harness.world.complete(again)).toBeUndefined();
  });

  test('gives the place of a damaged log to an empty one when asked to, and keeps what was there', async () => {
    const harness = await Harness.open();
    const log = await harness.create();
    for (let round = 0; round < 10; round += 1) appended(log, batch({ valueBytes: 100 }));
    await harness.settle(6000);
    await harness.stop();
    await change(harness, 't-0/00000000000000000000.log', (bytes) => {
      bytes[300] = (bytes[300] as number) ^ 1;
    });
    await harness.start();
    const { store, world } = harness;
    const other = uuid('AAAAAAAAAAAAAAAAAAAABw');
    expect([store.isDamaged('t', log.topicId, 0), store.isDamaged('t', other, 0)]).toEqual([true, false]);
    const made = await world.complete(store.replaceDamaged('t', log.topicId, 0, defaultLogConfig()));
    expect([made?.logStartOffset, made?.logEndOffset, store.get('t', 0) === made]).toEqual([0, 0, true]);
    expect([store.quarantined, store.isDamaged('t', log.topicId, 0)]).toEqual([[], false]);
    const folders = await world.complete((harness.disks[0] as Disk).list(''));
    const stray = folders.find((name) => name.endsWith('-stray'));
    expect(stray).toMatch(/^t-0\./);
    if (made === undefined) return expect.unreachable();
    appended(made, batch());
    await harness.settle(50);
    await harness.crash();
    expect([harness.store.get('t', 0)?.logEndOffset, harness.store.quarantined]).toEqual([1, []]);
  });

  test('does so with one that turns out to be damaged while it is served, too, also when its last records were not written yet', async () => {
    const harness = await Harness.open();
    const log = await harness.create();
    for (let round = 0; round < 10; round += 1) appended(log, batch());
    const { store, world } = harness;
    await world.complete(store.quarantine(log, 'the checksum does not match'));
    expect(store.quarantined).toMatchObject([{ topic: 't', partition: 0, folder: 't-0', topicId: log.topicId }]);
    expect([store.get('t', 0), store.isDamaged('t', log.topicId, 0)]).toEqual([undefined, true]);
    const path = 't-0/00000000000000000000.log';
    expect(headersOf((await world.complete(readWhole(harness.faults[0] as Disk, path))) ?? batch()).length).toBe(10);
    await harness.settle(6000);
    expect(await text(harness, 'recovery-point-offset-checkpoint')).toMatch(/^t 0 10$/m);
    const made = await world.complete(store.replaceDamaged('t', log.topicId, 0, defaultLogConfig()));
    expect([made?.logEndOffset, store.get('t', 0) === made, store.quarantined]).toEqual([0, true, []]);
    const folders = await world.complete((harness.faults[0] as Disk).list(''));
    expect(folders.filter((name) => name.endsWith('-stray'))).toHaveLength(1);
  });

  test('cuts what is damaged above the recovery point after the last whole batch, and says so', async () => {
    const harness = await Harness.open();
    const log = await harness.create();
    for (let round = 0; round < 10; round += 1) appended(log, batch({ valueBytes: 100 }));
    await harness.settle(50);
    await harness.crash();
    harness.world.kill('node');
    await harness.world.complete(Promise.all(harness.faults.map((fault) => fault.close())));
    // No checkpoint has run: the recovery point is 0.
    await change(harness, 't-0/00000000000000000000.log', (bytes) => {
      bytes[bytes.length - 1] = 255;
    });
    await harness.start();
    expect(harness.store.get('t', 0)?.logEndOffset).toBe(9);
    expect(harness.lines.some(({ level, message }) => level === 'warn' && message.includes('cut'))).toBe(true);
  });

  test('needs no index files: those that are gone or damaged are made anew', async () => {
    const harness = await Harness.open({ tailCacheBytes: 0 });
    const log = await harness.create('t', 0, { segmentBytes: 50_000 });
    for (let round = 0; round < 100; round += 1) appended(log, batch({ valueBytes: 2000, timestamp: 1000 + round }));
    await harness.settle();
    await harness.stop();
    await change(harness, 't-0/00000000000000000000.index', (bytes) => bytes.fill(255));
    await harness.world.complete((harness.disks[0] as Disk).remove('t-0/00000000000000000000.timeindex'));
    await harness.start();
    const again = harness.store.get('t', 0);
    if (again === undefined) return expect.unreachable();
    expect(await harness.bases(again, 13, offset(14))).toEqual([13]);
    const found = await harness.world.complete(
      new Promise((resolve) => again.offsetForTimestamp(1017, again.logEndOffset, resolve)),
    );
    expect(found).toMatchObject({ offset: 17, timestamp: 1017 });
  });

  test('believes no index in which one bit has flipped: every record is found for all that', async () => {
    const BATCHES = 40;
    const harness = await Harness.open({ tailCacheBytes: 0 });
    const log = await harness.create('t', 0, { segmentBytes: 300_000 });
    for (let round = 0; round < BATCHES; round += 1)
      appended(log, batch({ count: 5, valueBytes: 2000, timestamp: 1000 + 10 * round }));
    await harness.settle();
    await harness.stop();
    const path = 't-0/00000000000000000000.index';
    const index = (await harness.world.complete(readWhole(harness.disks[0] as Disk, path))) ?? batch();
    const bits = Array.from({ length: index.length * 8 }, (_, bit) => bit).filter((bit) => bit % 3 === 0);
    for (const bit of bits) {
      await change(harness, path, (bytes) => {
        bytes.set(index);
        bytes[bit >> 3] = (bytes[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      });
      await harness.start();
      const again = harness.store.get('t', 0);
      if (again === undefined) return expect.unreachable();
      const read = async (): Promise<void> => {
        for (let at = 0; at < 5 * BATCHES; at += 5) {
          expect([bit, await harness.bases(again, at, offset(at + 5))]).toEqual([bit, [at]]);
        }
      };
      const lookUp = async (): Promise<void> => {
        for (let round = 0; round < BATCHES; round += 1) {
          const found = await harness.world.complete(
            new Promise((resolve) => again.offsetForTimestamp(1000 + 10 * round, again.logEndOffset, resolve)),
          );
          expect([bit, found]).toMatchObject([bit, { offset: 5 * round }]);
        }
      };
      // Whoever comes first finds it out for all.
      for (const ask of bit % 2 === 0 ? [read, lookUp] : [lookUp, read]) await ask();
      await harness.stop();
    }
  });

  test('does not recover at all by a damaged checkpoint of recovery points', async () => {
    const harness = await Harness.open({ disks: 2 });
    for (let index = 0; index < 2; index += 1) appended(await harness.create('t', index), batch());
    await harness.settle(6000);
    await harness.stop();
    const second = harness.disks[1] as Disk;
    const path = 'recovery-point-offset-checkpoint';
    await harness.world.complete(
      (async () => {
        const file = await second.open(path, 'write');
        await writeAt(file, [Buffer.from('what')], 0);
        await file.close();
      })(),
    );
    await harness.start();
    expect(harness.store.offlineDirectoryCount).toBe(1);
    expect([...harness.store.logs()]).toHaveLength(1);
  });
});

describe('a data directory', () => {
  test('belongs to one process at a time', async () => {
    const harness = await Harness.open();
    const disk = harness.disks[0] as Disk;
    const second = LogStore.open(
      { ...harness.world.ports('second', { disks: [disk] }) },
      {
        nodeId: nodeId(1),
        tailCacheBytes: 0,
        minFreeBytes: 0,
        retentionCheckMs: 1e6,
        producerIdExpirationMs: () => 1e6,
        onAllOffline: () => {},
      },
    );
    await expect(harness.world.complete(second)).rejects.toMatchObject({ code: 'ELOCKED' });
  });

  test('belongs to one node of one cluster', async () => {
    const harness = await Harness.open();
    const id = harness.store.metadataDirectoryId;
    await harness.world.complete(harness.store.setClusterId('mine'));
    await harness.restart();
    expect([harness.store.metadataDirectoryId, harness.store.clusterId]).toEqual([id, 'mine']);
    expect(await text(harness, 'meta.properties')).toContain(`directory.id=${id}`);
    await expect(harness.world.complete(harness.store.setClusterId('theirs'))).rejects.toMatchObject({
      code: 'foreign',
    });
    await harness.stop();
    const options = {
      nodeId: nodeId(2),
      tailCacheBytes: 0,
      minFreeBytes: 0,
      retentionCheckMs: 1e6,
      producerIdExpirationMs: () => 1e6,
      onAllOffline: () => {},
    };
    const stranger = LogStore.open(harness.world.ports('stranger', { disks: harness.disks }), options);
    await expect(harness.world.complete(stranger)).rejects.toMatchObject({ code: 'foreign' });
  });

  test('has its clean-shutdown marker only between a clean shutdown and the next start', async () => {
    const harness = await Harness.open();
    expect(await text(harness, '.kafka_cleanshutdown')).toBeUndefined();
    await harness.stop();
    const disk = harness.disks[0] as Disk;
    expect(await harness.world.complete(readText(disk, '.kafka_cleanshutdown'))).toBe('{"version":0,"brokerEpoch":-1}');
    await harness.start();
    expect(await harness.world.complete(readText(disk, '.kafka_cleanshutdown'))).toBeUndefined();
  });

  test('tells under which broker epoch it was last closed, once, and only if all of them were (KIP-966)', async () => {
    const harness = await Harness.open({ disks: 2 });
    expect(harness.store.cleanBrokerEpoch).toBeUndefined();
    harness.store.brokerEpoch = 7;
    await harness.stop();
    await harness.start();
    expect(harness.store.cleanBrokerEpoch).toBe(7);
    await harness.crash();
    expect(harness.store.cleanBrokerEpoch).toBeUndefined();
    harness.store.brokerEpoch = 9;
    await harness.stop();
    await harness.world.complete((harness.disks[1] as Disk).remove('.kafka_cleanshutdown'));
    await harness.start();
    expect(harness.store.cleanBrokerEpoch).toBeUndefined();
    await harness.stop();
    await harness.start();
    expect(harness.store.cleanBrokerEpoch).toBeUndefined();
  });

  test('spreads new logs: each goes where the fewest are', async () => {
    const harness = await Harness.open({ disks: 3 });
    for (let index = 0; index < 9; index += 1) await harness.create('t', index);
    expect(harness.store.directories.map(({ logCount }) => logCount)).toEqual([3, 3, 3]);
  });
});

describe('deleted and strange logs', () => {
  test('a deleted log is not served, and its files go after file.delete.delay.ms', async () => {
    const harness = await Harness.open();
    const log = await harness.create('t', 0, { fileDeleteDelayMs: 30_000 });
    appended(log, batch());
    await harness.settle();
    await harness.world.complete(harness.store.delete(log));
    expect(harness.store.get('t', 0)).toBeUndefined();
    const names = (): Promise<readonly string[]> => harness.world.complete((harness.faults[0] as Disk).list(''));
    expect((await names()).filter((name) => /^t-0\.[0-9a-f]{32}-delete$/.test(name))).toHaveLength(1);
    await harness.settle(20_000);
    expect((await names()).some((name) => name.endsWith('-delete'))).toBe(true);
    await harness.settle(20_000);
    expect((await names()).some((name) => name.startsWith('t-0'))).toBe(false);
  });

  test('a log that was deleted before a crash is gone after it', async () => {
    const harness = await Harness.open();
    appended(await harness.create(), batch());
    await harness.settle();
    await harness.world.complete(harness.store.delete(harness.store.get('t', 0) as never));
    await harness.crash();
    expect([...harness.store.logs()]).toEqual([]);
    await harness.settle(20_000);
    const names = await harness.world.complete((harness.faults[0] as Disk).list(''));
    expect(names.filter((name) => name.startsWith('t-0'))).toEqual([]);
  });

  test('a log set aside keeps its data under another name, and its place is free for the topic of that name', async () => {
    const harness = await Harness.open();
    appended(await harness.create(), batch());
    await harness.restart();
    await harness.world.complete(harness.store.setAside(harness.store.get('t', 0) as never));
    const log = await harness.world.complete(harness.store.create('t', OTHER_TOPIC, 0, defaultLogConfig()));
    expect([log?.logEndOffset, log?.topicId]).toEqual([0, OTHER_TOPIC]);
    await harness.settle(10_000);
    const disk = harness.faults[0] as Disk;
    const [stray] = (await harness.world.complete(disk.list(''))).filter((name) => name.endsWith('-stray'));
    const file = await harness.world.complete(openToRead(disk, `${stray}/00000000000000000000.log`));
    expect(await harness.world.complete(file?.sizeBytes() ?? Promise.resolve(0))).toBeGreaterThan(0);
    await harness.restart();
    expect([...harness.store.logs()].map(({ topicId }) => topicId)).toEqual([OTHER_TOPIC]);
  });

  test('a log made again under its name starts empty, whatever was saved of the one before', async () => {
    const harness = await Harness.open();
    appended(await harness.create(), batch({ count: 5 }));
    await harness.settle(6000);
    await harness.world.complete(harness.store.delete(harness.store.get('t', 0) as never));
    const log = await harness.world.complete(harness.store.create('t', OTHER_TOPIC, 0, defaultLogConfig()));
    if (log === undefined) return expect.unreachable();
    appended(log, batch());
    await harness.settle(50);
    await harness.crash();
    expect([harness.store.quarantined.length, harness.store.get('t', 0)?.logEndOffset]).toEqual([0, 1]);
  });
});

describe('a store that closes', () => {
  test('waits for a log that is being made, and leaves a clean shutdown (seed 41)', async () => {
    const harness = await Harness.open();
    harness.store.brokerEpoch = 7;
    const making = harness.store.create('t', OTHER_TOPIC, 0, defaultLogConfig());
    await harness.restart();
    expect([(await making)?.topic, harness.store.get('t', 0)?.logEndOffset]).toEqual(['t', 0]);
    expect(harness.store.cleanBrokerEpoch).toBe(7);
  });

  test('begins nothing more', async () => {
    const harness = await Harness.open();
    const { store, world } = harness;
    const log = await harness.create();
    const closing = store.close();
    const refused = [store.create('u', OTHER_TOPIC, 0, defaultLogConfig()), store.restart(log, offset(7))];
    expect(await world.complete(Promise.all(refused))).toEqual([undefined, undefined]);
    await world.complete(closing);
    const names = await world.complete((harness.disks[0] as Disk).list(''));
    expect([names.includes('t-0'), names.includes('u-0')]).toEqual([true, false]);
  });
});

test('flush.policy=os acknowledges what is written, and a power cut may take it; the checkpoint makes it safe', async () => {
  const harness = await Harness.open();
  const log = await harness.create('t', 0, { flushPolicy: 'os' });
  let syncs = 0;
  harness.strike = (operation, path) => {
    if (operation === 'sync' && path.endsWith('.log')) syncs += 1;
    return undefined;
  };
  appended(log, batch());
  await harness.settle(50);
  expect([log.durableOffset, syncs]).toEqual([1, 0]);
  await harness.settle(6000);
  expect([log.recoveryPoint, syncs]).toEqual([1, 1]);
  append(log, batch());
  await harness.settle(6000);
  await harness.crash();
  expect(harness.store.get('t', 0)?.logEndOffset).toBe(2);
});

describe('a disk that hangs', () => {
  test('holds up checkpoints, retention and removals on no other', async () => {
    const harness = await Harness.open({ disks: 2, retentionCheckMs: 10_000 });
    const [hung, log] = [await harness.create('t', 0), await harness.create('t', 1)];
    expect(hung.directory).not.toBe(log.directory);
    harness.strike = (_operation, path) => (path.startsWith('t-0/leader-epoch') ? { delayMs: 1e9 } : undefined);
    appended(hung, batch());
    for (let round = 1; round <= 3; round += 1) {
      appended(log, batch());
      log.roll();
      await harness.settle(6000);
      expect([hung.recoveryPoint, log.recoveryPoint]).toEqual([0, round]);
    }
    log.updateConfig({ ...log.config, retentionBytes: 0 });
    await harness.settle(12_000);
    expect(log.logStartOffset).toBe(3);
  });
});
