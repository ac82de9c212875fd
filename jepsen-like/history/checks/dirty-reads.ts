import type { Findings } from '../anomalies.ts';
import { explain, versionText } from '../explain.ts';
import { type History, NONE, Row } from '../history.ts';

/** Reads of what is not there to be read: it was refused or aborted, is not committed yet, or was never sent. */
export function checkDirtyReads(history: History, findings: Findings): void {
  const phantoms = new Set<number>();
  for (let op = 0; op < history.operations; op += 1) {
    const readsCommitted = history.readsCommitted(op);
    for (let row = history.firstRow.at(op); row < history.endRow(op); row += 1) {
      if (history.rowKind.at(row) !== Row.Read) continue;
      const version = history.rowSubject.at(row);
      const writer = history.versionWriter.at(version);
      const key = history.versionKey.at(version);
      if (writer === NONE) {
        if (phantoms.has(version)) continue;
        phantoms.add(version);
        findings.add('phantom', () => {
          return explain(history, `phantom: nobody sent ${versionText(history, version)}`, [op], [key]);
        });
        continue;
      }
      // Those who read what is uncommitted see open and aborted transactions by right.
      if (history.f(writer) === 'txn' && !readsCommitted) continue;
      if (writer === op) {
        findings.add('precommitted-read', () => {
          const sentence = `precommitted read: a transaction reads ${versionText(history, version)}, which it sends itself`;
          return explain(history, sentence, [op], [key]);
        });
      } else if (history.outcome(writer) === 'fail') {
        // Whatever came of the operation that has read it: it was given.
        findings.add('G1a', () => {
          const sentence = `G1a, aborted read: ${versionText(history, version)} is read, whose sender was told that it failed`;
          return explain(history, sentence, [writer, op], [key]);
        });
      }
    }
  }
}
