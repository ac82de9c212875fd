import type { Key } from '#history/format';
import type { Findings } from '../anomalies.ts';
import { explain, versionText } from '../explain.ts';
import { type History, NONE, Row } from '../history.ts';
import type { VersionOrder } from '../version-order.ts';

/** Who reads everything in the end. */
interface FinalReader {
  readonly p: number;
  /** Of each key: from which offset on. */
  readonly from: Map<number, number>;
  /** By versions. */
  readonly found: Uint8Array;
  /** Its last operation. */
  op: number;
}

/**
 * What must have committed is still there in the end, also if somebody has read it before: else a log could lose everything that its
 * consumers have been given. What nobody has read at all is told by `checkLoss`.
 */
export function checkFinalReads(history: History, order: VersionOrder, findings: Findings): void {
  for (const { p, from, found, op } of finalReaders(history)) {
    for (let version = 0; version < history.versions; version += 1) {
      if (found[version] === 1 || !order.committed(version) || !order.read(version)) continue;
      const key = history.versionKey.at(version);
      const begins = from.get(key);
      if (begins === undefined || order.offsetAt(key, order.lastPosition(version)) < begins) continue;
      findings.add('lost-write', () => {
        const sentence = `lost write: ${versionText(history, version)} at ${order.offset(version)} was read, and is not there in the end, when process ${p} reads everything`;
        return explain(history, sentence, [history.versionWriter.at(version), readerOf(history, version), op], [key]);
      });
    }
  }
}

/** Keys to which something was acknowledged and that nobody has read in the end: what was lost of them once it had been read is not known. */
export function unreadInTheEnd(history: History, acknowledged: ReadonlySet<Key>): readonly Key[] {
  const read = new Set(
    finalReaders(history).flatMap(({ from }) => [...from.keys()].map((key) => history.keyName(key))),
  );
  return [...acknowledged].filter((key) => !read.has(key));
}

function finalReaders(history: History): readonly FinalReader[] {
  const readers = new Map<number, FinalReader>();
  for (let op = 0; op < history.operations; op += 1) {
    const client = history.client(op);
    if (client?.final !== true) continue;
    let reader = readers.get(client.p);
    if (reader === undefined) {
      reader = { p: client.p, from: new Map(), found: new Uint8Array(history.versions), op };
      readers.set(client.p, reader);
    }
    reader.op = op;
    for (let row = history.firstRow.at(op); row < history.endRow(op); row += 1) {
      const subject = history.rowSubject.at(row);
      const offset = history.rowOffset.at(row);
      if (history.rowKind.at(row) === Row.Read) reader.found[subject] = 1;
      else if (history.rowKind.at(row) === Row.Assign && offset !== NONE) reader.from.set(subject, offset);
    }
  }
  return [...readers.values()];
}

/** An operation that has read it. */
function readerOf(history: History, version: number): number {
  for (let op = 0; op < history.operations; op += 1) {
    for (let row = history.firstRow.at(op); row < history.endRow(op); row += 1) {
      if (history.rowKind.at(row) === Row.Read && history.rowSubject.at(row) === version) return op;
    }
  }
  return NONE;
}
