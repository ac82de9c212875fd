import { type History, NONE, Row } from '../history.ts';

export interface Unavailability {
  readonly key: string;
  readonly ms: number;
  readonly fromMs: number;
}

/**
 * Of each key to which anything was sent, the longest time without an acknowledgement: from one to the next, from the first attempt to
 * the first, and from the last to the last attempt's failure. Attempts that are said to be earlier than they were count from their ends.
 */
export function unavailability(history: History): readonly Unavailability[] {
  const since = firstAttempts(history);
  const longest = new Map<number, { readonly ms: number; readonly fromMs: number }>();
  for (let op = 0; op < history.operations; op += 1) {
    const ms = history.completedMs.at(op);
    if (ms === Number.POSITIVE_INFINITY) continue;
    const ok = history.outcome(op) === 'ok';
    const alone = history.f(op) === 'send';
    for (let row = history.firstRow.at(op); row < history.endRow(op); row += 1) {
      if (history.rowKind.at(row) !== Row.Send) continue;
      const key = history.versionKey.at(history.rowSubject.at(row));
      const fromMs = since[key] ?? ms;
      if (ms - fromMs > (longest.get(key)?.ms ?? -1)) longest.set(key, { ms: ms - fromMs, fromMs });
      const acknowledged = ok || (alone && history.outcome(op) === 'info' && history.rowOffset.at(row) !== NONE);
      if (acknowledged) since[key] = ms;
    }
  }
  return [...longest].map(([key, gap]) => ({ key: history.keyName(key), ...gap }));
}

function firstAttempts(history: History): number[] {
  const first: number[] = [];
  for (let op = 0; op < history.operations; op += 1) {
    if (history.client(op)?.early === true) continue;
    for (let row = history.firstRow.at(op); row < history.endRow(op); row += 1) {
      if (history.rowKind.at(row) !== Row.Send) continue;
      const key = history.versionKey.at(history.rowSubject.at(row));
      first[key] = Math.min(first[key] ?? Number.POSITIVE_INFINITY, history.invokedMs.at(op));
    }
  }
  return first;
}
