import type { Anomaly } from '../anomalies.ts';
import { BEYOND, certain, type Doctored, END_MS, type Ended, lastRuns, safe } from './plants.ts';

/** Faults that leave fewer traces than those of PLANTS: by their kind, and what hides them. */
export const SLY_PLANTS: readonly (readonly [kind: Anomaly, how: string, plant: (history: Doctored) => void])[] = [
  [
    'lost-write',
    'of what was read before it was lost, at the end of its partition',
    (history) => {
      const { key, value, offset } = history.pick(history.sent());
      const gone = history.sent().filter((each) => each.key === key && each.offset >= offset);
      history.found({ [key]: [offset, value] });
      for (const each of gone) history.forget(key, each.value, (client) => client.final === true);
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
  [
    'lost-write',
    'of what was read, though its sender was never told that it was written',
    (history) => {
      const { operation, key, value, offset } = history.pick(
        history.sent().filter((each) => each.operation.begin.f === 'send'),
      );
      operation.end.ops = [['send', key, value]];
      operation.end.type = 'info';
      rename(history, operation);
      history.found({ [key]: [offset, value] });
      history.forget(key, value, (client) => client.final === true);
    },
  ],
  [
    'unseen',
    'of a transaction whose sender was not told that it has committed, as an offset shows',
    (history) => {
      const [p, key] = [history.join({ ...safe, group: 'sly' }), history.pick(history.sent()).key];
      const value = history.nextValue();
      history.begin(p, 'txn', ['send', key, value], ['commit', 'in-0', 7]);
      const asking = history.join({ isolation: 'read_committed', group: 'sly' });
      history.begin(asking, 'committed', ['committed', 'in-0']);
      history.end(asking, ['committed', 'in-0', 7]);
    },
  ],
  [
    'lost-commit',
    'of what was found, though nobody was told that it had been committed',
    (history) => {
      const p = history.join({ isolation: 'read_committed', group: 'sly', protocol: 'classic' });
      history.begin(p, 'commit', ['commit', 'q-0', 7]);
      const asking = history.join({ isolation: 'read_committed', group: 'sly' });
      for (const offset of [7, null]) {
        history.begin(asking, 'committed', ['committed', 'q-0']);
        history.end(asking, ['committed', 'q-0', offset]);
      }
    },
  ],
  [
    'G1c-wr',
    'one of whose transactions never ended',
    (history) => {
      const [a, b] = [history.join(safe), history.join(safe)];
      const [first, second] = [history.nextValue(), history.nextValue()];
      history.begin(a, 'txn', ['send', 'q-0', first], ['poll', { 'q-1': [BEYOND, second] }]);
      history.begin(b, 'txn', ['send', 'q-1', second], ['poll']);
      history.end(b, ['send', 'q-1', second, BEYOND], ['poll', { 'q-0': [BEYOND, first] }]);
    },
  ],
  [
    'nonmonotonic-send',
    'behind an operation that was given up when some of it had been acknowledged',
    (history) => {
      const p = history.join(safe);
      const [first, lost, second] = [history.nextValue(), history.nextValue(), history.nextValue()];
      history.begin(p, 'send', ['send', 'q-0', first], ['send', 'q-0', lost]);
      history.lines.push({
        t: END_MS,
        type: 'info',
        p,
        ops: [
          ['send', 'q-0', first, BEYOND + 1],
          ['send', 'q-0', lost],
        ],
      });
      const next = history.join({ ...safe, after: p });
      history.begin(next, 'send', ['send', 'q-0', second]);
      history.end(next, ['send', 'q-0', second, BEYOND]);
    },
  ],
];

/** A client whose operation has no known outcome goes on as another process. */
function rename(history: Doctored, { client, to }: Ended): void {
  const p = BEYOND + history.lines.length;
  const later = history.lines.slice(to + 1);
  for (const line of later) if ('p' in line && line.p === client.p) Object.assign(line, { p });
  for (const line of later) if (line.type === 'client' && line.after === client.p) Object.assign(line, { after: p });
  const { t } = history.lines[to] as { t: number };
  history.lines.splice(to + 1, 0, { ...client, t, p, after: client.p });
}
