import { type History, NONE, Row } from '../history.ts';
import type { VersionOrder } from '../version-order.ts';

export interface Lag {
  readonly ms: number;
  readonly key: string;
  readonly p: number;
  /** When the poll began that did not find it. */
  readonly atMs: number;
}

/** Where a reader goes on in a key, and since when it reads there: who begins far behind lags no longer than it has been reading. */
interface Place {
  readonly position: number;
  readonly sinceMs: number;
}

/**
 * The longest time for which something had been acknowledged when a poll began that still did not bring it, nor had one before it; of
 * keys whose reader's place is known. undefined if nothing ever lagged.
 */
export function worstLag(history: History, order: VersionOrder): Lag | undefined {
  const acknowledged = history.keys.map((_, key) => firstAcknowledgedFrom(history, order, key));
  const readers = new Map<number, Map<number, Place>>();
  let worst: Lag | undefined;
  for (let op = 0; op < history.operations; op += 1) {
    const p = history.process.at(op);
    let places = readers.get(p);
    if (places === undefined) {
      places = new Map();
      readers.set(p, places);
    }
    move(history, order, op, places);
    if (history.outcome(op) !== 'ok' || history.f(op) !== 'poll') continue;
    const atMs = history.invokedMs.at(op);
    for (const [key, { position, sinceMs }] of places) {
      const ms = atMs - Math.max(sinceMs, acknowledged[key]?.[position] ?? Number.POSITIVE_INFINITY);
      if (ms > (worst?.ms ?? 0)) worst = { ms, key: history.keyName(key), p, atMs };
    }
  }
  return worst;
}

function move(history: History, order: VersionOrder, op: number, places: Map<number, Place>): void {
  const f = history.f(op);
  if (f === 'assign' || f === 'subscribe') places.clear();
  const sinceMs = history.completedMs.at(op);
  for (const { assigned, revoked } of history.rebalancesOf.get(op) ?? []) {
    for (const key of revoked) places.delete(key);
    for (const [key, offset] of assigned) {
      if (offset !== NONE) places.set(key, { position: order.positionFrom(key, offset), sinceMs });
    }
  }
  if (history.outcome(op) !== 'ok') return;
  for (let row = history.firstRow.at(op); row < history.endRow(op); row += 1) {
    const kind = history.rowKind.at(row);
    const subject = history.rowSubject.at(row);
    const offset = history.rowOffset.at(row);
    if (kind === Row.Assign && offset !== NONE) {
      places.set(subject, { position: order.positionFrom(subject, offset), sinceMs });
    } else if (kind === Row.Read) {
      const key = history.versionKey.at(subject);
      const position = order.positionOfRead(subject, offset) + 1;
      places.set(key, { position, sinceMs: places.get(key)?.sinceMs ?? sinceMs });
    }
  }
}

/** For each position the earliest time at which it, or one behind it, was acknowledged. */
function firstAcknowledgedFrom(history: History, order: VersionOrder, key: number): Float64Array {
  const times = new Float64Array(order.length(key));
  let earliest = Number.POSITIVE_INFINITY;
  for (let position = times.length - 1; position >= 0; position -= 1) {
    const version = order.versionAt(key, position);
    const writer = history.versionWriter.at(version);
    if (order.committed(version) && writer !== NONE && history.outcome(writer) === 'ok') {
      earliest = Math.min(earliest, history.completedMs.at(writer));
    }
    times[position] = earliest;
  }
  return times;
}
