import { describe, expect, it } from 'vitest';
import { createCodecs } from '#platform/codecs';
import { runJudgedSeed } from '../../scripts/judged-seed.ts';
import { NAMED_SEEDS } from './named-seeds.ts';

describe('a seed that has found something finds nothing any more', () => {
  it.each(NAMED_SEEDS)('$seed: $found', { timeout: 120_000 }, async ({ seed }) => {
    const { violation } = await runJudgedSeed({ seed, durationMs: 60_000, codecs: createCodecs() });
    expect(violation).toBeUndefined();
  });
});
