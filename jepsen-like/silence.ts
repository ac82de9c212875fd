import { type FaultLine, topicOf } from '#history/format';
import { type History, Row } from './history/history.ts';
import type { Verdict } from './history/verdict.ts';

interface Named {
  readonly name: string;
}

/** A trial proves nothing of a topic in which nothing was acknowledged, all the while: a sentence for each. */
export function silentTopics(
  topics: readonly Named[],
  { acknowledgedKeys }: Pick<Verdict, 'acknowledgedKeys'>,
): readonly string[] {
  const heard = new Set([...acknowledgedKeys].map(topicOf));
  return topics.filter(({ name }) => !heard.has(name)).map(({ name }) => `nothing was acknowledged in ${name}`);
}

/** Nor of one to which nobody wanted to write while the fault lasted, whatever came of it: a sentence for each. */
export function idleTopics(topics: readonly Named[], history: History): readonly string[] {
  const from = history.faults.find(({ phase }) => phase === 'begin')?.t ?? Number.POSITIVE_INFINITY;
  const to = history.faults.findLast(({ phase }: FaultLine) => phase === 'end')?.t ?? Number.POSITIVE_INFINITY;
  const busy = new Set<string>();
  for (let op = 0; op < history.operations; op += 1) {
    if (history.invokedMs.at(op) > to || history.completedMs.at(op) < from) continue;
    for (let row = history.firstRow.at(op); row < history.endRow(op); row += 1) {
      if (history.rowKind.at(row) !== Row.Send) continue;
      busy.add(topicOf(history.keyName(history.versionKey.at(history.rowSubject.at(row)))));
    }
  }
  return topics.filter(({ name }) => !busy.has(name)).map(({ name }) => `nobody wrote to ${name} during the fault`);
}
