import fc from 'fast-check';
import { expect, test } from 'vitest';
import { ANOMALIES, type Anomaly } from '../anomalies.ts';
import { load } from '../loader.ts';
import { judge, type Verdict } from '../verdict.ts';
import { recordModel } from './model.ts';
import { Doctored, PLANTS } from './plants.ts';
import { SLY_PLANTS } from './sly-plants.ts';

const STEPS = 2_500;
const RUNS = 12;

function recorded(seed: number): readonly string[] {
  const lines: string[] = [];
  recordModel(String(seed), STEPS, (line) => lines.push(line));
  return lines;
}

const judged = (lines: readonly string[]): Verdict => judge(load(lines.map((text) => ({ text, whole: true }))));

const failing = ({ anomalies }: Verdict): readonly Anomaly[] =>
  [...anomalies.keys()].filter((kind) => ANOMALIES[kind] === 'fails');

test('the history of a correct cluster, with every outcome in it, shows nothing that fails', () => {
  fc.assert(
    fc.property(fc.nat(), (seed) => {
      const verdict = judged(recorded(seed));
      expect(failing(verdict)).toEqual([]);
      const { ok, fail, info } = verdict.operations;
      expect(Math.min(ok, 10 * fail, 10 * info)).toBeGreaterThan(100);
    }),
    { numRuns: 3 * RUNS },
  );
});

test('there is a plant for every anomaly that fails', () => {
  const kinds = Object.entries(ANOMALIES).filter(([, outcome]) => outcome === 'fails');
  expect(Object.keys(PLANTS).sort()).toEqual(kinds.map(([kind]) => kind).sort());
});

function alwaysFound(kind: string, plant: (history: Doctored) => void): void {
  fc.assert(
    fc.property(fc.nat(), fc.nat(), (seed, lot) => {
      const history = new Doctored(recorded(seed), (count) => lot % count);
      plant(history);
      expect(failing(judged(history.lines.map((line) => JSON.stringify(line))))).toContain(kind);
    }),
    { numRuns: RUNS },
  );
}

test.each(Object.entries(PLANTS))('one %s in such a history is always found', (kind, plant) => {
  alwaysFound(kind, plant);
});

test.each(SLY_PLANTS)('so is one %s %s', (kind, _, plant) => alwaysFound(kind, plant));
