import type { Clock, Connection, Endpoint, Listener, Logger, Mono, Network, Receiver, Timer } from '#base/ports';
import type { Handler } from './exchange.ts';
import { type ConnectionContext, KafkaConnection } from './kafka-connection.ts';
import { MemoryBudget } from './memory-budget.ts';
import { RequestMemory } from './request-memory.ts';

/** Room for one read of any connection; larger frames are read into buffers of their own. */
const SLAB_BYTES = 128 * 1024;
/** A peer that takes nothing of its answers for so long is reset. */
const STALL_MS = 30_000;
/** A peer that has begun a request and does not go on with it is reset after STALL_MS, or after this while others wait for its memory. */
const STALL_UNDER_PRESSURE_MS = 2_000;
const SWEEP_MS = 1_000;

export interface KafkaListenerOptions {
  readonly maxRequestBytes: number;
  readonly requestMemoryBytes: number;
  readonly responseMemoryBytes: number;
  readonly maxConnections: number;
  readonly maxConnectionsPerIp: number;
  readonly maxIdleMs: number;
}

/** Plain counters, read by the metrics when asked. */
export interface ListenerStats {
  connections: number;
  accepted: number;
  refusedConnections: number;
  refusedRequests: number;
}

/** The Kafka protocol's listeners: accepts connections within limits and sweeps those that idle or stall. */
export class KafkaListener {
  readonly stats: ListenerStats = { connections: 0, accepted: 0, refusedConnections: 0, refusedRequests: 0 };
  readonly requestMemory: RequestMemory;
  readonly responseBudget: MemoryBudget;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #options: KafkaListenerOptions;
  readonly #handle: Handler;
  /** One for all: a read is consumed before the next begins. */
  readonly #slab = new Uint8Array(SLAB_BYTES);
  readonly #connections = new Set<KafkaConnection>();
  readonly #perIp = new Map<string, number>();
  readonly #sweeper: Timer;
  #sweptAt: Mono;
  #listeners: Listener[] = [];
  #serving = false;

  constructor(ports: { clock: Clock; logger: Logger }, options: KafkaListenerOptions, handle: Handler) {
    this.#clock = ports.clock;
    this.#logger = ports.logger;
    this.#options = options;
    this.requestMemory = new RequestMemory(options.requestMemoryBytes);
    this.responseBudget = new MemoryBudget(options.responseMemoryBytes);
    this.#sweeper = ports.clock.timer(() => this.#sweep());
    this.#sweptAt = ports.clock.now();
    this.#handle = handle;
  }

  /** Takes connections, whose requests wait until `serve`. Resolves to the endpoint that was bound (port 0 picks a free one). */
  async bind(network: Network, name: string, at: Endpoint): Promise<Endpoint> {
    const context = this.#contextOf(name);
    const listener = await network.listen(at, (connection) => this.#accept(connection, context));
    this.#listeners.push(listener);
    this.#sweptAt = this.#clock.now();
    this.#sweeper.arm(SWEEP_MS);
    return listener.at;
  }

  /** From here on requests are handled; those of connections that came earlier have waited. */
  serve(): void {
    this.#serving = true;
    for (const connection of this.#connections) connection.start();
  }

  /** Accepts nothing more; what is open stays until `close`. */
  async stopAccepting(): Promise<void> {
    const listeners = this.#listeners;
    this.#listeners = [];
    for (const listener of listeners) await listener.close();
  }

  async close(): Promise<void> {
    this.#sweeper.disarm();
    await this.stopAccepting();
    this.leaveAll();
  }

  /** Ends what is open: nothing more that comes on it is read. Whoever comes again is welcome. */
  leaveAll(): void {
    for (const connection of [...this.#connections]) connection.leave();
  }

  #contextOf(listenerName: string): ConnectionContext {
    return {
      listenerName,
      slab: this.#slab,
      requestMemory: this.requestMemory,
      responseBudget: this.responseBudget,
      maxRequestBytes: this.#options.maxRequestBytes,
      now: () => this.#clock.now(),
      handle: this.#handle,
      serving: () => this.#serving,
      refused: (connection, reason) => this.#refused(connection, reason),
      ended: (connection) => this.#ended(connection),
    };
  }

  #accept(connection: Connection, context: ConnectionContext): Receiver {
    const ip = connection.remote.host;
    const fromIp = this.#perIp.get(ip) ?? 0;
    const accepted = new KafkaConnection(connection, context);
    if (this.#connections.size >= this.#options.maxConnections || fromIp >= this.#options.maxConnectionsPerIp) {
      this.stats.refusedConnections += 1;
      this.#logger.warn(
        { remote: connection.remote, open: this.#connections.size },
        'connection refused: too many are open',
      );
      accepted.reset();
      return accepted;
    }
    this.#perIp.set(ip, fromIp + 1);
    this.#connections.add(accepted);
    this.stats.accepted += 1;
    this.stats.connections = this.#connections.size;
    return accepted;
  }

  #ended(connection: KafkaConnection): void {
    if (!this.#connections.delete(connection)) return;
    this.stats.connections = this.#connections.size;
    const ip = connection.remote.host;
    const left = (this.#perIp.get(ip) ?? 1) - 1;
    if (left === 0) this.#perIp.delete(ip);
    else this.#perIp.set(ip, left);
  }

  #refused(connection: KafkaConnection, reason: string): void {
    this.stats.refusedRequests += 1;
    this.#logger.warn({ remote: connection.remote }, `connection closed: ${reason}`);
  }

  #sweep(): void {
    const now = this.#clock.now();
    // Whoever could not go on because this process stood still has done nothing wrong.
    const stoodStill = now - this.#sweptAt > 2 * SWEEP_MS;
    this.#sweptAt = now;
    const patienceMs = this.requestMemory.isAwaited ? STALL_UNDER_PRESSURE_MS : STALL_MS;
    for (const connection of [...this.#connections]) {
      // As a clean end: clients take a reset for an error (kafkajs logs one for each), and this is none.
      if (isOlder(connection.idleSince, now, this.#options.maxIdleMs)) connection.leave();
      else if (isOlder(connection.stalledSince, now, STALL_MS)) {
        this.#logger.warn(
          { remote: connection.remote },
          `connection closed: it took nothing of its answers for ${STALL_MS} ms`,
        );
        connection.reset();
      } else if (!stoodStill && isOlder(connection.unfinishedSince, now, patienceMs)) {
        this.#logger.warn(
          { remote: connection.remote },
          `connection closed: a request that it began did not go on for ${patienceMs} ms`,
        );
        connection.reset();
      }
    }
    this.#sweeper.arm(SWEEP_MS);
  }
}

function isOlder(since: Mono | undefined, now: Mono, limitMs: number): boolean {
  return since !== undefined && now - since > limitMs;
}
