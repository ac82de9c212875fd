import type { Connection, Endpoint, IoError, Listener, Mono, Network, Random, Receiver } from '#base/ports';
import type { EventQueue } from './event-queue.ts';
import type { Life } from './life.ts';
import { SimConnection, type Wire } from './sim-connection.ts';
import { SimLink } from './sim-link.ts';
import { between } from './sim-random.ts';

const EPHEMERAL_PORT_MIN = 49_152;
const WILDCARDS: readonly string[] = ['', '0.0.0.0', '::'];
/** How often a kernel asks a host that does not answer: 1, 2, 4 … seconds apart. */
const HANDSHAKE_ATTEMPTS_MAX = 6;

interface Listening {
  readonly at: Endpoint;
  readonly life: Life;
  readonly random: Random;
  readonly accept: (connection: Connection) => Receiver;
}

interface Dial {
  readonly from: Endpoint;
  readonly to: Endpoint;
  readonly near: SimConnection;
  attempts: number;
}

/** The wires between the nodes of a world. A node's name is a host that all can reach. */
export class SimNetwork {
  readonly #events: EventQueue;
  readonly #random: Random;
  readonly #cutShare: number;
  readonly #listeners = new Map<string, Listening>();
  readonly #connections = new Set<SimConnection>();
  readonly #links = new Map<string, SimLink>();
  /** Hosts without power. */
  readonly #down = new Set<string>();
  #nextPort = EPHEMERAL_PORT_MIN;

  constructor(events: EventQueue, random: Random, cutShare: number) {
    this.#events = events;
    this.#random = random;
    this.#cutShare = cutShare;
  }

  /** The network as one incarnation of a node sees it; the host is up. */
  port(name: string, life: Life): Network {
    this.#down.delete(name);
    const random = this.#random.fork(name);
    return {
      listen: (at, accept) => this.#listen(name, life, random, at, accept),
      connect: (to, open) => this.#connect(name, life, random, to, open),
    };
  }

  /** One way. */
  link(from: string, to: string): SimLink {
    const key = `${from}>${to}`;
    let link = this.#links.get(key);
    if (link === undefined) {
      link = new SimLink(this.#random.fork(`link ${key}`));
      this.#links.set(key, link);
    }
    return link;
  }

  healAll(now: Mono): void {
    for (const link of this.#links.values()) link.heal(now);
  }

  /** Those that are open, in the order in which they were opened, at the end of a host. */
  connectionsOf(name: string): SimConnection[] {
    return [...this.#connections].filter(({ life }) => life.name === name);
  }

  /** The process is dead: its listeners are gone; the other ends of its connections see a reset, or nothing if the whole host is dark. */
  drop(name: string, isDark: boolean): void {
    if (isDark) this.#down.add(name);
    for (const [key, { life }] of this.#listeners) if (!life.alive) this.#listeners.delete(key);
    for (const connection of this.#connections) {
      if (connection.life.alive) continue;
      if (isDark) connection.vanish();
      else connection.abandon();
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
      this.#events.after(this.#soonMs(), life, () => {
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
    this.#events.after(this.#soonMs(), life, () => {
      const near = this.#makeConnection(name, to, life, random, open);
      this.#ask({ from, to, near, attempts: 0 });
    });
  }

  /** The kernels' business, which goes on while the processes stand still. */
  #ask(dial: Dial): void {
    const there = this.link(dial.from.host, dial.to.host);
    const back = this.link(dial.to.host, dial.from.host);
    const { now, always } = this.#events;
    this.#events.at(there.arrival(now, 0), always, () => {
      if (dial.near.isClosing || !dial.near.life.alive) return;
      const answers = !there.isCut && !back.isCut && !this.#down.has(dial.to.host);
      if (answers) this.#events.at(back.arrival(this.#events.now, 0), always, () => this.#answer(dial, there.refuses));
      else this.#askAgain(dial);
    });
  }

  #askAgain(dial: Dial): void {
    dial.attempts += 1;
    const { near, attempts } = dial;
    const timedOut = attempts === HANDSHAKE_ATTEMPTS_MAX;
    const waitMs = 1000 * 2 ** (attempts - 1);
    if (timedOut) this.#events.after(waitMs, near.life, () => near.timeOut());
    else this.#events.after(waitMs, near.life, () => !near.isClosing && this.#ask(dial));
  }

  #answer({ from, to, near }: Dial, refuses: boolean): void {
    if (near.isClosing || !near.life.alive) return;
    const listener = this.#listeners.get(keyOf(to));
    if (refuses) this.link(from.host, to.host).refusedAt = this.#events.now;
    if (listener === undefined || refuses) {
      this.#events.deliver(near.life, () => near.refuse());
      return;
    }
    const { life, random, accept } = listener;
    // A stalled listener accepts when it awakes.
    this.#events.deliver(life, () => {
      if (near.isClosing || !near.life.alive) return;
      SimConnection.join(near, this.#makeConnection(to.host, from, life, random, accept));
    });
  }

  #makeConnection(
    host: string,
    remote: Endpoint,
    life: Life,
    random: Random,
    open: (connection: Connection) => Receiver,
  ): SimConnection {
    const connection = new SimConnection(this.#wire(host, remote.host, random), life, remote, open);
    if (!connection.isClosing) this.#connections.add(connection);
    return connection;
  }

  #wire(host: string, remote: string, random: Random): Wire {
    return {
      events: this.#events,
      random,
      cutShare: this.#cutShare,
      out: this.link(host, remote),
      isFarHostDown: () => this.#down.has(remote),
      gone: (connection) => this.#connections.delete(connection),
    };
  }

  #soonMs(): number {
    return between(this.#random, 0.02, 0.2);
  }
}

function keyOf({ host, port }: Endpoint): string {
  return `${host}:${port}`;
}

function inUse(key: string): IoError {
  return Object.assign(new Error(`EEXIST: ${key} is in use`), { code: 'EEXIST' } as const);
}
