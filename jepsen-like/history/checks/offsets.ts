import type { Findings } from '../anomalies.ts';
import { explain, versionText } from '../explain.ts';
import { type History, NONE, Row } from '../history.ts';
import type { VersionOrder } from '../version-order.ts';

/** One offset, one value; one value, one offset. */
export function checkOffsets(history: History, order: VersionOrder, findings: Findings): void {
  for (const { key, offset, versions } of order.conflicts) {
    findings.add('inconsistent-offsets', () => {
      const values = versions.map((version) => history.versionValue.at(version)).join(' and ');
      const sentence = `inconsistent offsets: ${values} are both at ${offset} of ${history.keyName(key)}`;
      return explain(
        history,
        sentence,
        tellers(history, versions, (at) => at === offset),
        [key],
      );
    });
  }
  for (const [version, others] of order.otherOffsets) {
    const writer = history.versionWriter.at(version);
    // Without idempotence a producer's retry may write once more.
    const recognised = writer === NONE || history.client(writer)?.idempotent === true;
    findings.add(recognised ? 'duplicate' : 'retry-duplicate', () => {
      const offsets = [order.offset(version), ...others].join(' and ');
      const sentence = `duplicate: ${versionText(history, version)} is at ${offsets}`;
      const ops = [writer, ...tellers(history, [version], () => true)];
      return explain(history, sentence, ops, [history.versionKey.at(version)]);
    });
  }
}

/** For each version and offset one operation that tells of it. */
function tellers(
  history: History,
  versions: readonly number[],
  wanted: (offset: number) => boolean,
): readonly number[] {
  const tellers = new Map<string, number>();
  for (let op = 0; op < history.operations; op += 1) {
    for (let row = history.firstRow.at(op); row < history.endRow(op); row += 1) {
      const kind = history.rowKind.at(row);
      if (kind !== Row.Send && kind !== Row.Read) continue;
      const version = history.rowSubject.at(row);
      const offset = history.rowOffset.at(row);
      if (!versions.includes(version) || offset === NONE || !wanted(offset)) continue;
      const told = `${version} at ${offset}`;
      if (!tellers.has(told)) tellers.set(told, op);
    }
  }
  return [...tellers.values()];
}
