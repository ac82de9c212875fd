import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { PlantedBug } from '#model/planted-bugs';
import { histories, replay, type Scope, SHORT_REIGNS, WITH_WIPES } from './model.ts';

const TIMEOUT_MS = 120_000;

describe('whatever is lost, late, repeated or crashes, R1 to R11 hold after every step, and all agree when it ends', () => {
  test(
    'with votes, snapshots and changes of voters',
    () => {
      const coverage = new Set<string>();
      fc.assert(
        fc.property(histories(), (history) => {
          for (const point of replay(history).invariants.coverage) coverage.add(point);
        }),
        { numRuns: 500, seed: 20261101 },
      );
      expect([...coverage].sort()).toEqual([
        'a leader',
        'a read',
        'a snapshot installed',
        'a transfer',
        'addVoter',
        'removeVoter',
        'three leaders',
      ]);
    },
    TIMEOUT_MS,
  );

  test.each<[string, Scope]>([
    ['when disks are wiped', { weights: WITH_WIPES }],
    ['when every leader falls soon', { weights: SHORT_REIGNS }],
  ])(
    'also %s',
    (_, scope) => {
      fc.assert(
        fc.property(histories(scope), (history) => {
          replay(history);
        }),
        { numRuns: 250, seed: 20261102 },
      );
    },
    TIMEOUT_MS,
  );
});

describe('such histories catch a planted bug', () => {
  test.each<[PlantedBug, number, Scope, RegExp]>([
    ['vote-without-fsync', 500, { weights: SHORT_REIGNS, voters: [3] }, /^R1|^R5|votes for|takes back its vote/],
    ['vote-after-wipe', 200, { weights: WITH_WIPES }, /^R1|^R3|^R5|votes for/],
    ['commit-older-epoch-by-count', 1000, { weights: SHORT_REIGNS, voters: [3] }, /^R3|^R5/],
    ['no-pre-vote', 10, {}, /without a majority of pre-votes/],
  ])(
    '%s, within %i runs',
    (bug, numRuns, scope, claim) => {
      const property = fc.property(histories(scope), (history) => {
        replay(history, [bug]);
      });
      const { errorInstance } = fc.check(property, { numRuns, seed: 8, endOnFailure: true });
      expect(errorInstance).toBeInstanceOf(Error);
      expect((errorInstance as Error).message).toMatch(claim);
    },
    TIMEOUT_MS,
  );
});
