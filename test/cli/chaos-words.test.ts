import { describe, expect, test } from 'vitest';
import type { Verdict } from '#chaos/run-scenario';
import { verdictJson, verdictText } from '#cli/chaos-words';
import { WHOLE } from '../chaos/whole-result.ts';

const kill = { fault: 'kill node 1', atMs: 1_000, longestUnavailableMs: 142, maxUnavailableMs: undefined };
const WELL: Verdict = {
  ...WHOLE,
  scenario: 'a death',
  ranMs: 4_000,
  interrupted: false,
  faults: [kill],
  longestUnavailableMs: 142,
  failures: [],
};

const passedIn = (verdict: Verdict): unknown => (JSON.parse(verdictJson(verdict)) as { passed: unknown }).passed;

describe('the verdict of a scenario', () => {
  test('says that it passed when all steps were done and nothing failed', () => {
    expect(verdictText(WELL)).toMatch(
      /^a death, 4\.0 s:\n[\s\S]*kill node 1[\s\S]*\nPASSED: what was acknowledged is there/,
    );
    expect(passedIn(WELL)).toBe(true);
  });

  test('says of a run that was interrupted that it was, and not that it passed', () => {
    const verdict = { ...WELL, interrupted: true };
    expect(verdictText(verdict)).toMatch(
      /^a death, 4\.0 s, interrupted:\n[\s\S]*\nINTERRUPTED: until then what was ack/,
    );
    expect(verdictText(verdict)).not.toContain('PASSED');
    expect(passedIn(verdict)).toBe(false);
  });

  test('says of a run that failed why, also if it was interrupted', () => {
    const verdict = { ...WELL, interrupted: true, failures: ['1 record acknowledged and lost'], examples: ['17'] };
    expect(verdictText(verdict)).toContain('FAILED: 1 record acknowledged and lost.\n  17\n');
    expect(passedIn(verdict)).toBe(false);
  });

  test('shows no empty table when no fault was done', () => {
    expect(verdictText({ ...WELL, faults: [], failures: ['no node knows a leader of x'] })).toContain(
      '\n  no fault was done\n\n  acknowledged ',
    );
  });
});
