import { describe, expect, test } from 'vitest';
import type { Fault } from '#chaos/fault';
import type { LoadResult } from '#chaos/load';
import { healedLine, type Injector, type JudgedLoad, runScenario, type Verdict } from '#chaos/run-scenario';
import { DEFAULT_LOAD, parseScenario } from '#chaos/scenario';
import { FakeClock } from '../runtime/fake-clock.ts';
import { WHOLE } from './whole-result.ts';

interface Stage {
  readonly result?: Partial<LoadResult>;
  /** How long the cluster is silent in a window, by its length. */
  readonly silenceMs?: (windowMs: number) => number;
  readonly isServed?: () => boolean;
  readonly inject?: (fault: Fault) => void;
  /** Why not everything can be healed. */
  readonly healAll?: string;
  /** Who does not serve when everything is. */
  readonly silent?: readonly number[];
  readonly interruptAtMs?: number;
}

/** What happened, by the second, and the verdict. */
async function run(
  given: object,
  { result = {}, silenceMs = () => 5, isServed = () => true, inject, healAll, silent = [], interruptAtMs }: Stage = {},
): Promise<{ readonly events: readonly string[]; readonly verdict: Verdict }> {
  const scenario = parseScenario(given);
  if (scenario.error !== undefined) throw new Error(scenario.error);
  const clock = new FakeClock();
  const startedAt = clock.now();
  const events: string[] = [];
  const note = (what: string): void => void events.push(`${(clock.now() - startedAt) / 1_000} ${what}`);
  const injector: Injector = {
    inject: async (fault, topic) => {
      inject?.(fault);
      note(`inject into ${topic}`);
      return { fault: { kind: 'kill', node: 1 }, heal: async () => note('heal that') };
    },
    heal: async (node) => {
      if (healAll !== undefined) throw new Error(healAll);
      note(`heal ${node ?? 'all'}`);
      return node === undefined ? silent : [];
    },
  };
  const load: JudgedLoad = {
    topic: 'loaded',
    isServed,
    longestSilenceMs: ({ from, to }) => silenceMs(to - from),
    finish: async () => {
      note('finish');
      return { ...WHOLE, ...result };
    },
  };
  const { promise: interrupted, resolve: interrupt } = Promise.withResolvers<void>();
  if (interruptAtMs !== undefined) clock.timer(() => interrupt()).arm(interruptAtMs);
  const running = runScenario(clock, scenario.value, load, injector, { say: () => {}, interrupted });
  let verdict: Verdict | undefined;
  void running.then((reached) => {
    verdict = reached;
  });
  while (verdict === undefined) {
    await new Promise((resolve) => setImmediate(resolve));
    clock.advance(100);
  }
  return { events, verdict };
}

describe('a scenario', () => {
  test('goes step by step, heals each fault that has a time, and everything in the end', async () => {
    const { events, verdict } = await run({
      name: 'one by one',
      steps: [{ kill: 1, for: '2s' }, { wait: '3s' }, { pause: 2 }, { wait: '1s' }, { heal: 2 }, { kill: 'leader' }],
    });
    expect(events).toEqual([
      '1 inject into loaded',
      '3 heal that',
      '6 inject into loaded',
      '7 heal 2',
      '7 inject into loaded',
      '7 heal all',
      '7 finish',
    ]);
    expect(verdict).toMatchObject({ scenario: 'one by one', ranMs: 7_000, acknowledged: 10, failures: [] });
    expect(verdict.faults.map(({ fault, atMs }) => [fault, atMs])).toEqual([
      ['kill node 1', 1_000],
      ['kill node 1', 6_000],
      ['kill node 1', 7_000],
    ]);
  });

  test('measures from each fault to the next one, and holds it against its limit', async () => {
    const steps = [
      { kill: 1, for: '2s', maxUnavailableMs: 1_999 },
      { kill: 1, for: '3s', maxUnavailableMs: 3_000 },
    ];
    const { verdict } = await run({ steps }, { silenceMs: (windowMs) => windowMs });
    expect(verdict.faults.map(({ longestUnavailableMs }) => longestUnavailableMs)).toEqual([2_000, 3_000]);
    expect(verdict.failures).toEqual([
      'kill node 1: a partition was unavailable for 2000 ms, at most 1999 are allowed',
    ]);
  });

  test('holds the whole run against its own limit', async () => {
    const silenceMs = (): number => 700;
    const steps = ['heal'];
    expect((await run({ steps, maxUnavailableMs: 700 }, { silenceMs })).verdict.failures).toEqual([]);
    expect((await run({ steps, maxUnavailableMs: 699 }, { silenceMs })).verdict.failures).toEqual([
      'a partition was unavailable for 700 ms, at most 699 are allowed',
    ]);
  });

  test.each<readonly [Partial<LoadResult>, string]>([
    [{ lost: 2 }, '2 records acknowledged and lost'],
    [{ duplicated: 1 }, '1 record there more than once'],
    [{ disordered: 3 }, '3 records behind a later one'],
    [{ changed: 4 }, '4 records not where they were acknowledged or read'],
    [{ skipped: 1 }, '1 record passed by while reading'],
    [{ refused: 1 }, '1 batch refused as though one before were missing'],
    [{ unreadable: [0, 2] }, 'partitions 0, 2 cannot be read to their end'],
    [{ stalled: [1, 3] }, 'the readers of partitions 1, 3 stand still'],
  ])('fails with %j', async (result, sentence) => {
    expect((await run({ steps: ['heal'] }, { result })).verdict.failures).toEqual([sentence]);
  });

  test('heals and judges also where a fault cannot be done, and says why', async () => {
    const inject = (): never => {
      throw new Error('node 1 does not run');
    };
    const { events, verdict } = await run({ steps: [{ kill: 1 }, { wait: '9s' }] }, { inject });
    expect(events).toEqual(['1 heal all', '1 finish']);
    expect(verdict.failures).toEqual(['node 1 does not run']);
  });

  test('judges also where it cannot heal everything, and says so', async () => {
    const { events, verdict } = await run({ steps: [{ wait: '1s' }] }, { healAll: 'node 2 did not take the order' });
    expect(events).toEqual(['2 finish']);
    expect(verdict.failures).toEqual(['not everything is healed: node 2 did not take the order']);
  });

  test('fails where a node does not come back, though the others do all', async () => {
    const { events, verdict } = await run({ steps: [{ wait: '1s' }] }, { silent: [1, 3] });
    expect(events).toEqual(['2 heal all', '2 finish']);
    expect(verdict.failures).toEqual(['node 1, 3 does not serve after everything was healed']);
  });

  test('fails where the cluster does not recover within a minute', async () => {
    const { events, verdict } = await run({ steps: [{ kill: 1, for: '1s' }] }, { isServed: () => false });
    expect(events.at(-1)).toMatch(/^6\d(\.\d)? finish$/);
    expect(verdict.failures).toEqual(['some partitions acknowledge nothing 60 s after everything was healed']);
  });

  test('heals and judges at once when it is interrupted', async () => {
    const { events, verdict } = await run({ steps: [{ kill: 1, for: '1m' }, { kill: 2 }] }, { interruptAtMs: 5_000 });
    expect(events).toEqual(['1 inject into loaded', '5 heal that', '5 heal all', '5 finish']);
    expect(verdict).toMatchObject({ interrupted: true, failures: [] });
  });
});

test('the load is moderate unless a scenario says otherwise', () => {
  expect(DEFAULT_LOAD).toEqual({ partitions: 6, recordsPerSecond: 600, recordBytes: 100 });
});

test('what was healed is said, and who does not serve for all that', () => {
  expect(healedLine(undefined, [])).toBe('everything is healed');
  expect(healedLine(2, [2])).toBe('node 2 is healed, and node 2 does not serve yet');
});
