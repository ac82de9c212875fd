import { describe, expect, test } from 'vitest';
import type { IoError, IoErrorCode } from '#base/ports';
import type { DiskOperation } from '#faults/fault-disk';
import { nodeId, uuid } from '#model/ids';
import { RaftLog } from '#storage/raft-log';
import { segmentName, snapshotName } from '#storage/raft-log-format';
import { RaftLogError } from '#storage/raft-log-recovery';
import { crc32c, DIRECTORY, entries, FOLDER, LogWorld, payload, texts } from './raft-log-support.ts';

const FIRST_SEGMENT = segmentName(1);

async function written(world: LogWorld, ...groups: readonly (readonly string[])[]): Promise<void> {
  const { log } = await world.open();
  for (const group of groups) await world.append(log, entries(log.lastIndex, 1, group));
  await world.complete(log.close());
}

async function refusal(world: LogWorld): Promise<RaftLogError> {
  const outcome = await world.open().catch((failure: unknown) => failure);
  expect(outcome).toBeInstanceOf(RaftLogError);
  return outcome as RaftLogError;
}

describe('a raft log', () => {
  test('begins empty, in epoch 0, with no vote given', async () => {
    const world = new LogWorld(1);
    const { log, recovered } = await world.open();
    expect(recovered).toEqual({ hardState: { epoch: 0, votedFor: null }, snapshot: undefined, entries: [] });
    expect([log.lastIndex, log.lastEpoch, log.durableIndex, log.snapshotIndex]).toEqual([0, 0, 0, 0]);
  });

  test('gives back what was appended, after a clean close and after a power cut', async () => {
    const world = new LogWorld(2);
    await written(world, ['a'], ['b', 'c']);
    const { log, recovered } = await world.open();
    expect(texts(recovered.entries)).toEqual(['a', 'b', 'c']);
    expect(recovered.entries.map(({ index, epoch }) => [index, epoch])).toEqual([
      [1, 1],
      [2, 1],
      [3, 1],
    ]);
    await world.append(log, entries(3, 2, ['d']));
    await world.crash();
    expect(texts((await world.open()).recovered.entries)).toEqual(['a', 'b', 'c', 'd']);
  });

  test('puts appends that arrive during a write into one write and one sync', async () => {
    const operations: DiskOperation[] = [];
    const world = new LogWorld(3, {
      strike: (operation) => {
        operations.push(operation);
        return undefined;
      },
    });
    const { log } = await world.open();
    operations.length = 0;
    const order: number[] = [];
    const appends = Array.from(
      { length: 20 },
      (_, at) =>
        new Promise<void>((resolve) => {
          log.append(entries(at, 1, [`${at}`]), () => {
            order.push(at);
            resolve();
          });
        }),
    );
    expect(order).toEqual([]);
    await world.complete(Promise.all(appends));
    expect(operations).toEqual(['write', 'sync', 'write', 'sync']);
    expect(order).toEqual(Array.from({ length: 20 }, (_, at) => at));
    expect(log.durableIndex).toBe(20);
  });

  test('takes entries in order only', async () => {
    const { log } = await new LogWorld(4).open();
    const none = () => {};
    expect(() => log.append(entries(1, 1, ['gap']), none)).toThrow('entry 2/1 after 0/0');
    log.append(entries(0, 5, ['a']), none);
    expect(() => log.append(entries(1, 4, ['older epoch']), none)).toThrow('entry 2/4 after 1/5');
  });

  test('keeps the hard state over a power cut', async () => {
    const world = new LogWorld(5);
    const { log } = await world.open();
    const votedFor = { id: nodeId(3), directoryId: uuid('CQkJCQkJCQkJCQkJCQkJCQ') };
    await world.complete(log.saveHardState({ epoch: 9, votedFor }));
    await world.crash();
    expect((await world.open()).recovered.hardState).toEqual({ epoch: 9, votedFor });
  });

  test('drops overruled entries for good, over segments too', async () => {
    const world = new LogWorld(6);
    const { log } = await world.open({ segmentBytes: 64 });
    for (const text of ['a', 'b', 'c', 'd', 'e', 'f']) await world.append(log, entries(log.lastIndex, 2, [text]));
    expect((await world.names()).filter((name) => name.endsWith('.raft')).length).toBeGreaterThan(2);
    await world.complete(log.truncateFrom(2));
    expect([log.lastIndex, log.lastEpoch, log.durableIndex]).toEqual([1, 2, 1]);
    await world.append(log, entries(1, 3, ['B']));
    await world.crash();
    const { recovered } = await world.open();
    expect(texts(recovered.entries)).toEqual(['a', 'B']);
    expect(recovered.entries.map(({ epoch }) => epoch)).toEqual([2, 3]);
  });

  test('replaces a prefix by a snapshot, frees its segments, and goes on behind it', async () => {
    const world = new LogWorld(7);
    const { log } = await world.open({ segmentBytes: 64 });
    for (const text of ['a', 'b', 'c', 'd', 'e']) await world.append(log, entries(log.lastIndex, 1, [text]));
    await world.snapshot(log, 2, 1, [payload('ab')]);
    await world.snapshot(log, 4, 1, [payload('ab'), payload('cd')]);
    expect((await world.names()).filter((name) => name.endsWith('.snapshot'))).toEqual([snapshotName(4, 1)]);
    expect(await world.names()).not.toContain(FIRST_SEGMENT);
    await world.append(log, entries(5, 1, ['f']));
    await world.crash();
    const { recovered } = await world.open();
    expect(recovered.snapshot).toMatchObject({ index: 4, epoch: 1 });
    expect(recovered.snapshot?.chunks.map((chunk) => Buffer.from(chunk).toString())).toEqual(['ab', 'cd']);
    expect(texts(recovered.entries)).toEqual(['e', 'f']);
    expect(recovered.entries[0]?.index).toBe(5);
  });

  test('forgets a snapshot that was given up', async () => {
    const world = new LogWorld(8);
    const { log } = await world.open();
    await world.append(log, entries(0, 1, ['a']));
    const writer = await world.complete(log.beginSnapshot(1, 1));
    await world.complete(writer.abandon());
    expect(await world.names()).toEqual([FIRST_SEGMENT, 'quorum-state']);
  });

  test('can be opened after a power cut at any step of its first start', async () => {
    const start = (world: LogWorld) => {
      const began = { done: false };
      void RaftLog.open(world.disk, { crc32c, folder: FOLDER, directoryId: DIRECTORY }).then(() => {
        began.done = true;
      });
      return began;
    };
    const whole = new LogWorld(9);
    const began = start(whole);
    let steps = 0;
    await whole.world.run(() => {
      steps += 1;
      return began.done;
    });
    expect(steps).toBeGreaterThan(10);
    for (let stop = 0; stop < steps; stop += 1) {
      const world = new LogWorld(9);
      start(world);
      let step = 0;
      await world.world.run(() => {
        step += 1;
        return step > stop;
      });
      await world.crash();
      expect((await world.open()).recovered).toMatchObject({ hardState: { epoch: 0 }, entries: [] });
    }
  });
});

describe('a killed process', () => {
  test('leaves nothing that counts and that the next power cut takes', async () => {
    for (let seed = 100; seed < 140; seed += 1) {
      let slow = false;
      const world = new LogWorld(seed, {
        strike: (operation) => (slow && operation === 'sync' ? { delayMs: 1e6 } : undefined),
      });
      const { log } = await world.open();
      slow = true;
      log.append(entries(0, 1, ['a', 'b']), () => expect.unreachable('it is not synced'));
      await world.world.run(world.world.clock.now() + 100);
      await world.kill();
      slow = false;
      const found = texts((await world.open()).recovered.entries);
      await world.crash();
      expect(texts((await world.open()).recovered.entries).slice(0, found.length)).toEqual(found);
    }
  });
});

describe('no room on the disk', () => {
  test('drops what was appended and takes more when there is room again', async () => {
    let full = false;
    const world = new LogWorld(20, {
      strike: (operation) => (full && operation === 'write' ? { fail: 'ENOSPC' } : undefined),
    });
    const { log } = await world.open();
    await world.append(log, entries(0, 1, ['a']));
    full = true;
    const failures: (string | undefined)[] = [];
    log.append(entries(1, 3, ['b']), (failure) => failures.push(failure?.code));
    log.append(entries(2, 3, ['c']), (failure) => failures.push(failure?.code));
    await world.world.run(() => failures.length === 2);
    expect(failures).toEqual(['ENOSPC', 'ENOSPC']);
    expect([log.lastIndex, log.lastEpoch]).toEqual([1, 1]);
    full = false;
    expect(await world.append(log, entries(1, 2, ['B']))).toBeUndefined();
    await world.crash();
    expect(texts((await world.open()).recovered.entries)).toEqual(['a', 'B']);
  });

  test('drops also what comes while the log is being cut back', async () => {
    let full = false;
    const world = new LogWorld(22, {
      strike: (operation) => (full && operation === 'write' ? { fail: 'ENOSPC' } : undefined),
    });
    const { log } = await world.open();
    await world.append(log, entries(0, 1, ['a']));
    full = true;
    const failures: (string | undefined)[] = [];
    const fail = (failure: IoError | undefined) => failures.push(failure?.code);
    log.append(entries(1, 1, ['b']), fail);
    for (let next = 2; failures.length === 0; next += 1) {
      log.append(entries(next, 1, ['c']), fail);
      await world.world.run(world.world.clock.now() + 0.01);
    }
    expect(new Set(failures)).toEqual(new Set(['ENOSPC']));
    expect(failures.length).toBeGreaterThan(2);
    expect(log.lastIndex).toBe(1);
    full = false;
    expect(await world.append(log, entries(1, 2, ['B']))).toBeUndefined();
  });

  test('for a new segment is no different', async () => {
    let full = false;
    const world = new LogWorld(21, {
      strike: (operation, path) =>
        full && operation === 'write' && path.endsWith('.new') ? { fail: 'ENOSPC' } : undefined,
    });
    const { log } = await world.open({ segmentBytes: 30 });
    await world.append(log, entries(0, 1, ['a']));
    full = true;
    expect((await world.append(log, entries(1, 1, ['b'])))?.code).toBe('ENOSPC');
    full = false;
    expect(await world.append(log, entries(1, 1, ['B']))).toBeUndefined();
    await world.complete(log.close());
    expect(texts((await world.open()).recovered.entries)).toEqual(['a', 'B']);
  });
});

describe('a failing disk', () => {
  test.each<readonly [DiskOperation, IoErrorCode]>([
    ['sync', 'EIO'],
    ['sync', 'ENOSPC'],
    ['write', 'EIO'],
  ])('%s with %s fails the log: nothing is confirmed, nothing is tried again', async (operation, code) => {
    let broken = false;
    let strikes = 0;
    const world = new LogWorld(30, {
      strike: (struck) => {
        if (!broken || struck !== operation) return undefined;
        strikes += 1;
        return { fail: code };
      },
    });
    const { log } = await world.open();
    broken = true;
    const failures: (string | undefined)[] = [];
    log.append(entries(0, 1, ['a']), (failure) => failures.push(failure?.code));
    log.append(entries(1, 1, ['b']), (failure) => failures.push(failure?.code));
    await world.world.run(() => failures.length === 2);
    expect([failures, strikes, log.durableIndex]).toEqual([[code, code], 1, 0]);
    expect(() => log.append(entries(2, 1, ['c']), () => {})).toThrow('failed or is closed');
  });
});

describe('damage', () => {
  test('a torn tail is cut, and what follows is appended in its place', async () => {
    const world = new LogWorld(40);
    await written(world, ['a'], ['b']);
    const bytes = await world.bytes(FIRST_SEGMENT);
    await world.overwrite(FIRST_SEGMENT, bytes.subarray(0, bytes.length - 1));
    const { log, recovered } = await world.open();
    expect(texts(recovered.entries)).toEqual(['a']);
    await world.append(log, entries(1, 2, ['B']));
    await world.crash();
    expect(texts((await world.open()).recovered.entries)).toEqual(['a', 'B']);
  });

  test('of an entry that was on disk when a later one was written is corruption, never a torn tail', async () => {
    const world = new LogWorld(41);
    await written(world, ['first'], ['second']);
    const bytes = Uint8Array.from(await world.bytes(FIRST_SEGMENT));
    bytes[24 + 28] = 0;
    await world.overwrite(FIRST_SEGMENT, bytes);
    const { code, message } = await refusal(world);
    expect(code).toBe('CORRUPT');
    expect(message).toContain('entry 1 at byte 20 is damaged, and it had been on disk');
  });

  test('of the first of two entries of one unfinished write is a torn tail', async () => {
    const world = new LogWorld(42);
    await written(world, ['a'], ['b', 'c']);
    const bytes = Uint8Array.from(await world.bytes(FIRST_SEGMENT));
    bytes[20 + 29 + 28] = 0;
    await world.overwrite(FIRST_SEGMENT, bytes);
    expect(texts((await world.open()).recovered.entries)).toEqual(['a']);
  });

  test('that was cut never comes back behind what was written in its place', async () => {
    const world = new LogWorld(46);
    await written(world, ['a'], ['b', 'c']);
    const bytes = Uint8Array.from(await world.bytes(FIRST_SEGMENT));
    bytes[20 + 29 + 28] = 0;
    await world.overwrite(FIRST_SEGMENT, bytes);
    const { log } = await world.open();
    await world.append(log, entries(1, 1, ['B']));
    await world.crash();
    expect(texts((await world.open()).recovered.entries)).toEqual(['a', 'B']);
  });

  test('that leaves whole entries out of order is corruption', async () => {
    const world = new LogWorld(47);
    await written(world, ['a'], ['b'], ['c']);
    const bytes = await world.bytes(FIRST_SEGMENT);
    const withoutSecond = Buffer.concat([bytes.subarray(0, 20 + 29), bytes.subarray(20 + 2 * 29)]);
    await world.overwrite(FIRST_SEGMENT, withoutSecond);
    expect((await refusal(world)).code).toBe('CORRUPT');
  });

  test('in a segment that is not the last is corruption', async () => {
    const world = new LogWorld(43);
    const { log } = await world.open({ segmentBytes: 30 });
    for (const text of ['a', 'b']) await world.append(log, entries(log.lastIndex, 1, [text]));
    await world.complete(log.close());
    const bytes = await world.bytes(FIRST_SEGMENT);
    await world.overwrite(FIRST_SEGMENT, bytes.subarray(0, bytes.length - 1));
    expect((await refusal(world)).code).toBe('CORRUPT');
  });

  test.each([
    ['a missing segment', FIRST_SEGMENT],
    ['a missing snapshot', snapshotName(2, 1)],
  ])('by %s is corruption', async (_, name) => {
    const world = new LogWorld(44);
    const { log } = await world.open({ segmentBytes: 30 });
    for (const text of ['a', 'b', 'c']) await world.append(log, entries(log.lastIndex, 1, [text]));
    if (name !== FIRST_SEGMENT) await world.snapshot(log, 2, 1, [payload('ab')]);
    await world.complete(log.close());
    await world.complete(world.disk.remove(`metadata/${name}`));
    expect((await refusal(world)).message).toContain('are missing');
  });

  test('to a snapshot is corruption, also where an older one could serve', async () => {
    const world = new LogWorld(45);
    const { log } = await world.open();
    await world.append(log, entries(0, 1, ['a']));
    await world.snapshot(log, 1, 1, [payload('a')]);
    await world.complete(log.close());
    const bytes = Uint8Array.from(await world.bytes(snapshotName(1, 1)));
    for (const at of bytes.keys()) {
      const damaged = Uint8Array.from(bytes);
      damaged[at] = (damaged[at] ?? 0) ^ 0x40;
      await world.overwrite(snapshotName(1, 1), damaged);
      expect((await refusal(world)).code).toBe('CORRUPT');
    }
    await world.overwrite(snapshotName(1, 1), bytes.subarray(0, bytes.length - 1));
    expect((await refusal(world)).message).toContain(snapshotName(1, 1));
  });
});

describe('quorum-state', () => {
  test('has its golden text (Odradek 0.1.0)', async () => {
    const world = new LogWorld(50);
    const { log } = await world.open();
    await world.complete(log.saveHardState({ epoch: 7, votedFor: { id: nodeId(1), directoryId: DIRECTORY } }));
    expect(Buffer.from(await world.bytes('quorum-state')).toString()).toBe(
      'odradek-quorum-state 1\ndirectory BwcHBwcHBwcHBwcHBwcHBw\nepoch 7\nvoted-for 1 BwcHBwcHBwcHBwcHBwcHBw\ncrc32c 342b5c3c\n',
    );
  });

  test('damaged in any byte is refused as such', async () => {
    const world = new LogWorld(51);
    await written(world, ['a']);
    const bytes = await world.bytes('quorum-state');
    for (const at of bytes.keys()) {
      const damaged = Uint8Array.from(bytes);
      damaged[at] = (damaged[at] ?? 0) ^ 0x01;
      await world.overwrite('quorum-state', damaged);
      expect((await refusal(world)).code).toBe('QUORUM_STATE_CORRUPT');
    }
  });

  test('missing beside a log is refused as such', async () => {
    const world = new LogWorld(52);
    await written(world, ['a']);
    await world.complete(world.disk.remove('metadata/quorum-state'));
    expect((await refusal(world)).code).toBe('QUORUM_STATE_MISSING');
  });

  test('without its log is refused, once the quorum had begun', async () => {
    const world = new LogWorld(53);
    const { log } = await world.open();
    await world.complete(log.saveHardState({ epoch: 1, votedFor: null }));
    await world.complete(log.close());
    await world.complete(world.disk.remove(`metadata/${FIRST_SEGMENT}`));
    expect((await refusal(world)).message).toContain('there is no segment');
  });

  test('of another directory is refused: a copied log must not vote', async () => {
    const world = new LogWorld(54);
    await written(world, ['a']);
    const outcome = await world
      .open({ directoryId: uuid('CQkJCQkJCQkJCQkJCQkJCQ') })
      .catch((failure: unknown) => failure);
    expect(outcome).toMatchObject({ code: 'OTHER_DIRECTORY' });
  });
});
