import { describe, expect, it } from 'vitest';
import { createCodecs } from '#platform/codecs';
import { runJudgedSeed } from '../../scripts/judged-seed.ts';
import { NAMED_SEEDS, SEEDS } from './named-seeds.ts';

/** The others are among the many seeds. */
const beyond = NAMED_SEEDS.filter(({ seed }) => seed > SEEDS);

describe('a seed that has found something finds nothing any more', () => {
  it.each(beyond)('$seed: $found', { timeout: 120_000 }, async ({ seed }) => {
    const { violation } = await runJudgedSeed({ seed, durationMs: 60_000, codecs: createCodecs() });
    expect(violation).toBeUndefined();
  });
});
