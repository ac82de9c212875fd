import {
  type ClientLine,
  type CompletionLine,
  FUNCTIONS,
  HistoryError,
  type HistoryLine,
  type InvocationLine,
  type Key,
  type MicroOperation,
  type OperationFunction,
  OUTCOMES,
  type Outcome,
  type RebalanceLine,
  VERSION,
} from '#history/format';
import { History, NEVER, NONE, type Rebalance, Row } from './history.ts';
import { faultOfShape } from './shape.ts';

interface Pending {
  readonly line: InvocationLine;
  readonly event: number;
}

/** The micro-operations that each function may have. */
const PARTS: Readonly<Record<OperationFunction, readonly string[]>> = {
  send: ['send', 'copy'],
  poll: ['poll'],
  txn: ['send', 'copy', 'poll', 'commit'],
  commit: ['commit'],
  committed: ['committed'],
  assign: ['assign'],
  subscribe: ['subscribe'],
  crash: [],
};

/** @throws HistoryError where a line is not what a recorder can have written; a last line without an end is only told. */
export function load(lines: Iterable<{ readonly text: string; readonly whole: boolean }>): History {
  const loader = new Loader();
  for (const { text, whole } of lines) loader.add(text, whole);
  return loader.finish();
}

class Loader {
  readonly #history = new History();
  readonly #keyNumbers = new Map<Key, number>();
  /** Of each key: the version of each value. */
  readonly #versions: Map<number, number>[] = [];
  readonly #pending = new Map<number, Pending>();
  /** Told to a process since its last operation ended. */
  readonly #told = new Map<number, Rebalance[]>();
  /** Processes that ended with an outcome that is not known. */
  readonly #over = new Set<number>();
  readonly #lastLineOf = new Map<number, number>();
  #event = 0;
  #lastMs = Number.NEGATIVE_INFINITY;

  add(text: string, whole: boolean): void {
    let line: HistoryLine;
    try {
      line = JSON.parse(text) as HistoryLine;
    } catch (cause) {
      if (whole) this.#refuse('is not JSON', cause);
      this.#history.torn = true;
      return;
    }
    const fault = faultOfShape(line);
    if (fault !== undefined) this.#refuse(fault);
    if (this.#event === 0) {
      if (line.type !== 'history' || line.version !== VERSION) this.#refuse(`begins no history of version ${VERSION}`);
      this.#history.name = line.name;
    } else {
      this.#take(line);
    }
    this.#event += 1;
  }

  finish(): History {
    if (this.#event === 0) this.#refuse('is not there');
    for (const { line, event } of this.#pending.values()) {
      this.#operation(line, event, { t: Number.POSITIVE_INFINITY, type: 'info', p: line.p }, NEVER);
    }
    return this.#history;
  }

  #refuse(why: string, cause?: unknown): never {
    throw new HistoryError(`line ${this.#event + 1} ${why}`, { cause });
  }

  #take(line: HistoryLine): void {
    if (line.type === 'history') this.#refuse('begins another history');
    if (!(Number.isFinite(line.t) && line.t >= this.#lastMs)) this.#refuse('goes back in time');
    this.#lastMs = line.t;
    switch (line.type) {
      case 'fault':
        this.#history.faults.push(line);
        return;
      case 'copy':
        this.#history.copies.push(line);
        return;
      case 'client':
        this.#client(line);
        break;
      case 'invoke':
        this.#invoke(line);
        break;
      case 'rebalance':
        this.#rebalance(line);
        break;
      default:
        if (!OUTCOMES.includes(line.type)) this.#refuse(`is of no known type: ${shown(line.type)}`);
        this.#complete(line);
    }
    this.#lastLineOf.set(line.p, this.#event);
  }

  #client(line: ClientLine): void {
    if (this.#history.clients.has(line.p)) this.#refuse(`declares process ${line.p} again`);
    if (line.after !== undefined && !this.#history.clients.has(line.after)) {
      this.#refuse(`goes on for process ${line.after}, which no line declares`);
    }
    this.#history.clients.set(line.p, line);
  }

  #invoke(line: InvocationLine): void {
    if (!this.#history.clients.has(line.p)) this.#refuse(`is of process ${line.p}, which no line declares`);
    if (this.#pending.has(line.p)) this.#refuse(`begins a second operation of process ${line.p}`);
    if (this.#over.has(line.p)) this.#refuse(`is of process ${line.p}, which ended with an unknown outcome`);
    if (!FUNCTIONS.includes(line.f)) this.#refuse(`has no known function: ${shown(line.f)}`);
    this.#pending.set(line.p, { line, event: this.#event });
  }

  #complete(line: CompletionLine): void {
    const pending = this.#pending.get(line.p);
    if (pending === undefined) this.#refuse(`ends an operation of process ${line.p}, which is in none`);
    this.#pending.delete(line.p);
    if (line.type === 'info') this.#over.add(line.p);
    this.#operation(pending.line, pending.event, line, this.#event);
  }

  #operation(invocation: InvocationLine, event: number, completion: CompletionLine, endEvent: number): void {
    const history = this.#history;
    const { p, f } = invocation;
    const op = history.process.push(p);
    history.functions.push(FUNCTIONS.indexOf(f));
    history.outcomes.push(OUTCOMES.indexOf(completion.type));
    history.invokedAt.push(event);
    history.completedAt.push(endEvent);
    history.invokedMs.push(invocation.t);
    history.completedMs.push(completion.t);
    history.firstRow.push(history.rowKind.length);
    if (invocation.generation !== undefined) history.generationOf.set(op, invocation.generation);
    if (completion.error !== undefined) history.errors.set(op, completion.error);
    const told = this.#told.get(p);
    if (told !== undefined) {
      history.rebalancesOf.set(op, told);
      this.#told.delete(p);
    }
    for (const part of completion.ops ?? invocation.ops) {
      if (!PARTS[f].includes(part[0])) this.#refuse(`has a ${shown(part[0])} in a ${f}`);
      this.#part(op, part, completion.type);
    }
  }

  #part(op: number, part: MicroOperation, outcome: Outcome): void {
    switch (part[0]) {
      case 'send':
        this.#send(op, part[1], part[2], part[3]);
        return;
      case 'copy': {
        const row = this.#send(op, part[1], part[2], part[5]);
        this.#history.copyRow.push(row);
        this.#history.copyKey.push(this.#key(part[3]));
        this.#history.copyOffset.push(this.#offset(part[4]));
        return;
      }
      case 'poll':
        return this.#poll(op, part[1]);
      case 'commit':
        if (this.#history.client(op)?.group === undefined) this.#refuse('commits for no group');
        this.#row(Row.Commit, this.#key(part[1]), this.#offset(part[2]));
        return;
      case 'committed':
        if (this.#history.client(op)?.group === undefined) this.#refuse('asks what is committed for no group');
        // Nothing was seen, if there was no answer.
        if (outcome === 'ok') this.#row(Row.Committed, this.#key(part[1]), this.#offsetOrNone(part[2]));
        return;
      case 'assign':
        this.#row(Row.Assign, this.#key(part[1]), this.#offsetOrNone(part[2]));
        return;
      case 'subscribe':
        return;
    }
  }

  #send(op: number, key: Key, value: number, offset: number | undefined): number {
    const client = this.#history.client(op);
    if (client?.acks === undefined || client.idempotent === undefined) {
      this.#refuse(`sends from process ${client?.p}, whose acks and idempotence are not declared`);
    }
    const version = this.#version(this.#key(key), this.#whole(value));
    const writers = this.#history.versionWriter;
    if (writers.at(version) !== NONE) this.#refuse(`sends ${value} to ${key} a second time`);
    writers.set(version, op);
    return this.#row(Row.Send, version, this.#offsetOrNone(offset));
  }

  #poll(op: number, records: Readonly<Record<Key, readonly number[]>> = {}): void {
    const client = this.#history.client(op);
    if (client?.isolation === undefined) {
      this.#refuse(`polls in process ${client?.p}, whose isolation is not declared`);
    }
    if (typeof records !== 'object' || records === null) this.#refuse('polls what is no object');
    for (const name of Object.keys(records)) {
      const pairs = records[name] ?? [];
      if (!Array.isArray(pairs)) this.#refuse(`polls no list of ${name}`);
      if (pairs.length % 2 !== 0) this.#refuse(`polls an offset of ${name} without its value`);
      const key = this.#key(name);
      for (let index = 0; index < pairs.length; index += 2) {
        this.#row(Row.Read, this.#version(key, this.#whole(pairs[index + 1])), this.#offset(pairs[index]));
      }
    }
  }

  #rebalance({ p, generation, assigned = {}, revoked = [] }: RebalanceLine): void {
    if (this.#history.clients.get(p)?.group === undefined) this.#refuse(`is of process ${p}, which is in no group`);
    const rebalance: Rebalance = {
      event: this.#event,
      since: this.#lastLineOf.get(p) ?? 0,
      p,
      generation: generation ?? NONE,
      assigned: new Map(Object.entries(assigned).map(([key, offset]) => [this.#key(key), this.#offsetOrNone(offset)])),
      revoked: revoked.map((key) => this.#key(key)),
    };
    this.#history.rebalances.push(rebalance);
    const told = this.#told.get(p);
    if (told === undefined) this.#told.set(p, [rebalance]);
    else told.push(rebalance);
  }

  #row(kind: Row, subject: number, offset: number): number {
    this.#history.rowSubject.push(subject);
    this.#history.rowOffset.push(offset);
    return this.#history.rowKind.push(kind);
  }

  #key(name: Key): number {
    const known = this.#keyNumbers.get(name);
    if (known !== undefined) return known;
    if (typeof name !== 'string' || !/.-\d+$/.test(name))
      this.#refuse(`has a key that is no topic-partition: ${shown(name)}`);
    const key = this.#history.keys.push(name) - 1;
    this.#keyNumbers.set(name, key);
    this.#versions.push(new Map());
    return key;
  }

  #version(key: number, value: number): number {
    const ofKey = this.#versions[key];
    const known = ofKey?.get(value);
    if (known !== undefined) return known;
    const version = this.#history.versionKey.push(key);
    this.#history.versionValue.push(value);
    this.#history.versionWriter.push(NONE);
    ofKey?.set(value, version);
    return version;
  }

  #offset(value: number | undefined): number {
    if (this.#whole(value) < 0) this.#refuse(`has ${shown(value)} where an offset belongs`);
    return value as number;
  }

  #offsetOrNone(value: number | null | undefined): number {
    return value === undefined || value === null ? NONE : this.#offset(value);
  }

  #whole(value: number | undefined): number {
    if (!Number.isSafeInteger(value)) this.#refuse(`has ${shown(value)} where a whole number belongs`);
    return value as number;
  }
}

/** A text as it is, anything else as JSON. */
function shown(value: unknown): string {
  return typeof value === 'string' ? value : (JSON.stringify(value) ?? 'nothing');
}
