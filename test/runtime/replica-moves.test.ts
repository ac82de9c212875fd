import { describe, expect, test } from 'vitest';
import { at } from '#base/assert';
import { ErrorCode } from '#model/errors';
import { leaderEpoch, nodeId, offset } from '#model/ids';
import type { BatchHeader } from '#protocol/record-batch';
import { Partition } from '#runtime/partition';
import { ReplicaMoves, type ReplicaMovesParts } from '#runtime/replica-moves';
import { ReplicationThrottle } from '#runtime/replication-throttle';
import type { LogDirectory } from '#storage/log-directory';
import type { PartitionLog } from '#storage/partition-log';
import { appended, batch, Harness, headersOf } from '../storage/support.ts';
import { homeOf, ledPartition } from './replica-stage.ts';

/** A replica on one of two data directories. */
class Stage {
  readonly harness: Harness;
  readonly log: PartitionLog;
  readonly partition: Partition;
  readonly moves: ReplicaMoves;
  /** What is served after a move, or after one that failed at its end. */
  served: PartitionLog | undefined;
  bytesPerSecond = Number.POSITIVE_INFINITY;
  /** Runs before the replica stands still. */
  beforeReplacing: () => void | Promise<void> = () => {};

  private constructor(harness: Harness, log: PartitionLog) {
    this.harness = harness;
    this.log = log;
    this.partition = ledPartition(log);
    this.moves = new ReplicaMoves({
      ...partsOf(harness, () => this.bytesPerSecond),
      replaceLog: async (partition, replace) => {
        await this.beforeReplacing();
        if (partition.log === undefined) return true;
        partition.retire(ErrorCode.NotLeaderOrFollower);
        this.served = await replace(log);
        return true;
      },
    });
  }

  /** With so many batches of about 2 KiB each, durable, in segments of 100 kB. */
  static async open(batches: number, options = {}): Promise<Stage> {
    const harness = await Harness.open({ disks: 2, tailCacheBytes: 0, ...options });
    const log = await harness.create('t', 0, { segmentBytes: 100_000 });
    const stage = new Stage(harness, log);
    for (let made = 0; made < batches; made += 1) stage.append(made);
    await harness.settle();
    return stage;
  }

  /** What a restart makes of it, with the move that was under way. */
  async reopened(restart: () => Promise<unknown> = () => this.harness.crash()): Promise<Stage> {
    await restart();
    const log = this.harness.store.get('t', 0);
    if (log === undefined) throw new Error('the log is there');
    return new Stage(this.harness, log);
  }

  /** A move has copied a part of so many batches, and no more than that. */
  static async interrupted(batches: number, options = {}): Promise<Stage> {
    const stage = await Stage.open(batches, options);
    stage.bytesPerSecond = 100_000;
    stage.moves.begin(stage.partition, stage.other);
    await stage.begun();
    // The copy's files are synced now and then, as those of any log.
    await stage.harness.settle(6_000);
    return stage;
  }

  append(sequence: number, epoch = leaderEpoch(0)): void {
    appended(this.log, batch({ valueBytes: 2000, producerId: 7, baseSequence: sequence }, sequence % 251), epoch);
  }

  get other(): LogDirectory {
    const other = this.harness.store.directories.find((directory) => directory !== this.log.directory);
    if (other === undefined) throw new Error('there is one directory');
    return other;
  }

  /** Where it is after a move to the other directory, which has come to its end. */
  async move(): Promise<PartitionLog | undefined> {
    this.moves.begin(this.partition, this.other);
    await this.harness.settle(2_000);
    return this.harness.store.get('t', 0);
  }

  /** The copy has begun to grow. */
  async begun(): Promise<void> {
    const { store } = this.harness;
    while ([...store.futures()].every(({ logEndOffset }) => logEndOffset === 0)) await this.harness.settle(0.1);
  }

  folders(): Promise<string[]> {
    return foldersOf(this.harness);
  }
}

function partsOf(
  { store, ports, world }: Harness,
  rate: () => number = () => Number.POSITIVE_INFINITY,
): Omit<ReplicaMovesParts, 'replaceLog'> {
  const { clock } = world;
  const throttle = new ReplicationThrottle({ clock, self: nodeId(1), rate, replicasOf: () => ['*'] });
  return { store, logger: ports.logger, clock: ports.clock, throttle };
}

/** All folders of logs, of all directories. */
async function foldersOf({ faults, world }: Harness): Promise<string[]> {
  const lists = await world.complete(Promise.all(faults.map((disk) => disk.list(''))));
  return lists.flatMap((names, index) =>
    names.filter((name) => name.startsWith('t-')).map((name) => `${index}/${name}`),
  );
}

describe('a replica that moves to another data directory', () => {
  test('takes everything along: records, start, epochs and producers; what it leaves is removed', async () => {
    const stage = await Stage.open(300);
    const { harness, log } = stage;
    for (let made = 300; made < 310; made += 1) stage.append(made, leaderEpoch(3));
    await harness.settle();
    log.deleteRecordsBefore(offset(77));
    await harness.settle();
    const before = await harness.contents(log);
    const moved = await stage.move();
    if (moved === undefined) return expect.unreachable();
    expect([moved === stage.served, moved.directory === stage.other]).toEqual([true, true]);
    expect([moved.logStartOffset, moved.logEndOffset, moved.durableOffset]).toEqual([77, 310, 310]);
    expect(moved.epochs.entries).toEqual([
      { epoch: 0, startOffset: 77 },
      { epoch: 3, startOffset: 300 },
    ]);
    expect(Buffer.compare(await harness.contents(moved), before)).toBe(0);
    const next = { valueBytes: 1, producerId: 7 };
    const check = (baseSequence: number) =>
      moved.producers.check(headersOf(batch({ ...next, baseSequence }))[0] as BatchHeader, moved.logEndOffset);
    expect([check(309).kind, check(310).kind, check(311).kind]).toEqual(['duplicate', 'ok', 'error']);
    await harness.settle(70_000);
    expect(await stage.folders()).toEqual([`${harness.store.directories.indexOf(moved.directory)}/t-0`]);
  });

  test('is there, and only there, after a restart; what is appended then is kept', async () => {
    const stage = await Stage.open(100);
    const { harness } = stage;
    const moved = await stage.move();
    if (moved === undefined) return expect.unreachable();
    const place = harness.store.directories.indexOf(moved.directory);
    appended(moved, batch());
    await harness.settle();
    await harness.crash();
    const found = harness.store.get('t', 0);
    expect([found?.logEndOffset, found && harness.store.directories.indexOf(found.directory)]).toEqual([101, place]);
    expect(harness.store.quarantined).toEqual([]);
  });

  test('has also what was appended until it stood still', async () => {
    const stage = await Stage.open(100);
    stage.beforeReplacing = () => {
      for (let made = 100; made < 150; made += 1) stage.append(made);
    };
    expect((await stage.move())?.logEndOffset).toBe(150);
    expect(stage.harness.store.get('t', 0)?.directory).toBe(stage.other);
  });

  test('may be empty, and may have lost all that it had to retention', async () => {
    const empty = await Stage.open(0);
    expect((await empty.move())?.directory).toBe(empty.other);
    const emptied = await Stage.open(50);
    emptied.log.deleteRecordsBefore(offset(50));
    const moved = await emptied.move();
    expect([moved?.directory === emptied.other, moved?.logStartOffset, moved?.logEndOffset]).toEqual([true, 50, 50]);
  });

  test('goes there and back', async () => {
    const stage = await Stage.open(100);
    const { harness } = stage;
    const moved = await stage.move();
    if (moved === undefined) return expect.unreachable();
    appended(moved, batch());
    await harness.settle();
    const back = new ReplicaMoves({
      ...partsOf(harness),
      replaceLog: async (_partition, replace) => (await replace(moved)) !== undefined,
    });
    back.begin(ledPartition(moved), stage.log.directory);
    await harness.settle(2_000);
    const found = harness.store.get('t', 0);
    expect([found?.directory === stage.log.directory, found?.logEndOffset]).toEqual([true, 101]);
  });

  test('is told of while it grows, and stays when that is asked for', async () => {
    const stage = await Stage.open(300);
    const { harness, moves, partition } = stage;
    moves.begin(partition, stage.other);
    await stage.begun();
    const [future] = harness.store.futures();
    expect(future?.folder).toMatch(/^t-0\.[0-9a-f]{32}-future$/);
    moves.cancel(partition);
    await harness.settle(12_000);
    expect([[...harness.store.futures()], harness.store.get('t', 0)]).toEqual([[], stage.log]);
    expect(await stage.folders()).toEqual([`${harness.store.directories.indexOf(stage.log.directory)}/t-0`]);
    expect(stage.served).toBeUndefined();
  });

  test('stays where it is if the other directory fails on the way, or has no room', async () => {
    const broken = await Stage.open(300);
    const disk = broken.other.disk;
    broken.moves.begin(broken.partition, broken.other);
    await broken.begun();
    broken.harness.failAll = (each) => each.path === disk.path;
    await broken.harness.settle(2_000);
    expect(broken.harness.store.get('t', 0)).toBe(broken.log);
    expect(broken.harness.lines).toContainEqual(
      expect.objectContaining({ message: 'a replica stays in its data directory' }),
    );

    const small = await Stage.open(300, { diskBytes: 700_000 });
    // Somebody else's data.
    const filler = await small.harness.create('filler', 0);
    expect(filler.directory).toBe(small.other);
    for (let made = 0; made < 100; made += 1) appended(filler, batch({ valueBytes: 3000 }));
    await small.harness.settle();
    expect(await small.move()).toBe(small.log);
  });

  test('starts there where the log does by then: what was deleted meanwhile does not come back', async () => {
    const stage = await Stage.open(100);
    stage.beforeReplacing = () => stage.log.deleteRecordsBefore(offset(77));
    const moved = await stage.move();
    expect([moved === stage.log, moved?.logStartOffset, moved?.logEndOffset]).toEqual([false, 77, 100]);
    await stage.harness.crash();
    expect(stage.harness.store.get('t', 0)?.logStartOffset).toBe(77);
  });

  test.each([
    ['far beyond it', () => 1203],
    ['within the batch that would come next', (copiedEnd: number) => copiedEnd + 3],
    ['all', () => 1500],
  ])('goes on from the new start where records were deleted beyond what was copied: %s', async (_, startAbove) => {
    const stage = await Stage.open(0);
    const { harness, log, moves, partition } = stage;
    for (let made = 0; made < 1500; made += 5) appended(log, batch({ valueBytes: 400, count: 5 }, made % 251));
    await harness.settle();
    stage.bytesPerSecond = 100_000;
    moves.begin(partition, stage.other);
    await stage.begun();
    const copiedEnd = [...harness.store.futures()][0]?.logEndOffset ?? 0;
    expect(copiedEnd).toBeGreaterThan(0);
    const start = startAbove(copiedEnd);
    expect(start).toBeGreaterThan(copiedEnd);
    log.deleteRecordsBefore(offset(start));
    await harness.settle(60_000);
    const moved = harness.store.get('t', 0);
    if (moved === undefined) return expect.unreachable();
    expect([moved.directory === stage.other, moved.logStartOffset, moved.logEndOffset]).toEqual([true, start, 1500]);
    await harness.crash();
    expect(harness.store.get('t', 0)?.logStartOffset).toBe(start);
    expect([...harness.store.futures()]).toEqual([]);
  });

  test('stays where it is if it was cut below what was copied: the histories part there', async () => {
    const stage = await Stage.open(100);
    const { harness, log } = stage;
    stage.beforeReplacing = () => new Promise((resolve) => log.truncateTo(offset(50), resolve));
    stage.moves.begin(stage.partition, stage.other);
    await harness.settle(2_000);
    expect([harness.store.get('t', 0) === log, stage.served === log, log.logEndOffset]).toEqual([true, true, 50]);
    expect([...harness.store.futures()]).toEqual([]);
  });

  test.each(Array.from({ length: 60 }, (_, seed) => seed))(
    'loses nothing to a power cut at any moment, and is served from one place (seed %i)',
    async (seed) => {
      const stage = await Stage.open(120, { seed });
      const { harness } = stage;
      const before = await harness.contents(stage.log);
      stage.moves.begin(stage.partition, stage.other);
      await harness.settle((seed % 40) * 0.4);
      await harness.crash();
      const found = harness.store.get('t', 0);
      if (found === undefined) return expect.unreachable();
      expect(found.logEndOffset).toBe(120);
      expect(Buffer.compare(await harness.contents(found), before)).toBe(0);
      expect(harness.store.quarantined).toEqual([]);
      // What is appended now must not be lost to a copy that was left.
      appended(found, batch());
      await harness.settle(6_000);
      await harness.crash();
      expect(harness.store.get('t', 0)?.logEndOffset).toBe(121);
      const live = (await foldersOf(harness)).filter((name) => name.endsWith('/t-0'));
      expect(live).toHaveLength(1);
    },
  );
});

describe('a replica whose move a restart has cut short', () => {
  const restarts = [
    ['a power cut', (harness: Harness) => harness.crash()],
    ['kill -9', (harness: Harness) => harness.kill()],
    ['a clean shutdown', (harness: Harness) => harness.restart()],
  ] as const;

  test.each(restarts)('moves on from where its copy was: %s', async (_, restart) => {
    const before = await Stage.interrupted(3000);
    const { harness } = before;
    const bytes = await harness.contents(before.log);
    const place = harness.store.directories.indexOf(before.other);
    const stage = await before.reopened(() => restart(harness));
    const [copy] = harness.store.futures();
    expect(copy?.directory).toBe(harness.store.directories[place]);
    expect(copy?.logEndOffset).toBeGreaterThan(200);
    expect(copy?.logEndOffset).toBeLessThan(3000);
    stage.bytesPerSecond = 100_000;
    stage.moves.resume(stage.partition, stage.log);
    await harness.settle(3_000);
    expect([...harness.store.futures()]).toEqual([copy]);
    stage.bytesPerSecond = Number.POSITIVE_INFINITY;
    await harness.settle(8_000);
    const moved = harness.store.get('t', 0);
    if (moved === undefined) return expect.unreachable();
    expect(moved.directory).toBe(harness.store.directories[place]);
    expect(Buffer.compare(await harness.contents(moved), bytes)).toBe(0);
    expect([...harness.store.futures()]).toEqual([]);
  });

  test('is told of before it moves on, and stays if that is asked for: the copy goes', async () => {
    const stage = await (await Stage.interrupted(3000)).reopened();
    const { harness } = stage;
    // Another move is under way.
    const other = await harness.create('u', 0);
    appended(other, batch());
    stage.bytesPerSecond = 1;
    stage.moves.begin(
      ledPartition(other),
      at(
        harness.store.directories.filter((each) => each !== other.directory),
        0,
      ),
    );
    stage.moves.resume(stage.partition, stage.log);
    expect([...harness.store.futures()].some(({ topic }) => topic === 't')).toBe(true);
    stage.moves.cancel(stage.partition);
    await harness.settle(70_000);
    expect((await stage.folders()).filter((name) => name.includes('/t-'))).toEqual([
      `${harness.store.directories.indexOf(stage.log.directory)}/t-0`,
    ]);
  });

  test('keeps its copy when the node retires it to stop', async () => {
    const stage = await Stage.interrupted(3000);
    const { harness, moves, partition } = stage;
    stage.bytesPerSecond = Number.POSITIVE_INFINITY;
    moves.stop();
    partition.retire(ErrorCode.NotLeaderOrFollower);
    await harness.settle(20_000);
    expect([...harness.store.futures()]).toHaveLength(1);
    await harness.restart();
    expect([...harness.store.futures()]).toHaveLength(1);
  });

  test('waits until it is known how far it is committed: it would stand still for all that is to be copied', async () => {
    const stage = await (await Stage.interrupted(3000)).reopened();
    const { harness, log } = stage;
    const partition = new Partition(homeOf(), 't', log.topicId, 0, log);
    partition.follow(leaderEpoch(1));
    let standsStill = 0;
    const moves = new ReplicaMoves({
      ...partsOf(harness),
      replaceLog: async (_partition, replace) => {
        standsStill += 1;
        expect([...harness.store.futures()][0]?.logEndOffset).toBe(3000);
        return (await replace(log)) !== undefined;
      },
    });
    moves.resume(partition, log);
    await harness.settle(10_000);
    expect([standsStill, harness.store.get('t', 0)]).toEqual([0, log]);
    partition.leaderIsAt(offset(3000), offset(0));
    await harness.settle(5_000);
    expect(standsStill).toBe(1);
    expect(harness.store.get('t', 0)).not.toBe(log);
  });

  test('begins its copy anew if the log was cut below the end of what was copied', async () => {
    const stage = await (await Stage.interrupted(3000)).reopened();
    const { harness, log } = stage;
    await harness.world.complete(new Promise<void>((resolve) => log.truncateTo(offset(50), () => resolve())));
    for (let made = 50; made < 3000; made += 1) stage.append(made, leaderEpoch(4));
    await harness.settle();
    const bytes = await harness.contents(log);
    stage.moves.resume(stage.partition, log);
    await harness.settle(5_000);
    const moved = harness.store.get('t', 0);
    if (moved === undefined) return expect.unreachable();
    expect(moved).not.toBe(log);
    expect(Buffer.compare(await harness.contents(moved), bytes)).toBe(0);
  });

  test('stays where it is if the other directory has no room for all of it, where appends go on', async () => {
    const stage = await Stage.open(300, { diskBytes: 1_500_000, minFreeBytes: 500_000 });
    const { harness, log } = stage;
    const resident = await harness.create('u', 0);
    expect(resident.directory).toBe(stage.other);
    for (let made = 0; made < 300; made += 1) appended(resident, batch({ valueBytes: 2000 }));
    await harness.settle();
    expect(await stage.move()).toBe(log);
    expect(stage.other.isFull).toBe(false);
    expect((await stage.folders()).filter((name) => name.includes('future'))).toEqual([]);
    appended(resident, batch());
  });

  test('begins its copy anew if the log starts behind the end of what was copied', async () => {
    const stage = await (await Stage.interrupted(3000)).reopened();
    const { harness, log } = stage;
    log.deleteRecordsBefore(offset(2900));
    stage.moves.resume(stage.partition, log);
    await harness.settle(5_000);
    const moved = harness.store.get('t', 0);
    expect(moved).not.toBe(log);
    expect([moved?.logStartOffset, moved?.logEndOffset]).toEqual([2900, 3000]);
  });

  test.each(Array.from({ length: 20 }, (_, seed) => seed))(
    'has all of it after any number of power cuts (seed %i)',
    async (seed) => {
      let stage = await Stage.open(1500, { seed });
      const { harness } = stage;
      const bytes = await harness.contents(stage.log);
      const place = harness.store.directories.indexOf(stage.other);
      stage.bytesPerSecond = 400_000;
      stage.moves.begin(stage.partition, stage.other);
      for (let cuts = 0; cuts < 4; cuts += 1) {
        await harness.settle(500 + ((seed * 37 + cuts * 101) % 40) * 50);
        stage = await stage.reopened();
        stage.bytesPerSecond = 400_000;
        stage.moves.resume(stage.partition, stage.log);
      }
      await harness.settle(20_000);
      const found = harness.store.get('t', 0);
      if (found === undefined) return expect.unreachable();
      expect(Buffer.compare(await harness.contents(found), bytes)).toBe(0);
      expect(harness.store.directories.indexOf(found.directory)).toBe(place);
      expect(harness.store.quarantined).toEqual([]);
      expect([...harness.store.futures()]).toEqual([]);
    },
  );
});

describe('replica.alter.log.dirs.io.max.bytes.per.second', () => {
  test('bounds what moves copy in a second, and is heeded when it is changed', async () => {
    const stage = await Stage.open(1000);
    const { harness } = stage;
    stage.bytesPerSecond = 200_000;
    stage.moves.begin(stage.partition, stage.other);
    const copied = () => [...harness.store.futures()][0]?.sizeBytes ?? 0;
    await harness.settle(3_000);
    // A second's worth may come at once, and one chunk is above it.
    expect(copied()).toBeLessThanOrEqual(4 * 200_000 + (1 << 20));
    expect(harness.store.get('t', 0)).toBe(stage.log);
    stage.bytesPerSecond = Number.POSITIVE_INFINITY;
    await harness.settle(8_000);
    expect(harness.store.get('t', 0)?.directory).toBe(stage.other);
  });
});
