import { describe, expect, test } from 'vitest';
import type { Disk, Done, File, IoError } from '#base/ports';
import type { RaftLog } from '#storage/raft-log';
import { RaftSnapshotWriter } from '#storage/raft-log-snapshot';
import { crc32c, entries, LogWorld, payload, texts } from './raft-log-support.ts';
import { withoutRoom } from './support.ts';

const CHUNKS = ['one', 'two', 'three'].map(payload);

async function install(world: LogWorld, log: RaftLog, index: number, epoch: number): Promise<void> {
  const writer = await world.complete(log.beginInstall(index, epoch));
  for (const chunk of CHUNKS) await world.complete(writer.append(chunk));
  await world.complete(writer.finish());
  await world.complete(log.install(writer));
}

describe('a snapshot from the leader', () => {
  test('takes the place of the whole log, and the log goes on behind it', async () => {
    const world = new LogWorld(1);
    const { log } = await world.open();
    await world.append(log, entries(0, 1, ['a', 'b']));
    await install(world, log, 10, 4);
    expect([log.lastIndex, log.lastEpoch, log.durableIndex, log.snapshotIndex]).toEqual([10, 4, 10, 10]);
    expect(await world.append(log, entries(10, 5, ['k']))).toBeUndefined();
    await world.crash();
    const { recovered } = await world.open();
    expect(recovered.snapshot).toMatchObject({ index: 10, epoch: 4 });
    expect(recovered.snapshot?.chunks.map((chunk) => Buffer.from(chunk).toString())).toEqual(['one', 'two', 'three']);
    expect(texts(recovered.entries)).toEqual(['k']);
  });

  test('that finds no room for its first bytes leaves no file open: its leader sends it again and again', async () => {
    const { disk, openCount } = withoutRoom();
    const covers = { index: 10, epoch: 4 };
    await expect(RaftSnapshotWriter.open(disk, 'metadata', covers, crc32c)).rejects.toMatchObject({ code: 'ENOSPC' });
    expect(openCount()).toBe(0);
  });

  test('is there wholly or not at all after a power cut at any step', async () => {
    let installed = 0;
    let kept = 0;
    // Every step of the disk takes 0.4 ms, and the whole installation about twenty: all of them come by.
    for (let seed = 1; seed <= 300; seed += 1) {
      const world = new LogWorld(seed, { strike: () => ({ delayMs: 0.4 }) });
      const { log } = await world.open();
      await world.append(log, entries(0, 1, ['a', 'b']));
      const cutAt = world.world.clock.now() + (seed % 30) * 0.4;
      const writer = await world.complete(log.beginInstall(10, 4));
      const whole = (async () => {
        for (const chunk of CHUNKS) await writer.append(chunk);
        await writer.finish();
        await log.install(writer);
      })();
      whole.catch(() => {});
      await world.world.run(cutAt + 0.2);
      await world.crash();
      const { log: again, recovered } = await world.open();
      if (recovered.snapshot === undefined) {
        kept += 1;
        expect(texts(recovered.entries)).toEqual(['a', 'b']);
        expect(await world.append(again, entries(2, 1, ['c']))).toBeUndefined();
      } else {
        installed += 1;
        expect(recovered.snapshot.chunks).toHaveLength(3);
        expect(recovered.entries).toEqual([]);
        expect(await world.append(again, entries(10, 4, ['k']))).toBeUndefined();
      }
    }
    expect(Math.min(installed, kept)).toBeGreaterThan(20);
  });

  test('can be read chunk by chunk, also after a newer one has taken its place', async () => {
    const world = new LogWorld(2);
    const { log } = await world.open();
    await world.append(log, entries(0, 1, ['a', 'b', 'c', 'd']));
    await world.snapshot(log, 2, 1, CHUNKS);
    const reader = await world.complete(log.openSnapshot());
    expect(reader.covers).toEqual({ index: 2, epoch: 1 });
    expect(await world.complete(reader.read(0))).toEqual({ payload: payload('one'), last: false });
    await world.snapshot(log, 3, 1, [payload('other')]);
    expect(await world.complete(reader.read(1))).toEqual({ payload: payload('two'), last: false });
    expect(await world.complete(reader.read(0))).toEqual({ payload: payload('one'), last: false });
    expect(await world.complete(reader.read(2))).toEqual({ payload: payload('three'), last: true });
    await world.complete(reader.close());
  });

  test('that is damaged on the disk is not handed on', async () => {
    const world = new LogWorld(3);
    const { log } = await world.open();
    await world.append(log, entries(0, 1, ['a', 'b']));
    await world.snapshot(log, 2, 1, CHUNKS);
    const [name = ''] = (await world.names()).filter((found) => found.endsWith('.snapshot'));
    const bytes = await world.bytes(name);
    bytes[bytes.length - 16] = (bytes[bytes.length - 16] ?? 0) ^ 1;
    await world.overwrite(name, bytes);
    const reader = await world.complete(log.openSnapshot());
    expect(await world.complete(reader.read(0))).toMatchObject({ last: false });
    expect(await world.complete(reader.read(1))).toBe('damaged');
  });
});

test('a snapshot without room for its first bytes leaves no file behind, open or closed', async () => {
  const done: string[] = [];
  const noRoom = Object.assign(new Error('the disk is full'), { code: 'ENOSPC' }) as IoError;
  const file = {
    write: (_chunks: unknown, _at: number, then: Done) => then(noRoom, 0),
    close: async () => {
      done.push('close');
    },
  } as unknown as File;
  const disk = {
    open: async () => {
      done.push('open');
      return file;
    },
    remove: async () => {
      done.push('remove');
    },
  } as unknown as Disk;
  const opened = RaftSnapshotWriter.open(disk, 'metadata', { index: 10, epoch: 4 }, crc32c);
  await expect(opened).rejects.toBe(noRoom);
  expect(done).toEqual(['remove', 'open', 'close', 'remove']);
});
