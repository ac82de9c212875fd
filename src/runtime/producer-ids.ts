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
  /** Whether there are ids again, once it is known. */
  #refilling: Promise<boolean> | undefined;

  /** `allocate` resolves to undefined if the controller cannot allot a block now. */
  constructor(allocate: () => Promise<ProducerIdBlock | undefined>) {
    this.#allocate = allocate;
  }

  /** Resolves to undefined if no id can be had now: the client tries again. */
  async next(): Promise<ProducerId | undefined> {
    for (;;) {
      const id = this.take();
      if (id !== undefined) return id;
      // Others may be quicker, as many as a block has ids.
      if (!(await this.#refilled())) return undefined;
    }
  }

  /** One at once, for a decision that cannot wait; undefined: there is none, and a block is being asked for. */
  take(): ProducerId | undefined {
    if (this.#next === this.#end) {
      void this.#refilled();
      return undefined;
    }
    const id = producerId(this.#next);
    this.#next += 1;
    return id;
  }

  /** Resolves when `take` has one, unless others are quicker or none can be had now. */
  async whenSome(): Promise<void> {
    if (this.#next === this.#end) await this.#refilled();
  }

  #refilled(): Promise<boolean> {
    this.#refilling ??= this.#refill();
    return this.#refilling;
  }

  async #refill(): Promise<boolean> {
    const block = await this.#allocate();
    this.#refilling = undefined;
    if (block === undefined) return false;
    this.#next = block.first;
    this.#end = block.first + block.count;
    return true;
  }
}
