/** What compaction leaves is read, followed, cut and recovered like any other log. */
import { describe, expect, test } from 'vitest';
import { leaderEpoch, type Offset, offset } from '#model/ids';
import { type BatchHeader, patchBatch } from '#protocol/record-batch';
import { replicatedBatches } from '#protocol/replicated-batches';
import type { PartitionLog } from '#storage/partition-log';
import { batchesOf, COMPACT, clean, cleaning, committing, keyed, put, words } from './compaction-support.ts';
import { appended, codecs, Harness, headersOf } from './support.ts';

/** Offsets 0 to 29 in batches of three, of which every fifth batch keeps its records; then an active segment. */
async function gapped(harness: Harness): Promise<PartitionLog> {
  const log = await harness.create('t', 0, { ...COMPACT, indexIntervalBytes: 0 });
  committing(log);
  for (let round = 0; round < 10; round += 1) {
    const isKept = round % 5 === 2;
    const producing = {
      timestamp: 1000 * (round + 1),
      producerId: round === 6 ? 9 : -1,
      baseSequence: round === 6 ? 0 : -1,
    };
    put(log, isKept ? `k${round}=1 l${round}=1 m${round}=1` : `a=${round} b=${round} c=${round}`, producing);
  }
  put(log, 'a=10 b=10 c=10', { timestamp: 500 });
  await clean(harness, log);
  put(log, 'z=1', { timestamp: 11_000 });
  await harness.settle();
  return log;
}

/** The log's batches one by one, as a leader sends them. */
async function batchesAsSent(harness: Harness, log: PartitionLog): Promise<[Uint8Array, BatchHeader[]][]> {
  const read = await harness.read(log, 0);
  if (typeof read === 'string') throw new Error(read);
  const bytes = Buffer.concat(read.chunks);
  return headersOf(bytes).map((header) => {
    const batch = Buffer.from(bytes.subarray(header.at, header.at + header.sizeBytes));
    return [batch, headersOf(batch)];
  });
}

async function copied(harness: Harness, from: PartitionLog, partition: number, epoch = 0): Promise<PartitionLog> {
  const log = await harness.create('t', partition, { ...COMPACT, segmentBytes: 150 });
  committing(log);
  while (log.logEndOffset < from.logEndOffset) {
    const read = await harness.read(from, log.logEndOffset, from.logEndOffset, 200);
    if (typeof read === 'string') throw new Error(read);
    const bytes = Buffer.concat(read.chunks);
    const taken = replicatedBatches(bytes, log.logEndOffset, epoch, codecs);
    if (taken.kind !== 'batches' || taken.headers.length === 0) throw new Error(taken.kind);
    expect(log.appendReplicated(taken.bytes, taken.headers)).toHaveProperty('lastOffset');
    await harness.settle();
  }
  return log;
}

function truncated(harness: Harness, log: PartitionLog, to: number): Promise<void> {
  return harness.world.complete(new Promise((resolve) => log.truncateTo(offset(to), resolve)));
}

describe('a log with gaps', () => {
  test('keeps records, emptied batches of a leader epoch’s begin and of a producer, and its end', async () => {
    const harness = await Harness.open();
    const log = await gapped(harness);
    expect((await batchesOf(harness, log)).map(({ base, records }) => [base, records.length])).toEqual([
      [0, 0],
      [6, 3],
      [18, 0],
      [21, 3],
      [30, 3],
      [33, 1],
    ]);
  });

  test('is looked up by time: an emptied batch has no record of its time', async () => {
    const harness = await Harness.open();
    const log = await gapped(harness);
    const lookup = (timestamp: number): Promise<unknown> =>
      harness.world.complete(
        new Promise((resolve) => log.offsetForTimestamp(timestamp, log.logEndOffset, (found) => resolve(found))),
      );
    expect(await lookup(1000)).toMatchObject({ offset: 6, timestamp: 3000 });
    expect(await lookup(7000)).toMatchObject({ offset: 21, timestamp: 8000 });
    expect(await lookup(8001)).toMatchObject({ offset: 22, timestamp: 8001 });
    expect(await lookup(9000)).toMatchObject({ offset: 33, timestamp: 11_000 });
    log.deleteRecordsBefore(offset(33));
    await harness.settle();
    expect(await lookup(1000)).toMatchObject({ offset: 33 });
  });

  test('its highest timestamp is a record’s also where an emptied batch had a higher one', async () => {
    const harness = await Harness.open();
    const log = await harness.create('t', 0, COMPACT);
    committing(log);
    put(log, 'b=1', { timestamp: 2000 });
    put(log, 'a=1', { timestamp: 9000, producerId: 9, baseSequence: 0 });
    put(log, 'a=2', { timestamp: 1000 });
    await clean(harness, log);
    const max = (of: PartitionLog): Promise<unknown> =>
      harness.world.complete(new Promise((resolve) => of.maxTimestamp(of.logEndOffset, resolve)));
    expect(await max(log)).toMatchObject({ offset: 0, timestamp: 2000 });
    await harness.restart();
    expect(await max(harness.store.get('t', 0) as PartitionLog)).toMatchObject({ offset: 0, timestamp: 2000 });
  });

  test('is followed where its gaps, fetched together, are wider than the offsets of a segment', async () => {
    const harness = await Harness.open();
    const log = await harness.create('t', 0, { ...COMPACT, indexIntervalBytes: 0 });
    const bases = [0, 2e9, 4e9, 6e9];
    const batches = bases.map((base) => {
      const bytes = keyed([{ key: `k${base}`, value: '1' }]);
      patchBatch(bytes, 0, base, 0);
      return bytes;
    });
    const bytes = Buffer.concat(batches);
    expect(log.appendReplicated(bytes, headersOf(bytes))).toEqual({ baseOffset: 0, lastOffset: 6e9 });
    await harness.settle(6000);
    expect((await batchesOf(harness, log)).map(({ base }) => base)).toEqual(bases);
    const again = (await harness.crash()).get('t', 0) as PartitionLog;
    expect((await batchesOf(harness, again)).map(({ base }) => base)).toEqual(bases);
    expect([again.logEndOffset, harness.store.quarantined]).toEqual([6e9 + 1, []]);
  });

  test('is followed: the copy has the same batches, rolls where it is, and survives a power cut', async () => {
    const harness = await Harness.open({ disks: 1 });
    const leader = await gapped(harness);
    const follower = await copied(harness, leader, 1);
    expect(await batchesOf(harness, follower)).toEqual(await batchesOf(harness, leader));
    await harness.settle(6000);
    await harness.crash();
    expect(harness.store.quarantined).toEqual([]);
    const again = harness.store.get('t', 1) as PartitionLog;
    const first = harness.store.get('t', 0) as PartitionLog;
    expect(await batchesOf(harness, again)).toEqual(await batchesOf(harness, first));
    expect(again.producers.lastOfEach()).toEqual(first.producers.lastOfEach());
    again.updateConfig({ ...again.config, ...COMPACT });
    committing(again);
    await clean(harness, again);
    expect(await words(harness, again)).toBe(await words(harness, first));
  });

  test.each([
    [25, 24, [0, 6, 18, 21]],
    [22, 21, [0, 6, 18]],
    [21, 21, [0, 6, 18]],
    [20, 9, [0, 6]],
    [15, 9, [0, 6]],
    [9, 9, [0, 6]],
    [5, 3, [0]],
    [2, 0, []],
  ])('cut at %i it ends at %i, behind the last batch that stays', async (to, end, bases) => {
    const harness = await Harness.open();
    const log = await gapped(harness);
    await truncated(harness, log, to);
    const check = async (of: PartitionLog): Promise<void> => {
      expect([of.logEndOffset, of.compaction.cleanedOffset]).toEqual([end, Math.min(end, of.logEndOffset)]);
      expect((await batchesOf(harness, of)).map(({ base }) => base)).toEqual(bases);
    };
    await check(log);
    await harness.settle(6000);
    await harness.crash();
    expect(harness.store.quarantined).toEqual([]);
    const again = harness.store.get('t', 0) as PartitionLog;
    await check(again);
    put(again, 'x=1');
    await harness.settle(6000);
    expect(again.durableOffset).toBe(end + 1);
  });

  test('a cut while it is cleaned ends the cleaning, and what was begun is gone', async () => {
    const harness = await Harness.open();
    const log = await harness.create('t', 0, COMPACT);
    committing(log);
    for (let round = 0; round < 20; round += 1) put(log, `a=${round}`);
    log.roll();
    put(log, 'b=1');
    await harness.settle(6000);
    const running = (await cleaning(harness, log, { nowMs: 0, bytesPerSecond: 100 }))?.();
    await harness.settle(50);
    await truncated(harness, log, 15);
    if (running === undefined) return expect.unreachable();
    const result = await harness.world.complete(running);
    expect([result?.cleanedTo, log.logEndOffset, log.compaction.cleanedOffset]).toEqual([undefined, 15, 0]);
    expect((await batchesOf(harness, log)).map(({ base }) => base)).toEqual(Array.from({ length: 15 }, (_, n) => n));
    expect(log.compaction.isRunning).toBe(false);
  });

  test('whoever copies it knows where each epoch began, also if nothing is left of its first batch', async () => {
    const harness = await Harness.open();
    const log = await harness.create('t', 0, COMPACT);
    committing(log);
    const put = (epoch: number, key: string, value: string): void => {
      if (log.epochs.latest()?.epoch !== epoch) log.assignEpoch(leaderEpoch(epoch));
      appended(log, keyed([{ key, value }]), leaderEpoch(epoch));
    };
    put(1, 'a', '1');
    put(1, 'b', '1');
    put(4, 'a', '2');
    put(4, 'c', '1');
    put(4, 'a', '3');
    await clean(harness, log);
    expect(await words(harness, log)).toBe('1:b=1 3:c=1 4:a=3');
    const copy = await copied(harness, log, 1, 4);
    expect(copy.epochs.entries).toEqual(log.epochs.entries);
    // Who wrote more in epoch 1 than was committed is told by the copy, too, that the histories part at 2.
    expect(copy.epochs.endOffsetFor(leaderEpoch(1), copy.logEndOffset)).toEqual({ epoch: 1, endOffset: 2 });
    await clean(harness, log);
    await clean(harness, copy);
    expect([log.epochs.entries, copy.epochs.entries]).toEqual([copy.epochs.entries, log.epochs.entries]);
    const again = await copied(harness, copy, 2, 4);
    expect(again.epochs.entries).toEqual(log.epochs.entries);
  });

  test('a copy that led an epoch and wrote nothing in it forgets it, also if the next batch lies above a gap', async () => {
    const harness = await Harness.open();
    const log = await harness.create('t', 0, COMPACT);
    committing(log);
    log.assignEpoch(leaderEpoch(1));
    appended(log, keyed([{ key: 'a', value: '1' }]), leaderEpoch(1));
    appended(log, keyed([{ key: 'b', value: '1' }]), leaderEpoch(1));
    log.assignEpoch(leaderEpoch(3));
    appended(log, keyed([{ key: 'b', value: '2' }]), leaderEpoch(3));
    await clean(harness, log);
    expect(await words(harness, log)).toBe('0:a=1 2:b=2');
    const copy = await harness.create('t', 1, COMPACT);
    committing(copy);
    for (const [index, [bytes, headers]] of (await batchesAsSent(harness, log)).entries()) {
      if (index === 1) copy.assignEpoch(leaderEpoch(2));
      copy.appendReplicated(bytes, headers);
    }
    expect(copy.epochs.entries).toEqual(log.epochs.entries);
  });

  test('epochs stay those of the history, also of batches that are gone', async () => {
    const harness = await Harness.open();
    const log = await harness.create('t', 0, COMPACT);
    committing(log);
    for (let epoch = 1; epoch <= 3; epoch += 1) {
      log.assignEpoch(leaderEpoch(epoch));
      const bytes = keyed([{ key: 'a', value: `${epoch}` }]);
      log.append(bytes, headersOf(bytes), leaderEpoch(epoch));
    }
    await clean(harness, log);
    appended(log, keyed([{ key: 'b', value: '1' }]), leaderEpoch(3));
    await harness.settle(6000);
    const before = log.epochs.toText();
    await harness.crash();
    const again = harness.store.get('t', 0) as PartitionLog;
    expect(again.epochs.toText()).toBe(before);
    expect(again.epochs.endOffsetFor(leaderEpoch(1), 4 as Offset)).toEqual({ epoch: 1, endOffset: 1 });
  });
});
