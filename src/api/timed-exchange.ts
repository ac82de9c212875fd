import type { Clock, Endpoint, Mono } from '#base/ports';
import type { Exchange } from '#net/exchange';
import type { MemoryBudget } from '#net/memory-budget';

/** An exchange whose answer is timed. One that is refused is not. */
export class TimedExchange implements Exchange {
  readonly #exchange: Exchange;
  readonly #clock: Clock;
  readonly #times: { observe(seconds: number): void };
  readonly #startedAt: Mono;

  constructor(exchange: Exchange, clock: Clock, times: { observe(seconds: number): void }) {
    this.#exchange = exchange;
    this.#clock = clock;
    this.#times = times;
    this.#startedAt = clock.now();
  }

  get frame(): Uint8Array {
    return this.#exchange.frame;
  }

  get remote(): Endpoint {
    return this.#exchange.remote;
  }

  get listenerName(): string {
    return this.#exchange.listenerName;
  }

  get responseBudget(): MemoryBudget {
    return this.#exchange.responseBudget;
  }

  reachedLog(): void {
    this.#exchange.reachedLog();
  }

  respond(chunks: readonly Uint8Array[], sizeBytes: number, sent?: () => void): void {
    this.#answered();
    this.#exchange.respond(chunks, sizeBytes, sent);
  }

  finish(): void {
    this.#answered();
    this.#exchange.finish();
  }

  refuse(reason: string): void {
    this.#exchange.refuse(reason);
  }

  holdMemory(): () => void {
    return this.#exchange.holdMemory();
  }

  whenGone(run: () => void): void {
    this.#exchange.whenGone(run);
  }

  whenFollowed(run: () => void): void {
    this.#exchange.whenFollowed(run);
  }

  #answered(): void {
    this.#times.observe((this.#clock.now() - this.#startedAt) / 1000);
  }
}
