/** What clients were promised and saw while brokers died, against what the topics hold in the end. */

/** The values of each partition, in order. */
export type Log = readonly (readonly string[])[];

/** Delivered to a group, in the order of delivery: partition, first and last offset. */
export type Run = readonly [partition: number, first: number, last: number];

export interface Outcome {
  /** What producers were told is written. */
  readonly acknowledged: ReadonlySet<string>;
  /** All that was written, by idempotent producers and outside of transactions, so that a value's index is its offset. */
  readonly source: Log;
  /** The copy, by transactions that commit the source's offsets; committed records only. */
  readonly sink: Log;
  readonly groups: ReadonlyMap<string, readonly Run[]>;
}

/** Sentences, a few of each kind; empty if all is well. */
export type Faults = readonly string[];

const FEW = 3;

export function judge({ acknowledged, source, sink, groups }: Outcome): Faults {
  return [
    ...lost(acknowledged, source),
    ...duplicated(source),
    ...disordered(source),
    ...source.flatMap((values, partition) => miscopied(partition, values, sink[partition] ?? [])),
    ...[...groups].flatMap(([name, runs]) => unseen(name, runs, source)),
  ];
}

function few(kind: string, faults: readonly string[]): Faults {
  return faults.length === 0 ? [] : [`${kind}: ${faults.length}, first ${faults.slice(0, FEW).join(', ')}`];
}

function lost(acknowledged: ReadonlySet<string>, source: Log): Faults {
  const found = new Set(source.flat());
  return few(
    'acknowledged and lost',
    [...acknowledged].filter((value) => !found.has(value)),
  );
}

function duplicated(source: Log): Faults {
  const found = new Set<string>();
  const twice: string[] = [];
  for (const value of source.flat()) {
    if (found.has(value)) twice.push(value);
    found.add(value);
  }
  return few('twice in the source', twice);
}

/** Values are named PRODUCER.NUMBER; each producer counts up in each partition. */
function disordered(source: Log): Faults {
  const behind: string[] = [];
  for (const values of source) {
    const last = new Map<string, number>();
    for (const value of values) {
      const [producer = '', number] = value.split('.');
      if (Number(number) < (last.get(producer) ?? -1)) behind.push(value);
      last.set(producer, Number(number));
    }
  }
  return few('behind a later one in the source', behind);
}

/** Exactly once, in order, is to be the same list. */
function miscopied(partition: number, source: readonly string[], sink: readonly string[]): Faults {
  const found = new Set(sink);
  const missing = source.filter((value) => !found.has(value));
  const faults = [
    ...few(`not copied in partition ${partition}`, missing),
    ...(sink.length > found.size ? [`${sink.length - found.size} copied twice in partition ${partition}`] : []),
  ];
  const index = source.findIndex((value, at) => sink[at] !== value);
  if (faults.length === 0 && (index >= 0 || sink.length !== source.length)) {
    return [`partition ${partition} differs from its copy at ${index}: ${source[index]} and ${sink[index]}`];
  }
  return faults;
}

/** A group may see again what it had not committed, but nothing may pass it by. */
function unseen(name: string, runs: readonly Run[], source: Log): Faults {
  return source.flatMap((values, partition) => {
    const missing: string[] = [];
    const ofPartition = runs.filter(([of]) => of === partition).sort(([, a], [, b]) => a - b);
    let next = 0;
    for (const [, first, last] of [...ofPartition, [partition, values.length, values.length] as const]) {
      for (let offset = next; offset < first; offset += 1) missing.push(values[offset] ?? '');
      next = Math.max(next, last + 1);
    }
    return few(`never seen by the ${name} group in partition ${partition}`, missing);
  });
}
