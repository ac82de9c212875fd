import type { Random } from '#base/ports';

/** xoshiro128** (Blackman, Vigna: Scrambled linear pseudorandom number generators), seeded by the text that names the stream. */
export class SimRandom implements Random {
  readonly #name: string;
  readonly #forks = new Map<string, number>();
  #a: number;
  #b: number;
  #c: number;
  #d: number;

  constructor(name: string) {
    this.#name = name;
    const next = splitMix(hash(name));
    this.#a = next();
    this.#b = next();
    this.#c = next();
    this.#d = next() | 1;
  }

  uint32(): number {
    const scaled = Math.imul(this.#b, 5);
    const result = Math.imul((scaled << 7) | (scaled >>> 25), 9);
    const shifted = this.#b << 9;
    this.#c ^= this.#a;
    this.#d ^= this.#b;
    this.#b ^= this.#c;
    this.#a ^= this.#d;
    this.#c ^= shifted;
    this.#d = (this.#d << 11) | (this.#d >>> 21);
    return result >>> 0;
  }

  /** Depends on this stream's name and on how often the purpose was named, not on what was drawn. */
  fork(purpose: string): Random {
    const count = this.#forks.get(purpose) ?? 0;
    this.#forks.set(purpose, count + 1);
    return new SimRandom(`${this.#name}/${purpose}#${count}`);
  }

  secret(into: Uint8Array): void {
    for (let at = 0; at < into.length; at++) into[at] = this.uint32() >>> 24;
  }
}

/** Uniform in [from, to). */
export function between(random: Random, from: number, to: number): number {
  return from + (random.uint32() / 2 ** 32) * (to - from);
}

/** FNV-1a. */
function hash(text: string): number {
  let state = 0x811c_9dc5;
  for (let index = 0; index < text.length; index++) state = Math.imul(state ^ text.charCodeAt(index), 0x0100_0193);
  return state;
}

/** SplitMix32: spreads one word over the generator's four. */
function splitMix(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x9e37_79b9) | 0;
    let mixed = Math.imul(state ^ (state >>> 16), 0x21f0_aaad);
    mixed = Math.imul(mixed ^ (mixed >>> 15), 0x735a_2d97);
    return mixed ^ (mixed >>> 15);
  };
}
