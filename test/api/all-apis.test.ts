import { expect, test } from 'vitest';
import { ALL_APIS } from '#api/all-apis';
import { offeredVersions } from '#protocol/offered-apis';

test('every API is listed once, in the order of keys, with versions to offer', () => {
  const keys = ALL_APIS.map(({ key }) => key);
  expect(keys).toEqual([...new Set(keys)].toSorted((a, b) => a - b));
  for (const key of keys) expect(offeredVersions(key)).toBeDefined();
});
