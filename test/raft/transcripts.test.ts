import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { play } from './transcript.ts';

const FOLDER = fileURLToPath(new URL('./transcripts/', import.meta.url));

/** Each file says in its first line what it shows; `vitest -u` writes what really came of its commands. */
test.each(
  readdirSync(FOLDER).map((name) => {
    const text = readFileSync(`${FOLDER}${name}`, 'utf8');
    return { name, text, claim: text.slice(2, text.indexOf('\n')) };
  }),
)('$name: $claim', async ({ name, text }) => {
  await expect(play(text)).toMatchFileSnapshot(`${FOLDER}${name}`);
});
