import type { Connection, Endpoint, IoError, Listener, Network, Random, Receiver } from '#base/ports';
import type { EventQueue, Life } from './event-queue.ts';
import { SimConnection, type Wire } from './sim-connection.ts';
import { between } from './sim-random.ts';

const EPHEMERAL_PORT_MIN = 49_152;
const WILDCARDS: readonly string[] = ['', '0.0.0.0', '::'];

interface Listening {
  readonly at: Endpoint;
  readonly life: Life;
  readonly random: Random;
  readonly accept: (connection: Connection) => Receiver;
}

/** The wires between the nodes of a world. A node's name is a host that all can reach. */
export class SimNetwork {
  readonly #events: EventQueue;
  readonly #random: Random;
  readonly #listeners = new Map<string, Listening>();
  readonly #connections = new Set<SimConnection>();
  #nextPort = EPHEMERAL_PORT_MIN;

  constructor(events: EventQueue, random: Random) {
    this.#events = events;
    this.#random = random;
  }

  /** The network as one incarnation of a node sees it. */
  port(name: string, life: Life): Network {
    const random = this.#random.fork(name);
    return {
      listen: (at, accept) => this.#listen(name, life, random, at, accept),
      connect: (to, open) => this.#connect(name, life, random, to, open),
    };
  }

  /** The node is dead: its listeners are gone, the other ends of its connections see a reset. */
  dropDead(): void {
    for (const [key, { life }] of this.#listeners) if (!life.alive) this.#listeners.delete(key);
    for (const connection of this.#connections) {
      if (connection.isDead) connection.abandon();
    }
  }

  #listen(
    name: string,
    life: Life,
    random: Random,
    asked: Endpoint,
    accept: (connection: Connection) => Receiver,
  ): Promise<Listener> {
    return new Promise((resolve, reject) => {
      this.#events.after(this.#latencyMs(), life, () => {
        const at = {
          host: WILDCARDS.includes(asked.host) ? name : asked.host,
          port: asked.port === 0 ? this.#nextPort++ : asked.port,
        };
        const key = keyOf(at);
        if (this.#listeners.has(key)) {
          reject(inUse(key));
          return;
        }
        const listening: Listening = { at, life, random, accept };
        this.#listeners.set(key, listening);
        const close = async (): Promise<void> => {
          if (this.#listeners.get(key) === listening) this.#listeners.delete(key);
        };
        resolve({ at, close });
      });
    });
  }

  #connect(name: string, life: Life, random: Random, to: Endpoint, open: (connection: Connection) => Receiver): void {
    const from = { host: name, port: this.#nextPort++ };
    this.#events.after(this.#latencyMs(), life, () => {
      const near = this.#makeConnection(to, life, random, open);
      const always: Life = { alive: true };
      this.#events.after(this.#latencyMs(), always, () => {
        const listener = this.#listeners.get(keyOf(to));
        if (near.isClosing || near.isDead) return;
        if (listener === undefined) near.refuse();
        else SimConnection.join(near, this.#makeConnection(from, listener.life, listener.random, listener.accept));
      });
    });
  }

  #makeConnection(
    remote: Endpoint,
    life: Life,
    random: Random,
    open: (connection: Connection) => Receiver,
  ): SimConnection {
    const connection = new SimConnection(this.#wire(random), life, remote, open);
    if (!connection.isClosing) this.#connections.add(connection);
    return connection;
  }

  #wire(random: Random): Wire {
    return {
      events: this.#events,
      random,
      latencyMs: () => this.#latencyMs(),
      gone: (connection) => this.#connections.delete(connection),
    };
  }

  #latencyMs(): number {
    return between(this.#random, 0.02, 0.5);
  }
}

function keyOf({ host, port }: Endpoint): string {
  return `${host}:${port}`;
}

function inUse(key: string): IoError {
  return Object.assign(new Error(`EEXIST: ${key} is in use`), { code: 'EEXIST' } as const);
}
