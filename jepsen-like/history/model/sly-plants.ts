import type { Anomaly } from '../anomalies.ts';
import { certain, type Doctored, lastRuns } from './plants.ts';

/** Faults that leave fewer traces than those of PLANTS: by their kind, and what hides them. */
export const SLY_PLANTS: readonly (readonly [kind: Anomaly, how: string, plant: (history: Doctored) => void])[] = [
  [
    'lost-write',
    'of what was read before it was lost, at the end of its partition',
    (history) => {
      const { key, offset } = history.pick(history.sent());
      const gone = history.sent().filter((each) => each.key === key && each.offset >= offset);
      for (const { value } of gone) history.forget(key, value, (client) => client.final === true);
    },
  ],
  [
    'lost-write',
    'of all that was read',
    (history) => {
      const { key } = history.pick(history.sent());
      for (const each of history.sent()) {
        if (each.key === key) history.forget(key, each.value, (client) => client.final === true);
      }
    },
  ],
  [
    'poll-skip',
    'of the first that a reader was to begin with',
    (history) => {
      const runs = lastRuns(history).flatMap((each) => each.slice(0, 1));
      const { pairs } = history.pick(runs.filter((run) => certain(history, run, 0, 2).length > 0));
      pairs.splice(0, 2);
    },
  ],
];
