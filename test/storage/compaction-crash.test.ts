import { describe, expect, test } from 'vitest';
import type { Disk } from '#base/ports';
import { offset } from '#model/ids';
import type { PartitionLog } from '#storage/partition-log';
import { batchesOf, COMPACT, clean, cleaning, committing, prepared, put } from './compaction-support.ts';
import { appended, batch, Harness, headersOf } from './support.ts';

const CONFIG = { ...COMPACT, indexIntervalBytes: 50, deleteRetentionMs: 0 };

/** Four segments, of which the first two become one and the others one each, with an aborted transaction in them. */
async function filled(seed: number): Promise<{ harness: Harness; log: PartitionLog }> {
  const harness = await Harness.open({ seed });
  const log = await harness.create('t', 0, CONFIG);
  committing(log);
  put(log, 'a=1 b=1');
  put(log, 'a=2', { producerId: 7, baseSequence: 0, transactional: true });
  appended(log, batch({ producerId: 7, marker: 'abort' }));
  log.roll();
  put(log, 'c=1 b=2', { producerId: 8, baseSequence: 0 });
  log.roll();
  put(log, `${'d'.repeat(200)}=1 e=0 c=2`);
  log.roll();
  put(log, 'e=1 b= a=3');
  log.roll();
  await harness.settle(6000);
  log.updateConfig({ ...log.config, segmentBytes: log.sizeBytes / 2 });
  return { harness, log };
}

async function view(harness: Harness, log: PartitionLog): Promise<string> {
  const aborted = log.abortedTransactions(offset(0), log.logEndOffset);
  return JSON.stringify([await batchesOf(harness, log), aborted, log.logStartOffset, log.logEndOffset]);
}

/** The operations of one cleaning. */
async function operationsOf(seed: number): Promise<{ operations: string[]; states: string[] }> {
  const { harness, log } = await filled(seed);
  const operations: string[] = [];
  const states = [await view(harness, log)];
  const run = await prepared(harness, log);
  harness.strike = (operation, path) => {
    operations.push(`${operation} ${path}`);
    return undefined;
  };
  if (run !== undefined) await harness.world.complete(run());
  harness.strike = undefined;
  return { operations, states: [...states, await view(harness, log)] };
}

describe('a power cut at any point of a cleaning', () => {
  test('leaves each group of segments as it was or as it was to be, readable and ready for another cleaning', async () => {
    const { operations, states } = await operationsOf(1);
    const [, after] = states;
    expect(operations.filter((each) => each.endsWith('.log.swap')).length).toBeGreaterThan(1);
    const seen = new Set<string>();
    for (let at = 0; at < operations.length; at += 1) {
      const { harness, log } = await filled(1);
      const run = await prepared(harness, log);
      let left = at;
      harness.strike = () => {
        left -= 1;
        return left < 0 ? { delayMs: 1e9 } : undefined;
      };
      void run?.();
      await harness.settle(2000);
      harness.strike = undefined;
      const again = (await harness.crash()).get('t', 0) as PartitionLog;
      expect(harness.store.quarantined, operations[at]).toEqual([]);
      again.updateConfig({ ...again.config, ...CONFIG, segmentBytes: log.config.segmentBytes });
      committing(again);
      const found = await view(harness, again);
      seen.add(found);
      const names = await harness.world.complete((harness.faults[0] as Disk).list('t-0'));
      expect(
        names.filter((name) => /swap|cleaned|deleted/.test(name)),
        operations[at],
      ).toEqual([]);
      // What an index says is where the batch is.
      for (let from = 0; from < again.logEndOffset; from += 1) {
        const [first] = await batchesOf(harness, again, from);
        expect(first?.last, `${operations[at]}, from ${from}`).toBeGreaterThanOrEqual(from);
      }
      await clean(harness, again);
      expect(again.compaction.cleanedOffset).toBe(again.logEndOffset);
      expect(lastValues(await batchesOf(harness, again))).toEqual({ c: '2', e: '1', a: '3', d: '1' });
    }
    expect([...seen][0]).toBe(states[0]);
    expect([...seen].at(-1)).toBe(after);
    // Before, after, and after the first group but not the others.
    expect(seen.size).toBeLessThanOrEqual(4);
    expect(seen.size).toBeGreaterThan(2);
  });

  test('without room the log stays as it is, and is cleaned when there is some', async () => {
    const { harness, log } = await filled(2);
    const before = await view(harness, log);
    let isFull = true;
    harness.strike = (operation, path) =>
      isFull && operation === 'write' && path.includes('.cleaned') ? { fail: 'ENOSPC' } : undefined;
    await clean(harness, log);
    expect(await view(harness, log)).toBe(before);
    const names = await harness.world.complete((harness.faults[0] as Disk).list('t-0'));
    expect(names.filter((name) => name.includes('cleaned'))).toEqual([]);
    isFull = false;
    await harness.settle(3000);
    await clean(harness, log);
    expect(lastValues(await batchesOf(harness, log))).toEqual({ c: '2', e: '1', a: '3', d: '1' });
    expect(harness.offlineReasons).toEqual([]);
  });

  test('a failure behind the commit point takes the directory offline; the next start finishes', async () => {
    const { harness, log } = await filled(3);
    const run = await prepared(harness, log);
    let renames = 0;
    harness.strike = (operation, path) => {
      if (operation !== 'rename' || !path.endsWith('.log.swap')) return undefined;
      renames += 1;
      return { fail: 'EIO' };
    };
    void run?.();
    await harness.settle(2000);
    expect([renames, harness.store.offlineDirectoryCount]).toEqual([1, 1]);
    harness.strike = undefined;
    const again = (await harness.crash()).get('t', 0) as PartitionLog;
    expect(harness.store.quarantined).toEqual([]);
    expect(lastValues(await batchesOf(harness, again))).toEqual({ c: '2', e: '1', a: '3', d: '1' });
  });
});

describe('who reads while a segment is swapped', () => {
  test('gets whole batches in order, whatever the moment', async () => {
    const { harness, log } = await filled(4);
    const run = await prepared(harness, log);
    let isOver = false;
    let reads = 0;
    const reader = async (): Promise<void> => {
      while (!isOver) {
        let next = 0;
        while (next < log.logEndOffset) {
          const found = await new Promise<unknown>((resolve) =>
            log.read(offset(next), log.logEndOffset, 100, true, resolve),
          );
          if (typeof found === 'string') throw new Error(`${found} at ${next}`);
          const { chunks } = found as { chunks: readonly Uint8Array[] };
          const [chunk] = chunks;
          if (chunk === undefined) throw new Error(`nothing at ${next}`);
          const view = new DataView(chunk.buffer, chunk.byteOffset);
          const last = Number(view.getBigInt64(0)) + view.getInt32(23);
          expect(last).toBeGreaterThanOrEqual(next);
          next = last + 1;
          reads += 1;
        }
      }
    };
    const lookup = async (): Promise<void> => {
      while (!isOver) {
        const found = await new Promise((resolve) => log.maxTimestamp(log.logEndOffset, resolve));
        expect(found).not.toBe('failed');
      }
    };
    const readers = [reader(), reader(), lookup()];
    if (run !== undefined) await harness.world.complete(run());
    isOver = true;
    await harness.world.complete(Promise.all(readers));
    expect(reads).toBeGreaterThan(100);
  });

  test('and whoever opens its file only after the swap looks for its place again', async () => {
    const harness = await Harness.open({ seed: 5 });
    const made = await harness.create('t', 0, CONFIG);
    for (let round = 0; round < 20; round += 1)
      put(made, round % 2 === 0 ? `k${round}=1` : `${'x'.repeat(99)}=${round}`);
    made.roll();
    put(made, 'z=1');
    await harness.settle(6000);
    await harness.restart();
    const log = harness.store.get('t', 0) as PartitionLog;
    log.updateConfig({ ...log.config, ...CONFIG });
    committing(log);
    const run = await cleaning(harness, log, { nowMs: 0 });
    if (run === undefined) return expect.unreachable();
    log.directory.readers.forget('t-0/00000000000000000000.log');
    let isFirst = true;
    harness.strike = (operation, path) => {
      if (!isFirst || operation !== 'open' || path !== 't-0/00000000000000000000.log') return undefined;
      isFirst = false;
      return { delayMs: 3000 };
    };
    let found: unknown;
    log.read(offset(16), offset(20), 60, true, (result) => {
      found = result;
    });
    await harness.settle(100);
    expect([isFirst, found]).toEqual([false, undefined]);
    expect((await harness.world.complete(run()))?.cleanedTo).toBe(20);
    expect(found).toBeUndefined();
    await harness.settle(5000);
    const [chunk] = (found as { chunks: readonly Uint8Array[] }).chunks;
    expect(headersOf(chunk as Uint8Array).map(({ baseOffset }) => baseOffset)).toEqual([16]);
  });
});

function lastValues(batches: Awaited<ReturnType<typeof batchesOf>>): Record<string, string> {
  const values: Record<string, string> = {};
  for (const batch of batches) {
    for (const { key, value, offset: at } of batch.records) {
      // Of the aborted transaction.
      if (at === 2) continue;
      const name = key[0] ?? '';
      if (value === null) delete values[name];
      else values[name] = value;
    }
  }
  return values;
}
