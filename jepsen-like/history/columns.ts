import { assert } from '#base/assert';

/** It does not name the index: putting that together for every number took a third of a check. */
const OUTSIDE = 'index outside the column';

type Numbers = Int32Array | Float64Array | Uint8Array;

/**
 * A list of numbers that grows by doubling. A million operations are some ten million numbers: as objects they would not fit into the
 * memory that the checker is to keep to.
 */
export class Column<T extends Numbers> {
  readonly #make: (length: number) => T;
  #numbers: T;
  length = 0;

  constructor(make: (length: number) => T) {
    this.#make = make;
    this.#numbers = make(1024);
  }

  /** Gives the index of what was added. */
  push(value: number): number {
    if (this.length === this.#numbers.length) {
      const grown = this.#make(this.length * 2);
      grown.set(this.#numbers);
      this.#numbers = grown;
    }
    this.#numbers[this.length] = value;
    this.length += 1;
    return this.length - 1;
  }

  at(index: number): number {
    assert(index >= 0 && index < this.length, OUTSIDE);
    return this.#numbers[index] as number;
  }

  set(index: number, value: number): void {
    assert(index >= 0 && index < this.length, OUTSIDE);
    this.#numbers[index] = value;
  }
}

export const bytes = (): Column<Uint8Array> => new Column((length) => new Uint8Array(length));
export const integers = (): Column<Int32Array> => new Column((length) => new Int32Array(length));
export const floats = (): Column<Float64Array> => new Column((length) => new Float64Array(length));
