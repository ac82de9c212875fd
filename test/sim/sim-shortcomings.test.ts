import { describe, expect, it } from 'vitest';
import { COVERAGE_POINTS } from '#sim/coverage';
import { FAULT_KINDS } from '#sim/swarm';
import { outcomeOf, shortcomings } from '../../scripts/sim-shortcomings.ts';
import type { SeedReport } from '../../scripts/sim-worker.ts';

/** A seed that has been everywhere, and each fault once. */
function report(seed: number, more: Partial<SeedReport> = {}): SeedReport {
  return {
    ...{ seed, nodeCount: 3, voterCount: 3, simulatedMs: 1, eventCount: 1, committedIndex: 1 },
    ...{ ackedCount: 1, readCount: 1, planned: [], traceHash: '', violation: undefined, realMs: 1, isFollowed: true },
    faults: FAULT_KINDS.map((kind) => [kind, 1]),
    coverage: COVERAGE_POINTS.map((point) => [point, 1]),
    ...more,
  };
}

function reports(count: number, more: Partial<SeedReport> = {}): readonly SeedReport[] {
  return Array.from({ length: count }, (_, index) => report(index + 1, more));
}

const withoutFirst = <T>(names: readonly T[]): (readonly [T, number])[] => names.slice(1).map((name) => [name, 1]);

describe('a run of many seeds', () => {
  it('is as it should be with every fault struck, every point reached and no rule broken', () => {
    expect(shortcomings(reports(60))).toEqual([]);
  });

  it('is not if a kind of fault has never struck, or a point was never reached, and there were enough seeds', () => {
    const spared = { faults: withoutFirst(FAULT_KINDS) };
    const missed = { coverage: withoutFirst(COVERAGE_POINTS) };
    expect(shortcomings(reports(60, spared))).toEqual([`never struck: ${FAULT_KINDS[0]}`]);
    expect(shortcomings(reports(60, missed))).toEqual([`never: ${COVERAGE_POINTS[0]}`]);
    expect(shortcomings(reports(59, { ...spared, ...missed }))).toEqual([]);
    expect(shortcomings([...reports(59, { ...spared, ...missed }), report(60)])).toEqual([]);
  });

  it('is not if a seed had too few faults, broke a rule, or was not followed by the checkers', () => {
    expect(shortcomings([report(1, { isFollowed: false }), report(2)])).toEqual(['not followed to the end: 1']);
    const violation = { rule: 'R1', message: 'two lead', stack: '', at: 1 };
    expect(shortcomings([report(1, { faults: [['kill', 19]] }), report(2)])).toEqual(['fewer than 20 faults: 1']);
    expect(shortcomings([report(1), report(2, { violation }), report(3, { violation, faults: [] })])).toEqual([
      '2 seeds with a violation: R1 (2 3)',
    ]);
  });
});

describe('a seed that is run again', () => {
  it('has come out the same if all that happened is, and all that was seen of it, however long it took', () => {
    const first = outcomeOf(report(1));
    expect(outcomeOf(report(1, { realMs: 2 }))).toBe(first);
    const violation = { rule: 'R1', message: 'two lead', stack: '', at: 1 };
    const others = [
      { traceHash: 'x' },
      { violation },
      { ackedCount: 2 },
      { readCount: 2 },
      { coverage: [] },
      { faults: [] },
    ];
    for (const other of others) expect(outcomeOf(report(1, other))).not.toBe(first);
  });
});
