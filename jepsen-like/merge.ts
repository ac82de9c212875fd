import { closeSync, openSync, writeSync } from 'node:fs';
import { at } from '#base/assert';
import { type HistoryLine, VERSION } from '#history/format';
import { readLines } from './history/read-lines.ts';

/** A recorder that writes from several threads may put a line behind one that is so much later. */
const UNORDERED_MS = 1_000;
const CHUNK_CHARACTERS = 1 << 20;

interface Line {
  readonly t: number;
  readonly text: string;
}

/**
 * Merges histories that were recorded by one clock into one, by the times of their lines; those of one time stay in their files' order.
 * The last line of a recorder that was killed may be torn, and is left out. In memory is a second of each file.
 */
export function merge(files: readonly string[], into: string, name: string): void {
  const fd = openSync(into, 'w');
  try {
    let chunk = `${JSON.stringify({ type: 'history', version: VERSION, name } satisfies HistoryLine)}\n`;
    for (const text of merged(files)) {
      chunk += `${text}\n`;
      if (chunk.length < CHUNK_CHARACTERS) continue;
      writeSync(fd, chunk);
      chunk = '';
    }
    writeSync(fd, chunk);
  } finally {
    closeSync(fd);
  }
}

function* merged(files: readonly string[]): Iterable<string> {
  const sources = files.map((file) => inOrder(file)[Symbol.iterator]());
  const heads = sources.map((source) => source.next());
  for (;;) {
    let first: Line | undefined;
    let from = -1;
    for (const [index, { done, value }] of heads.entries()) {
      if (done === true || (first !== undefined && value.t >= first.t)) continue;
      first = value;
      from = index;
    }
    if (first === undefined) return;
    yield first.text;
    heads[from] = at(sources, from).next();
  }
}

/** @throws Error where a line stands too far behind a later one. */
function* inOrder(file: string): Generator<Line, undefined> {
  const waiting: Line[] = [];
  let yieldedMs = Number.NEGATIVE_INFINITY;
  for (const line of linesOf(file)) {
    if (line.t < yieldedMs) throw new Error(`${file}: a line of ${line.t} stands behind a later one`);
    let place = waiting.length;
    while (place > 0 && at(waiting, place - 1).t > line.t) place -= 1;
    waiting.splice(place, 0, line);
    const newestMs = at(waiting, waiting.length - 1).t;
    let due = 0;
    while (at(waiting, due).t < newestMs - UNORDERED_MS) due += 1;
    for (const each of waiting.splice(0, due)) {
      yieldedMs = each.t;
      yield each;
    }
  }
  yield* waiting;
}

function* linesOf(file: string): Iterable<Line> {
  for (const { text, whole } of readLines(file)) {
    if (!whole) continue;
    const line = JSON.parse(text) as HistoryLine;
    if (line.type !== 'history') yield { t: line.t, text };
  }
}
