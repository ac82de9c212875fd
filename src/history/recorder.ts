import { assert } from '#base/assert';
import {
  type ClientLine,
  type CompletionLine,
  type FaultLine,
  type HistoryLine,
  type InvocationLine,
  type RebalanceLine,
  VERSION,
} from './format.ts';

/** What a line says, but for its kind and time. */
type Said<Line> = Omit<Line, 't' | 'type'>;

/**
 * Writes a history. `append` must have handed the line to the kernel when it returns: an invocation is recorded before anything is sent,
 * so that whatever a killed recorder has done is in its history.
 */
export class Recorder {
  readonly #append: (line: string) => void;
  readonly #nowMs: () => number;
  readonly #busy = new Set<number>();

  constructor(ports: { append: (line: string) => void; nowMs: () => number }, name: string) {
    this.#append = ports.append;
    this.#nowMs = ports.nowMs;
    this.#write({ type: 'history', version: VERSION, name });
  }

  client(client: Said<ClientLine>): void {
    this.#write({ t: this.#nowMs(), type: 'client', ...client });
  }

  /** A process has one operation at a time. */
  invoke(operation: Said<InvocationLine>): void {
    assert(!this.#busy.has(operation.p), `process ${operation.p} is in an operation`);
    this.#busy.add(operation.p);
    this.#write({ t: this.#nowMs(), type: 'invoke', ...operation });
  }

  /** After `info` the process is over: whoever was in it goes on under a new number. */
  complete(type: CompletionLine['type'], operation: Said<CompletionLine>): void {
    assert(this.#busy.has(operation.p), `process ${operation.p} is in no operation`);
    if (type !== 'info') this.#busy.delete(operation.p);
    this.#write({ t: this.#nowMs(), type, ...operation });
  }

  rebalance(change: Said<RebalanceLine>): void {
    this.#write({ t: this.#nowMs(), type: 'rebalance', ...change });
  }

  fault(fault: Said<FaultLine>): void {
    this.#write({ t: this.#nowMs(), type: 'fault', ...fault });
  }

  copy(from: string, to: string, group: string): void {
    this.#write({ t: this.#nowMs(), type: 'copy', from, to, group });
  }

  #write(line: HistoryLine): void {
    this.#append(`${JSON.stringify(line)}\n`);
  }
}
