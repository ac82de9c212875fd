import type { Metrics } from '#base/ports';

/** One number; under several names if others than our own are queried for it (see docs/metrics.md), ours first. */
export type One = (
  names: string | readonly string[],
  help: string,
  type: 'counter' | 'gauge',
  read: () => number,
) => void;

export function oneOf(metrics: Metrics): One {
  return (names, help, type, read) => {
    for (const name of typeof names === 'string' ? [names] : names)
      metrics.series(name, help, type, () => [[{}, read()]]);
  };
}
