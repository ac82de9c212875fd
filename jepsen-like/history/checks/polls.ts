import type { Anomaly, Findings } from '../anomalies.ts';
import { explain, versionText } from '../explain.ts';
import { type History, NONE, Row } from '../history.ts';
import type { VersionOrder } from '../version-order.ts';

interface Place {
  readonly rank: number;
  readonly position: number;
  /** What it has read last, or NONE: it was told to begin behind that place. */
  readonly version: number;
  readonly op: number;
}

/** Where a process is in each key, by its last operation that was ok. */
interface Reader {
  /** And may be told late of a rebalance. */
  subscribed: boolean;
  readonly places: Map<number, Place>;
}

/**
 * A reader goes through a key one by one, within an operation and from one to the next. Keys of which the rebalance log speaks begin
 * anew; assign and subscribe begin all anew, and where assign says from which offset on, the first read is of what comes there. Who
 * subscribes may be sent back or past by a rebalance of which it is told late, so that between its operations nothing fails, unless it
 * says that it is told in order. An operation that failed has moved nothing: its consumer goes back.
 */
export function checkPolls(history: History, order: VersionOrder, findings: Findings): void {
  const readers = new Map<number, Reader>();
  for (let op = 0; op < history.operations; op += 1) {
    const p = history.process.at(op);
    let reader = readers.get(p);
    const client = history.clients.get(p);
    if (reader === undefined) {
      // The same consumer goes on as another process.
      const before = client?.after === undefined ? undefined : readers.get(client.after);
      reader = { subscribed: before?.subscribed ?? false, places: new Map(before?.places) };
      readers.set(p, reader);
    }
    const f = history.f(op);
    if (f === 'assign' || f === 'subscribe') {
      reader.places.clear();
      reader.subscribed = f === 'subscribe' && client?.ordered !== true;
      beginAt(history, order, op, reader);
    } else if (f === 'poll' || f === 'txn') {
      checkOperation(history, order, findings, op, reader);
    }
  }
}

function beginAt(history: History, order: VersionOrder, op: number, reader: Reader): void {
  if (history.outcome(op) !== 'ok') return;
  for (let row = history.firstRow.at(op); row < history.endRow(op); row += 1) {
    const offset = history.rowOffset.at(row);
    if (history.rowKind.at(row) !== Row.Assign || offset === NONE) continue;
    const key = history.rowSubject.at(row);
    const position = order.positionFrom(key, offset) - 1;
    const rank = order.rankUpTo(key, position, history.readsCommitted(op));
    reader.places.set(key, { rank, position, version: NONE, op });
  }
}

function checkOperation(history: History, order: VersionOrder, findings: Findings, op: number, reader: Reader): void {
  const rebalanced = rebalancedKeys(history, op);
  for (const key of rebalanced) reader.places.delete(key);
  const readsCommitted = history.readsCommitted(op);
  const places = new Map<number, Place>();
  for (let row = history.firstRow.at(op); row < history.endRow(op); row += 1) {
    if (history.rowKind.at(row) !== Row.Read) continue;
    const version = history.rowSubject.at(row);
    const key = history.versionKey.at(version);
    if (rebalanced.has(key)) continue;
    const position = order.positionOfRead(version, history.rowOffset.at(row));
    const rank = order.rank(key, position, readsCommitted);
    if (rank === NONE) continue;
    const within = places.get(key);
    const before = within ?? reader.places.get(key);
    if (before !== undefined && rank !== before.rank + 1) {
      const anomaly = anomalyOf(rank > before.rank, within !== undefined, reader.subscribed);
      findings.add(anomaly, () => {
        const how =
          rank > before.rank ? `${rank - before.rank - 1} between them are skipped` : 'which does not come after it';
        const from = before.version === NONE ? 'where it was told to begin' : versionText(history, before.version);
        const sentence = `${anomaly}: ${from}, then ${versionText(history, version)}: ${how}`;
        const skipped = skippedWriters(history, order, key, before.position, position);
        return explain(history, sentence, [before.op, op, ...skipped], [key]);
      });
    }
    places.set(key, { rank, position, version, op });
  }
  if (history.outcome(op) === 'ok') for (const [key, place] of places) reader.places.set(key, place);
}

function anomalyOf(skips: boolean, within: boolean, subscribed: boolean): Anomaly {
  if (within) return skips ? 'int-poll-skip' : 'int-nonmonotonic-poll';
  if (subscribed) return skips ? 'subscribed-poll-skip' : 'subscribed-nonmonotonic-poll';
  return skips ? 'poll-skip' : 'nonmonotonic-poll';
}

function rebalancedKeys(history: History, op: number): ReadonlySet<number> {
  const told = history.rebalancesOf.get(op) ?? [];
  return new Set(told.flatMap(({ assigned, revoked }) => [...assigned.keys(), ...revoked]));
}

/** Who wrote the first that lies between two positions. */
function skippedWriters(
  history: History,
  order: VersionOrder,
  key: number,
  from: number,
  to: number,
): readonly number[] {
  const next = order.nextCommitted(key, from);
  if (next === NONE || next >= to) return [];
  return [history.versionWriter.at(order.versionAt(key, next))];
}
