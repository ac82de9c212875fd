import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { configReference } from '../../scripts/config-reference.ts';

const root = join(import.meta.dirname, '../..');

test('docs/configs.md has every config as it is defined (node scripts/config-reference.ts writes it)', () => {
  expect(readFileSync(join(root, 'docs/configs.md'), 'utf8')).toBe(configReference());
});
