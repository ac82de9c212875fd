import type { Clock } from '#base/ports';

const SLAB_BYTES = 64 * 1024;

/** What befalls the traffic between this node and whoever is at the other end of a line. */
export type LineFault =
  /** Nothing arrives that way, and nobody is told: what is under way waits for the line to be healed, as TCP would send it again then. */
  | { readonly kind: 'cut'; readonly way: 'sent' | 'received' | 'both' }
  /** Connections break, and new ones are refused. */
  | { readonly kind: 'refuse' }
  /** All comes so much later, each way. */
  | { readonly kind: 'delay'; readonly ms: number };

/** A connection as its line sees it. */
export interface LineUser {
  /** The fault has changed. */
  update(): void;
}

/** What the connections of one line have in common: the fault, and room for one read, which is consumed before the next begins. */
export class FaultLine {
  readonly clock: Clock;
  readonly slab: Uint8Array = new Uint8Array(SLAB_BYTES);
  #fault: LineFault | undefined;
  readonly #users = new Set<LineUser>();

  constructor(clock: Clock) {
    this.clock = clock;
  }

  get fault(): LineFault | undefined {
    return this.#fault;
  }

  get holdsSent(): boolean {
    return this.#fault?.kind === 'cut' && this.#fault.way !== 'received';
  }

  get holdsReceived(): boolean {
    return this.#fault?.kind === 'cut' && this.#fault.way !== 'sent';
  }

  get delayMs(): number {
    return this.#fault?.kind === 'delay' ? this.#fault.ms : 0;
  }

  set(fault: LineFault | undefined): void {
    this.#fault = fault;
    this.clock.defer(() => {
      for (const user of [...this.#users]) user.update();
    });
  }

  join(user: LineUser): void {
    this.#users.add(user);
  }

  leave(user: LineUser): void {
    this.#users.delete(user);
  }
}
