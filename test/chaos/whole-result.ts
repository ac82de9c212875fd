import type { LoadResult } from '#chaos/load';

/** Of a load whose every acknowledged record was read, once and in order. */
export const WHOLE: LoadResult = {
  acknowledged: 10,
  read: 10,
  lost: 0,
  duplicated: 0,
  disordered: 0,
  changed: 0,
  skipped: 0,
  refused: 0,
  examples: [],
  unreadable: [],
  stalled: [],
};
