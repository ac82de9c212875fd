/** What the clients of a seed did and were told, in the format of all trials (docs/history.md). It draws nothing and arms no timer. */
import { assert } from '#base/assert';
import type {
  Assign,
  ClientLine,
  Committed,
  Key,
  MicroOperation,
  OperationFunction,
  Outcome,
  RebalanceLine,
  Send,
} from '#history/format';
import type { Recorder } from '#history/recorder';

/** A process is its host's number and, times this, how many of that host came before; there are fewer hosts. */
const HOSTS_MAX = 100;
/** A value is its host's number and its own; no host comes to so many. */
const VALUES_MAX = 1_000_000;

/** What a client was promised. */
export type Promised = Omit<ClientLine, 't' | 'type' | 'p' | 'host' | 'after'>;

/** Everything that is kept in memory is of the operations under way; the rest has gone to the recorder. */
export class WorkloadHistory {
  readonly recorder: Recorder;
  readonly #hosts = new Map<string, number>();
  /** By host, how many processes it has had. */
  readonly #processes = new Map<string, number>();
  readonly #clients: HistoryClient[] = [];

  constructor(recorder: Recorder) {
    this.recorder = recorder;
  }

  client(host: string, promised: Promised): HistoryClient {
    const client = new HistoryClient(this, host, promised);
    this.#clients.push(client);
    return client;
  }

  /** Of a new process on that host. */
  nextProcess(host: string): number {
    const before = this.#processes.get(host) ?? 0;
    this.#processes.set(host, before + 1);
    return this.#numberOf(host) + before * HOSTS_MAX;
  }

  /** The workload's values are a host and a count, `p1.17`; anything else is the number of nothing that was ever sent. */
  numberOfValue(value: string): number {
    const [, host, count] = /^(\w+)\.(\d+)$/.exec(value) ?? [];
    return host === undefined || count === undefined ? 0 : this.#numberOf(host) * VALUES_MAX + Number(count);
  }

  /** Sends of a batch; with offsets from `baseOffset` on, if the broker has told it. */
  sends(key: Key, values: readonly string[], baseOffset = -1): readonly Send[] {
    return values.map((text, index): Send => {
      const value = this.numberOfValue(text);
      return baseOffset < 0 ? ['send', key, value] : ['send', key, value, baseOffset + index];
    });
  }

  /** What was polled of one partition. */
  poll(key: Key, records: readonly { readonly offset: number; readonly value: string }[]): readonly MicroOperation[] {
    if (records.length === 0) return [['poll', {}]];
    const pairs = records.flatMap(({ offset, value }) => [offset, this.numberOfValue(value)]);
    return [['poll', { [key]: pairs }]];
  }

  /** The world ends: nobody will know what came of what is under way. */
  close(): void {
    for (const client of this.#clients) if (client.isBusy) client.info('the trial has ended');
  }

  #numberOf(host: string): number {
    let number = this.#hosts.get(host);
    if (number === undefined) {
      number = this.#hosts.size + 1;
      assert(number < HOSTS_MAX, 'the hosts of a history have numbers of two digits');
      this.#hosts.set(host, number);
    }
    return number;
  }
}

/** A whole topic, from the beginning of each partition on. */
export function assignAll(topic: string, partitionCount: number): readonly Assign[] {
  return Array.from({ length: partitionCount }, (_, partition): Assign => ['assign', `${topic}-${partition}`, 0]);
}

/** What a group has committed; −1 is nothing. */
export function committedPart(key: Key, offset: number): Committed {
  return ['committed', key, offset < 0 ? null : offset];
}

/** One client: a process of the history, and after an outcome that is not known the next one. One operation at a time. */
export class HistoryClient {
  readonly #history: WorkloadHistory;
  readonly #host: string;
  readonly #promised: Promised;
  #process: number | undefined;
  /** The process before, until this one is declared. */
  #after: number | undefined;
  /** Of the operation under way, by what they are about. */
  #parts: Map<string, readonly MicroOperation[]> | undefined;

  constructor(history: WorkloadHistory, host: string, promised: Promised) {
    this.#history = history;
    this.#host = host;
    this.#promised = promised;
  }

  get isBusy(): boolean {
    return this.#parts !== undefined;
  }

  /** Before anything is sent; `generation`: in which a member commits. */
  begin(f: OperationFunction, ops: readonly MicroOperation[], generation?: number): void {
    const p = this.#declared();
    this.#parts = new Map([['', ops]]);
    this.#history.recorder.invoke({ p, f, ops, ...(generation === undefined ? {} : { generation }) });
  }

  /** What the operation does besides, before it is sent; and once more, when more is known of it. */
  also(about: string, ops: readonly MicroOperation[]): void {
    assert(this.#parts !== undefined, `${this.#host} is in no operation`);
    this.#parts.set(about, ops);
  }

  /** `ops`: instead of those with which it began. */
  ok(ops?: readonly MicroOperation[]): void {
    this.#end('ok', ops, undefined);
  }

  /** It has not happened and never will. */
  fail(error: string): void {
    this.#end('fail', undefined, error);
  }

  /** It may have happened, or may yet. */
  info(error: string): void {
    this.#end('info', undefined, error);
    this.#after = this.#process;
    this.#process = undefined;
  }

  /** At once, by the client itself. */
  did(f: OperationFunction, ops: readonly MicroOperation[]): void {
    this.begin(f, ops);
    this.ok();
  }

  rebalanced(change: Omit<RebalanceLine, 't' | 'type' | 'p'>): void {
    this.#history.recorder.rebalance({ p: this.#declared(), ...change });
  }

  #declared(): number {
    if (this.#process === undefined) {
      this.#process = this.#history.nextProcess(this.#host);
      const after = this.#after === undefined ? {} : { after: this.#after };
      this.#history.recorder.client({ p: this.#process, host: this.#host, ...this.#promised, ...after });
    }
    return this.#process;
  }

  #end(type: Outcome, ops: readonly MicroOperation[] | undefined, error: string | undefined): void {
    assert(this.#process !== undefined && this.#parts !== undefined, `${this.#host} is in no operation`);
    const parts = ops ?? [...this.#parts.values()].flat();
    this.#parts = undefined;
    this.#history.recorder.complete(type, { p: this.#process, ops: parts, ...(error === undefined ? {} : { error }) });
  }
}
