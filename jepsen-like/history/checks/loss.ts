import type { Findings } from '../anomalies.ts';
import { explain, versionText } from '../explain.ts';
import { type History, NONE, Row } from '../history.ts';
import type { VersionOrder } from '../version-order.ts';

/**
 * What must have committed, and nobody has read: lost, if somebody has read beyond it, for then it is passed by; else unseen, which may be
 * mere lag of the last readers. One that is read of a transaction asks for the others.
 */
export function checkLoss(history: History, order: VersionOrder, findings: Findings): void {
  const bounds = readBounds(history, order);
  for (let version = 0; version < history.versions; version += 1) {
    const writer = history.versionWriter.at(version);
    if (writer === NONE || order.read(version)) continue;
    const key = history.versionKey.at(version);
    if (!order.committed(version)) {
      if (history.outcome(writer) === 'ok') {
        findings.add('weak-loss', () => {
          const acks = history.client(writer)?.acks;
          const sentence = `weak loss: nobody read ${versionText(history, version)}, acknowledged with acks=${acks}`;
          return explain(history, sentence, [writer], [key]);
        });
      }
      continue;
    }
    const bound = history.f(writer) === 'txn' ? bounds.committed[key] : bounds.any[key];
    const position = order.lastPosition(version);
    if (bound !== undefined && position !== NONE && position < bound.position) {
      findings.add('lost-write', () => {
        const sentence = `lost write: nobody read ${versionText(history, version)} at ${order.offset(version)}, but one at ${order.offsetAt(key, bound.position)}`;
        return explain(history, sentence, [writer, bound.op], [key]);
      });
    } else {
      findings.add('unseen', () => {
        const sentence = `unseen: nobody read ${versionText(history, version)}, which must have been written`;
        return explain(history, sentence, [writer], [key]);
      });
    }
  }
}

interface Bound {
  readonly position: number;
  readonly op: number;
}

/** The furthest position of each key that anyone has read, and that a read_committed reader has. */
function readBounds(history: History, order: VersionOrder): { readonly any: Bound[]; readonly committed: Bound[] } {
  const any: Bound[] = [];
  const committed: Bound[] = [];
  for (let op = 0; op < history.operations; op += 1) {
    const bounds = history.readsCommitted(op) ? [any, committed] : [any];
    for (let row = history.firstRow.at(op); row < history.endRow(op); row += 1) {
      if (history.rowKind.at(row) !== Row.Read) continue;
      const version = history.rowSubject.at(row);
      const key = history.versionKey.at(version);
      const position = order.positionOfRead(version, history.rowOffset.at(row));
      for (const bound of bounds) if (position > (bound[key]?.position ?? NONE)) bound[key] = { position, op };
    }
  }
  return { any, committed };
}
