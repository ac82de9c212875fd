import { type History, NONE, Row } from './history.ts';

/** How many parts of an operation are written out. */
const PARTS = 8;

/** `1234.5 ms`, to a thousandth. */
export function milliseconds(ms: number): string {
  return `${Math.round(ms * 1_000) / 1_000} ms`;
}

export function versionText(history: History, version: number): string {
  return `${history.versionValue.at(version)} of ${history.keyName(history.versionKey.at(version))}`;
}

/** An operation, on one line; of its parts those of the keys that matter. */
export function operationText(history: History, op: number, keys: ReadonlySet<number>): string {
  const parts: string[] = [];
  for (let row = history.firstRow.at(op); row < history.endRow(op); row += 1) {
    if (keys.has(keyOf(history, row))) parts.push(partText(history, row));
  }
  const told = parts.length > PARTS ? [...parts.slice(0, PARTS), `and ${parts.length - PARTS} more`] : parts;
  const error = history.errors.get(op);
  const end = history.completedMs.at(op);
  const outcome = end === Number.POSITIVE_INFINITY ? 'never ended' : history.outcome(op);
  const times = `${milliseconds(history.invokedMs.at(op))} to ${end === Number.POSITIVE_INFINITY ? 'the end' : milliseconds(end)}`;
  const head = `process ${history.process.at(op)}, ${times}, ${history.f(op)} ${outcome}`;
  const what = told.length === 0 ? '' : `: ${told.join(', ')}`;
  return `${head}${error === undefined ? '' : ` (${error})`}${what}${faultsDuring(history, op)}`;
}

/** A sentence, and below it the operations that it speaks of. */
export function explain(history: History, sentence: string, ops: readonly number[], keys: readonly number[]): string {
  const there = [...new Set(ops)].filter((op) => op !== NONE);
  return [sentence, ...there.map((op) => `  ${operationText(history, op, new Set(keys))}`)].join('\n');
}

export function keyOf(history: History, row: number): number {
  const subject = history.rowSubject.at(row);
  const kind = history.rowKind.at(row);
  return kind === Row.Send || kind === Row.Read ? history.versionKey.at(subject) : subject;
}

function partText(history: History, row: number): string {
  const key = history.keyName(keyOf(history, row));
  const offset = history.rowOffset.at(row);
  const at = offset === NONE ? '' : ` at ${offset}`;
  switch (history.rowKind.at(row)) {
    case Row.Send:
      return `sends ${history.versionValue.at(history.rowSubject.at(row))} to ${key}${at}`;
    case Row.Read:
      return `reads ${history.versionValue.at(history.rowSubject.at(row))} from ${key}${at}`;
    case Row.Commit:
      return `commits ${offset} of ${key}`;
    case Row.Committed:
      return `finds ${offset === NONE ? 'nothing' : offset} committed of ${key}`;
    default:
      return `takes ${key}${offset === NONE ? '' : ` from ${offset}`}`;
  }
}

function faultsDuring(history: History, op: number): string {
  const open = new Map<string, string>();
  const during = new Set<string>();
  for (const { t, name, target, phase } of history.faults) {
    if (t > history.completedMs.at(op)) break;
    const fault = `${name} of ${target}`;
    if (phase === 'begin') open.set(fault, fault);
    // What ended before the operation began has nothing to do with it.
    else if (t >= history.invokedMs.at(op)) during.add(fault);
    if (phase === 'end') open.delete(fault);
  }
  for (const fault of open.keys()) during.add(fault);
  return during.size === 0 ? '' : ` [during ${[...during].join(', ')}]`;
}
