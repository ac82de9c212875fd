import { Fifo } from '#base/fifo';
import { type ProducerId, producerId } from '#model/ids';

export interface ProducerIdBlock {
  readonly first: ProducerId;
  readonly count: number;
}

/** Hands out producer ids from blocks that the controller allots; what is left of a block at a restart is never used. */
export class ProducerIds {
  readonly #allocate: () => Promise<ProducerIdBlock | undefined>;
  #next = 0;
  #end = 0;
  #allocating = false;
  /** Bounded by the requests in flight. */
  readonly #waiting = new Fifo<(id: ProducerId | undefined) => void>();

  /** `allocate` resolves to undefined if the controller cannot allot a block now. */
  constructor(allocate: () => Promise<ProducerIdBlock | undefined>) {
    this.#allocate = allocate;
  }

  /** Resolves to undefined if no id can be had now: the client tries again. */
  next(): Promise<ProducerId | undefined> {
    return new Promise((resolve) => {
      this.#waiting.push(resolve);
      this.#serve();
    });
  }

  #serve(): void {
    while (this.#waiting.length > 0 && this.#next < this.#end) {
      const id = producerId(this.#next);
      this.#next += 1;
      this.#waiting.shift()(id);
    }
    if (this.#waiting.length > 0 && !this.#allocating) void this.#refill();
  }

  async #refill(): Promise<void> {
    this.#allocating = true;
    const block = await this.#allocate();
    this.#allocating = false;
    if (block === undefined) {
      for (const resolve of this.#waiting.drain()) resolve(undefined);
      return;
    }
    this.#next = block.first;
    this.#end = block.first + block.count;
    this.#serve();
  }
}
