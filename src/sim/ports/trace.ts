import type { Codecs } from '#base/ports';
import type { EventKind } from './life.ts';

const KINDS: Readonly<Record<EventKind, number>> = { io: 1, timer: 2, turn: 3 };

/** Gets a line of a readable trace: when (simulated milliseconds), who, what. */
export type TraceLine = (at: number, who: string, what: string) => void;

/**
 * A rolling hash over everything that was delivered: when, to whom, what. Two runs of one seed that differ anywhere differ in it; it
 * is no proof against malice. If somebody reads along, the trace is told in lines too.
 */
export class Trace {
  readonly #crc32c: Codecs['crc32c'];
  readonly #line: TraceLine | undefined;
  readonly #float = new Float64Array(1);
  readonly #words = new Uint32Array(this.#float.buffer);
  #high = 0x9e37_79b9;
  #low = 0x85eb_ca6b;
  #eventCount = 0;

  constructor(crc32c: Codecs['crc32c'], line: TraceLine | undefined) {
    this.#crc32c = crc32c;
    this.#line = line;
  }

  /** Whether lines are worth making. */
  get isRead(): boolean {
    return this.#line !== undefined;
  }

  get eventCount(): number {
    return this.#eventCount;
  }

  /** Sixteen hexadecimal digits. */
  get hash(): string {
    return [this.#high, this.#low].map((word) => (word >>> 0).toString(16).padStart(8, '0')).join('');
  }

  event(at: number, lifeNumber: number, kind: EventKind): void {
    this.#eventCount += 1;
    this.number(at);
    this.word(lifeNumber * 4 + KINDS[kind]);
  }

  word(value: number): void {
    this.#high = Math.imul(this.#high ^ value, 0x9e37_79b1) ^ (this.#low >>> 15);
    this.#low = Math.imul(this.#low + value, 0x85eb_ca77) ^ (this.#high >>> 13);
  }

  number(value: number): void {
    this.#float[0] = value;
    this.word(this.#words[0] as number);
    this.word(this.#words[1] as number);
  }

  bytes(bytes: Uint8Array): void {
    this.word(bytes.length);
    this.word(this.#crc32c(bytes));
  }

  text(text: string): void {
    for (let index = 0; index < text.length; index += 1) this.word(text.charCodeAt(index));
  }

  /** Does not count in the hash. */
  say(at: number, who: string, what: string): void {
    this.#line?.(at, who, what);
  }
}
