import { randomFillSync } from 'node:crypto';
import type { Random } from '#base/ports';

const POOLED_DRAWS = 256;

/** The kernel's randomness, drawn a kilobyte at a time. Its draws are independent of each other, so a fork is itself. */
export class NodeRandom implements Random {
  readonly #pool = new Uint32Array(POOLED_DRAWS);
  #next = POOLED_DRAWS;

  uint32(): number {
    if (this.#next === POOLED_DRAWS) {
      randomFillSync(this.#pool);
      this.#next = 0;
    }
    return this.#pool[this.#next++] as number;
  }

  fork(): Random {
    return this;
  }

  secret(into: Uint8Array): void {
    randomFillSync(into);
  }
}
