import type { Findings } from '../anomalies.ts';
import { explain, versionText } from '../explain.ts';
import { type History, NONE, Row } from '../history.ts';
import type { VersionOrder } from '../version-order.ts';

/** What members of a group were given of a key, and how far they have committed. */
interface Progress {
  readonly group: string;
  readonly key: number;
  readonly given: Uint8Array;
  first: number;
  committed: number;
  /** The commit. */
  op: number;
}

/**
 * A group passes nothing by: what lies below an offset that it has committed was given to one of its members. It begins where the first
 * of them has read, or at the first record if one says so. What transactions consume is checked as copies.
 */
export function checkGroupReads(history: History, order: VersionOrder, findings: Findings): void {
  const earliest = new Set<string>();
  for (const { group, reset } of history.clients.values()) {
    if (group !== undefined && reset === 'earliest') earliest.add(group);
  }
  for (const { group, key, given, first, committed, op } of progressOf(history, order)) {
    const end = order.positionFrom(key, committed);
    for (let position = earliest.has(group) ? 0 : first; position < end; position += 1) {
      if (given[position] === 1 || order.rank(key, position, true) === NONE) continue;
      findings.add('group-skip', () => {
        const version = order.versionAt(key, position);
        const what = `${versionText(history, version)} at ${order.offsetAt(key, position)}`;
        const sentence = `group skip: ${what} was given to no member of group ${group}, which has committed ${committed}`;
        return explain(history, sentence, [history.versionWriter.at(version), op], [key]);
      });
    }
  }
}

function progressOf(history: History, order: VersionOrder): Iterable<Progress> {
  const all = new Map<string, Progress>();
  const of = (group: string, key: number): Progress => {
    const name = `${group} ${key}`;
    let progress = all.get(name);
    if (progress === undefined) {
      const given = new Uint8Array(order.length(key));
      progress = { group, key, given, first: Number.POSITIVE_INFINITY, committed: 0, op: NONE };
      all.set(name, progress);
    }
    return progress;
  };
  for (let op = 0; op < history.operations; op += 1) {
    const group = history.client(op)?.group;
    if (group === undefined) continue;
    const commits = history.f(op) === 'commit' && history.outcome(op) === 'ok';
    for (let row = history.firstRow.at(op); row < history.endRow(op); row += 1) {
      const kind = history.rowKind.at(row);
      const subject = history.rowSubject.at(row);
      const offset = history.rowOffset.at(row);
      if (kind === Row.Read) {
        const progress = of(group, history.versionKey.at(subject));
        const position = order.positionOfRead(subject, offset);
        progress.given[position] = 1;
        progress.first = Math.min(progress.first, position);
      } else if (kind === Row.Commit && commits) {
        const progress = of(group, subject);
        if (offset <= progress.committed) continue;
        progress.committed = offset;
        progress.op = op;
      }
    }
  }
  return all.values();
}
