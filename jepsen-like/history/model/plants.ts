import fc from 'fast-check';
import { assert, at } from '#base/assert';
import type {
  ClientLine,
  Commit,
  CompletionLine,
  HistoryLine,
  InvocationLine,
  Key,
  MicroOperation,
  RebalanceLine,
} from '#history/format';
import type { Anomaly } from '../anomalies.ts';

/** An operation that was ended, by its lines; its parts may be changed. */
export interface Ended {
  readonly client: ClientLine;
  readonly begin: Mutable<InvocationLine>;
  readonly end: Mutable<CompletionLine> & { ops: MicroOperation[] };
  /** The index of each line. */
  readonly from: number;
  readonly to: number;
}

type Mutable<T> = { -readonly [Name in keyof T]: T[Name] };

/** Above all values, offsets and numbers of processes of a model; and behind its end. */
export const BEYOND = 1_000_000;
export const END_MS = 1_000_000_000;

/** A recorded history, to put a fault into. */
export class Doctored {
  readonly lines: HistoryLine[];
  readonly ended: readonly Ended[];
  readonly #pick: (count: number) => number;
  #values = BEYOND;

  /** `pick` draws an index. */
  constructor(text: readonly string[], pick: (count: number) => number) {
    this.lines = text.map((line) => JSON.parse(line) as HistoryLine);
    this.#pick = pick;
    const clients = new Map<number, ClientLine>();
    const begun = new Map<number, { readonly begin: InvocationLine; readonly from: number }>();
    const ended: Ended[] = [];
    for (const [index, line] of this.lines.entries()) {
      if (line.type === 'client') clients.set(line.p, line);
      else if (line.type === 'invoke') begun.set(line.p, { begin: line, from: index });
      else if (line.type === 'ok' || line.type === 'fail' || line.type === 'info') {
        const operation = begun.get(line.p);
        const client = clients.get(line.p);
        assert(operation !== undefined && client !== undefined, 'an end without a beginning');
        const end = Object.assign(line, { ops: [...(line.ops ?? operation.begin.ops)] });
        ended.push({ client, begin: operation.begin, from: operation.from, end, to: index });
      }
    }
    this.ended = ended;
  }

  nextValue(): number {
    this.#values += 1;
    return this.#values;
  }

  pick<T>(choices: readonly T[]): T {
    // A history that has no place for the fault is not tried.
    fc.pre(choices.length > 0);
    return at(choices, this.#pick(choices.length));
  }

  /** A new client at the end. */
  join(client: Omit<ClientLine, 't' | 'type' | 'p'>): number {
    const p = BEYOND + this.lines.length;
    this.lines.push({ t: END_MS, type: 'client', p, ...client });
    return p;
  }

  begin(p: number, f: InvocationLine['f'], ...ops: readonly MicroOperation[]): void {
    this.lines.push({ t: END_MS, type: 'invoke', p, f, ops });
  }

  end(p: number, ...ops: readonly MicroOperation[]): void {
    this.lines.push({ t: END_MS, type: 'ok', p, ops });
  }

  /** A reader at the end finds this. */
  found(records: Readonly<Record<Key, readonly number[]>>): void {
    const p = this.join({ isolation: 'read_committed' });
    this.begin(p, 'poll', ['poll']);
    this.end(p, ['poll', records]);
  }

  /** Those that assign anything; a model tells the generation of each. */
  rebalances(): readonly Required<RebalanceLine>[] {
    return this.lines.filter(
      (line) => line.type === 'rebalance' && Object.keys(line.assigned ?? {}).length > 0,
    ) as Required<RebalanceLine>[];
  }

  /** What was polled, to be changed in place. */
  runs(within: readonly Ended[] = this.ended): readonly Run[] {
    return within.flatMap((operation) => {
      return operation.end.ops.flatMap((part) => {
        if (part[0] !== 'poll') return [];
        return Object.entries(part[1] ?? {}).map(([key, pairs]) => ({ operation, key, pairs: pairs as number[] }));
      });
    });
  }

  /** Nobody has read it, or none of some clients; nor do operations that never ended say so. */
  forget(key: Key, value: number, by: (client: ClientLine) => boolean = () => true): void {
    const clients = this.lines.filter((line) => line.type === 'client');
    const forgetful = new Set(clients.filter(by).map(({ p }) => p));
    for (const line of this.lines) {
      if (!('ops' in line) || !forgetful.has(line.p)) continue;
      for (const part of line.ops ?? []) {
        const pairs = part[0] === 'poll' ? ((part[1]?.[key] ?? []) as number[]) : [];
        const index = pairs.findIndex((each, at) => at % 2 === 1 && each === value);
        if (index > 0) pairs.splice(index - 1, 2);
      }
    }
  }

  /** What was sent and acknowledged with acks=all, and read by a read_committed reader that was told so. */
  sent(): readonly Sent[] {
    const read = new Set<string>();
    for (const { operation, key, pairs } of this.runs()) {
      if (operation.client.isolation !== 'read_committed' || operation.end.type !== 'ok') continue;
      for (let index = 1; index < pairs.length; index += 2) read.add(`${key} ${pairs[index]}`);
    }
    return this.ended.flatMap((operation) => {
      if (operation.end.type !== 'ok' || operation.client.acks !== 'all' || !operation.client.idempotent) return [];
      return operation.end.ops.flatMap((part, index) => {
        if (part[0] !== 'send' || !read.has(`${part[1]} ${part[2]}`)) return [];
        return [{ operation, index, key: part[1], value: part[2], offset: part[3] ?? 0 }];
      });
    });
  }

  /** Two values change their places, for whoever was told of them. */
  exchange(a: Sent, b: Sent): void {
    // Operations that never ended may have begun with what they had polled; ends without parts share those of their beginnings.
    const parts = this.lines.flatMap((line) => ('ops' in line ? (line.ops ?? []) : []));
    const polled = new Set(parts.map((part) => (part[0] === 'poll' ? part[1]?.[a.key] : undefined)));
    for (const pairs of polled as ReadonlySet<number[] | undefined>) {
      if (pairs === undefined) continue;
      for (let index = 1; index < pairs.length; index += 2) {
        if (pairs[index] === a.value) pairs[index] = b.value;
        else if (pairs[index] === b.value) pairs[index] = a.value;
      }
    }
    a.operation.end.ops[a.index] = ['send', a.key, a.value, b.offset];
    b.operation.end.ops[b.index] = ['send', b.key, b.value, a.offset];
  }
}

interface Run {
  readonly operation: Ended;
  readonly key: Key;
  readonly pairs: number[];
}

interface Sent {
  readonly operation: Ended;
  readonly index: number;
  readonly key: Key;
  readonly value: number;
  readonly offset: number;
}

/** What the last read_committed reader was given, by key: runs in their order. */
export function lastRuns(history: Doctored): readonly (readonly Run[])[] {
  const last = history.ended.findLast(
    ({ client, begin }) => client.isolation === 'read_committed' && begin.f === 'poll',
  );
  const own = history.runs(history.ended.filter(({ client }) => client.p === last?.client.p));
  return [...Map.groupBy(own, ({ key }) => key).values()];
}

/** Where in a run a record lies of which it is certain that it must be there. */
export function certain(history: Doctored, run: Run, from: number, to: number): readonly number[] {
  const sent = new Set(
    history
      .sent()
      .filter(({ key }) => key === run.key)
      .map(({ value }) => value),
  );
  const indices = [];
  for (let index = from; index < to; index += 2) if (sent.has(run.pairs[index + 1] ?? 0)) indices.push(index);
  return indices;
}

const ofCopier = ({ end, client }: Ended): boolean =>
  end.type === 'ok' && client.group === 'copier' && end.ops.length > 2;

export const safe = { acks: 'all', idempotent: true, isolation: 'read_committed' } as const;

/** Each puts one fault of its kind into a history. */
export const PLANTS: Partial<Readonly<Record<Anomaly, (history: Doctored) => void>>> = {
  'lost-write': (history) => {
    const sent = history.sent();
    const { key, value } = history.pick(
      sent.filter((each) => sent.some(({ key, offset }) => key === each.key && offset > each.offset)),
    );
    history.forget(key, value);
  },
  unseen: (history) => {
    const p = history.join(safe);
    const { key } = history.pick(history.sent());
    const value = history.nextValue();
    history.begin(p, 'send', ['send', key, value]);
    history.end(p, ['send', key, value, BEYOND]);
  },
  duplicate: (history) => {
    const { key, value } = history.pick(history.sent());
    history.found({ [key]: [BEYOND, value] });
  },
  'inconsistent-offsets': (history) => {
    const { key, offset } = history.pick(history.sent());
    const value = history.nextValue();
    history.begin(history.join(safe), 'send', ['send', key, value]);
    history.found({ [key]: [offset, value] });
  },
  phantom: (history) => history.found({ [history.pick(history.sent()).key]: [BEYOND, history.nextValue()] }),
  G1a: (history) => {
    history.pick(history.sent()).operation.end.type = 'fail';
  },
  'precommitted-read': (history) => {
    const { operation, key, value, offset } = history.pick(
      history.sent().filter((each) => each.operation.begin.f === 'txn'),
    );
    operation.end.ops.push(['poll', { [key]: [offset, value] }]);
  },
  'int-poll-skip': (history) => {
    const run = history.pick(
      lastRuns(history)
        .flat()
        .filter((each) => certain(history, each, 2, each.pairs.length - 2).length > 0),
    );
    run.pairs.splice(history.pick(certain(history, run, 2, run.pairs.length - 2)), 2);
  },
  'int-nonmonotonic-poll': (history) => {
    const { pairs } = history.pick(
      lastRuns(history)
        .flat()
        .filter((each) => each.pairs.length > 2),
    );
    pairs.push(...pairs.splice(0, 2));
  },
  'poll-skip': (history) => {
    const runs = lastRuns(history).flatMap((each) => each.slice(1));
    history
      .pick(runs.filter((run) => run.pairs.length > 2 && certain(history, run, 0, 2).length > 0))
      .pairs.splice(0, 2);
  },
  'nonmonotonic-poll': (history) => {
    const [before, run] = history.pick(lastRuns(history).filter((each) => each.length > 1));
    run?.pairs.unshift(...(before?.pairs.slice(-2) ?? []));
  },
  'int-nonmonotonic-send': (history) => history.exchange(...pairOf(history, (a, b) => a.operation === b.operation)),
  'nonmonotonic-send': (history) => {
    history.exchange(
      ...pairOf(history, (a, b) => a.operation.to < b.operation.from && a.operation.client === b.operation.client),
    );
  },
  'nonmonotonic-send-realtime': (history) => {
    for (const offset of [BEYOND + 1, BEYOND]) {
      const [p, value] = [history.join(safe), history.nextValue()];
      history.begin(p, 'send', ['send', 'q-0', value]);
      history.end(p, ['send', 'q-0', value, offset]);
    }
  },
  'G1c-wr': (history) => {
    const [a, b] = [history.join(safe), history.join(safe)];
    const [first, second] = [history.nextValue(), history.nextValue()];
    history.begin(a, 'txn', ['send', 'q-0', first], ['poll']);
    history.begin(b, 'txn', ['send', 'q-1', second], ['poll']);
    history.end(a, ['send', 'q-0', first, BEYOND], ['poll', { 'q-1': [BEYOND, second] }]);
    history.end(b, ['send', 'q-1', second, BEYOND], ['poll', { 'q-0': [BEYOND, first] }]);
  },
  // By who sends nothing then: what it reads leads to it, and from it only the order of its process, or real time.
  'G1c-wr-process': (history) => {
    readEarly(
      history,
      ({ client, end }, writer) => client === writer.client && end.ops.every(([part]) => part === 'poll'),
    );
  },
  'G1c-wr-realtime': (history) => readEarly(history, (reader) => reader.client.acks === undefined),
  'double-consume': (history) => {
    const [poll, ...parts] = history.pick(history.ended.filter(ofCopier)).end.ops;
    const commit = parts.at(-1);
    assert(poll !== undefined && commit !== undefined, 'a copier polls first and commits last');
    const p = history.join({ ...safe, group: 'copier' });
    history.begin(p, 'txn', poll, commit);
    history.end(p, poll, commit);
  },
  unconsumed: (history) => {
    history.pick(history.ended.filter(ofCopier)).end.ops[0] = ['poll'];
  },
  'double-copy': (history) => {
    const copy = history.pick(history.ended.filter(ofCopier)).end.ops[1];
    assert(copy?.[0] === 'copy', 'a copier copies next');
    const p = history.join({ ...safe, group: 'copier' });
    const again = ['copy', copy[1], history.nextValue(), copy[3], copy[4], BEYOND] as const;
    history.begin(p, 'txn', again);
    history.end(p, again);
  },
  uncopied: (history) => {
    const { ops } = history.pick(history.ended.filter(ofCopier)).end;
    const copy = ops[1];
    assert(copy?.[0] === 'copy', 'a copier copies next');
    ops[1] = ['send', copy[1], copy[2], copy[5] ?? BEYOND];
  },
  'two-owners': (history) => {
    const { generation, assigned } = history.pick(history.rebalances());
    const p = history.join({ isolation: 'read_committed', group: 'group', protocol: 'classic' });
    history.lines.push({ t: END_MS, type: 'rebalance', p, generation, assigned });
  },
  'stale-commit': (history) => {
    const { begin, from } = history.pick(acceptedCommits(history));
    const member = { p: BEYOND, isolation: 'read_committed', group: 'group', protocol: 'classic' } as const;
    const generation = (begin.generation ?? 0) + 1;
    const told = { t: begin.t, type: 'rebalance', p: BEYOND, generation, assigned: {} } as const;
    history.lines.splice(from, 0, { t: begin.t, type: 'client', ...member }, told);
  },
  'lost-commit': (history) => {
    const [, key] = history.pick(acceptedCommits(history)).end.ops[0] as Commit;
    const p = history.join({ isolation: 'read_committed', group: 'group', protocol: 'classic' });
    history.begin(p, 'committed', ['committed', key]);
    history.end(p, ['committed', key, null]);
  },
  'phantom-commit': (history) => {
    const [, key] = history.pick(acceptedCommits(history)).end.ops[0] as Commit;
    const p = history.join({ isolation: 'read_committed', group: 'another', protocol: 'classic' });
    history.begin(p, 'committed', ['committed', key]);
    history.end(p, ['committed', key, 0]);
  },
  'group-skip': (history) => {
    const commits = acceptedCommits(history).flatMap(({ end }) => end.ops) as readonly Commit[];
    const passed = history
      .sent()
      .filter((sent) => commits.some(([, key, upTo]) => key === sent.key && sent.offset < upTo));
    const { key, value } = history.pick(passed);
    history.forget(key, value, ({ group }) => group === 'group');
  },
};

const acceptedCommits = (history: Doctored): readonly Ended[] =>
  history.ended.filter(({ begin, end }) => begin.f === 'commit' && end.type === 'ok');

/** Two sends to one key, the first of which lies before the other. */
function pairOf(history: Doctored, fits: (a: Sent, b: Sent) => boolean): [Sent, Sent] {
  const sent = history.sent();
  const pairs = sent.flatMap((a) => {
    const b = sent.find((other) => other.key === a.key && other.offset > a.offset && fits(a, other));
    return b === undefined ? [] : [[a, b] as [Sent, Sent]];
  });
  return history.pick(pairs);
}

/** A poll brings what is sent only after it has ended. */
function readEarly(history: Doctored, fits: (reader: Ended, writer: Ended) => boolean): void {
  const readers = history.ended.filter(({ client, begin, end }) => {
    return end.type === 'ok' && client.isolation === 'read_committed' && (begin.f === 'poll' || begin.f === 'txn');
  });
  const pairs = history.sent().flatMap((sent) => {
    const reader = readers.find((each) => each.to < sent.operation.from && fits(each, sent.operation));
    return reader === undefined ? [] : [{ sent, reader }];
  });
  const { sent, reader } = history.pick(pairs);
  reader.end.ops.push(['poll', { [sent.key]: [sent.offset, sent.value] }]);
}
