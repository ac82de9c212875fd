import { type CopyLine, topicOf } from '#history/format';
import type { Findings } from '../anomalies.ts';
import { explain } from '../explain.ts';
import { type History, NONE, Row } from '../history.ts';
import type { VersionOrder } from '../version-order.ts';

/** The transactions that have consumed a record of the source, and those that have copied it, a copy each. */
interface Use {
  readonly consumers: number[];
  readonly copiers: number[];
}

/** Exactly once: each record is consumed by one committed transaction, and has one committed copy. */
export function checkCopies(history: History, order: VersionOrder, findings: Findings): void {
  if (history.copies.length === 0) return;
  const committed = committedTransactions(history, order);
  for (const copy of history.copies) checkCopy(history, order, findings, copy, committed);
}

function checkCopy(
  history: History,
  order: VersionOrder,
  findings: Findings,
  copy: CopyLine,
  committed: ReadonlySet<number>,
): void {
  const uses = usesOf(history, copy, committed);
  for (const [key, name] of history.keys.entries()) {
    if (topicOf(name) !== copy.from) continue;
    for (let position = 0; position < order.length(key); position += 1) {
      if (order.rank(key, position, true) === NONE) continue;
      const offset = order.offsetAt(key, position);
      const version = order.versionAt(key, position);
      const { consumers, copiers } = uses[key]?.get(offset) ?? { consumers: [], copiers: [] };
      const tell = (what: string, ops: readonly number[]) => () => {
        const sentence = `${what}: the record ${history.versionValue.at(version)} at ${offset} of ${name}`;
        const keys = [...history.keys.keys()].filter((each) =>
          [copy.from, copy.to].includes(topicOf(history.keyName(each))),
        );
        return explain(history, sentence, ops.length > 0 ? ops : [history.versionWriter.at(version)], keys);
      };
      if (consumers.length > 1) findings.add('double-consume', tell('consumed twice', consumers));
      if (consumers.length === 0) findings.add('unconsumed', tell('never consumed', copiers));
      if (copiers.length > 1) findings.add('double-copy', tell('copied twice', copiers));
      if (copiers.length === 0) findings.add('uncopied', tell('never copied', consumers));
    }
  }
}

/** A transaction consumes what it has read of the keys whose offsets it commits, up to there. */
function usesOf(history: History, copy: CopyLine, committed: ReadonlySet<number>): readonly Map<number, Use>[] {
  const uses: Map<number, Use>[] = history.keys.map(() => new Map());
  const use = (key: number, offset: number): Use => {
    let found = uses[key]?.get(offset);
    if (found === undefined) {
      found = { consumers: [], copiers: [] };
      uses[key]?.set(offset, found);
    }
    return found;
  };
  for (const op of committed) {
    if (history.client(op)?.group !== copy.group) continue;
    const commits = new Map<number, number>();
    for (let row = history.firstRow.at(op); row < history.endRow(op); row += 1) {
      if (history.rowKind.at(row) === Row.Commit) commits.set(history.rowSubject.at(row), history.rowOffset.at(row));
    }
    for (let row = history.firstRow.at(op); row < history.endRow(op); row += 1) {
      if (history.rowKind.at(row) !== Row.Read) continue;
      const key = history.versionKey.at(history.rowSubject.at(row));
      const offset = history.rowOffset.at(row);
      const upTo = commits.get(key);
      if (upTo !== undefined && offset < upTo) use(key, offset).consumers.push(op);
    }
  }
  for (let index = 0; index < history.copyRow.length; index += 1) {
    const row = history.copyRow.at(index);
    const version = history.rowSubject.at(row);
    const writer = history.versionWriter.at(version);
    if (!committed.has(writer) || topicOf(history.keyName(history.versionKey.at(version))) !== copy.to) continue;
    use(history.copyKey.at(index), history.copyOffset.at(index)).copiers.push(writer);
  }
  return uses;
}

function committedTransactions(history: History, order: VersionOrder): ReadonlySet<number> {
  const committed = new Set<number>();
  for (let op = 0; op < history.operations; op += 1) {
    if (history.f(op) !== 'txn' || history.outcome(op) === 'fail') continue;
    let certain = history.outcome(op) === 'ok';
    for (let row = history.firstRow.at(op); row < history.endRow(op) && !certain; row += 1) {
      certain = history.rowKind.at(row) === Row.Send && order.committed(history.rowSubject.at(row));
    }
    if (certain) committed.add(op);
  }
  return committed;
}
