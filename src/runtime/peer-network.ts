import { assert } from '#base/assert';
import { Deadlines } from '#base/deadlines';
import type { Endpoint, Ports, Timer } from '#base/ports';
import type { NodeId, Uuid } from '#model/ids';
import { NO_PLANTED_BUGS, type PlantedBugs } from '#model/planted-bugs';
import { MemoryBudget } from '#net/memory-budget';
import type { PeerConnection } from '#net/peer-connection';
import { MESSAGE_BYTES_MAX } from '#net/peer-frames';
import { PeerListener } from '#net/peer-listener';
import { knock } from './knock.ts';
import { PeerDataEncoder } from './peer-data.ts';
import { PeerDial } from './peer-dial.ts';
import { intruderSentence, mistakenSentence } from './peer-greeting.ts';
import { emptyStats, type PeerStats, peerLoss } from './peer-host.ts';
import { PeerLink } from './peer-link.ts';
import { failed } from './peer-requests.ts';
import { PeerSession, type SessionHost } from './peer-session.ts';
import type { PeerAnswer, PeerEvents, PeerHandler, PeerHello, ProbeResult } from './peer-types.ts';

const SLAB_BYTES = 128 * 1024;
/** For messages of more than one frame on their way in, of all peers: their own reserve, beside that of Kafka's clients. */
const RESERVE_BYTES = 64 * 1024 * 1024;
/** How often connections are looked at, and pinged by whoever dialled. */
const SWEEP_MS = 1_000;
/** Nodes that were turned away, remembered so that the log says it once. */
const REFUSALS_MAX = 256;
const PROBES_MAX = 256;
/** Nodes whose addresses are known because they said so. */
const LINKS_MAX = 4096;

export type PeerPorts = Pick<Ports, 'clock' | 'random' | 'network' | 'logger'>;

/**
 * The other nodes of the cluster, as one node reaches them: one-way messages, requests, and who is there. This node dials one
 * connection to each node that it talks to, and takes one from each that talks to it.
 */
export class PeerNetwork {
  readonly stats: PeerStats = emptyStats();
  readonly #ports: PeerPorts;
  readonly #events: PeerEvents;
  readonly #host: SessionHost;
  readonly #listener: PeerListener;
  readonly #sweeper: Timer;
  readonly #links = new Map<NodeId, PeerLink>();
  /** By the id of the node that has dialled. */
  readonly #sessions = new Map<NodeId, PeerSession>();
  /** What ends each probe and knock that is under way; at most PROBES_MAX. */
  readonly #probes = new Set<() => void>();
  readonly #handlers = new Map<string, PeerHandler>();
  /** By node; at most REFUSALS_MAX. */
  readonly #refusals = new Map<string, string>();
  readonly #planted: PlantedBugs;
  #self: PeerHello;
  #closed = false;

  /** `self` without its endpoint, which `listen` tells. */
  constructor(
    ports: PeerPorts,
    self: Omit<PeerHello, 'endpoint'>,
    events: PeerEvents,
    planted: PlantedBugs = NO_PLANTED_BUGS,
  ) {
    this.#planted = planted;
    this.#ports = ports;
    this.#events = events;
    this.#self = { ...self, endpoint: { host: '', port: 0 } };
    this.#host = this.#makeHost();
    this.#listener = new PeerListener(ports, this.#host.shared, (connection) => this.#accept(connection));
    this.#sweeper = ports.clock.timer((lateMs) => this.#sweep(lateMs));
  }

  /**
   * Before anything is dialled; `bound` port 0 picks a free one. `advertised` is what others are told, its port 0 being that of the
   * listener. Gives the advertised endpoint. Rejects with IoError.
   */
  async listen(bound: Endpoint, advertised: Endpoint): Promise<Endpoint> {
    const { port } = await this.#listener.bind(bound);
    const endpoint = { host: advertised.host, port: advertised.port === 0 ? port : advertised.port };
    this.#self = { ...this.#self, endpoint };
    this.#sweeper.arm(SWEEP_MS);
    return endpoint;
  }

  /** This node, as it says hello. */
  get self(): PeerHello {
    return this.#self;
  }

  /** The node belongs to a cluster from now on: open connections are told, and those of another cluster end. */
  joined(clusterId: Uuid): void {
    this.#self = { ...this.#self, clusterId };
    for (const link of this.#links.values()) link.sayHello();
    for (const session of this.#sessions.values()) session.sayHello();
  }

  /** Where a node is to be reached. What was told last holds, and what its hello says as long as it is not reached there. */
  setAddress(id: NodeId, endpoint: Endpoint): void {
    assert(id !== this.#self.id, 'a node does not dial itself');
    const link = this.#links.get(id);
    if (link === undefined) this.#links.set(id, new PeerLink(this.#host, id, endpoint));
    else link.setEndpoint(endpoint);
  }

  addressOf(id: NodeId): Endpoint | undefined {
    return this.#links.get(id)?.endpoint;
  }

  /** Ends the connection to it and dials no more; what was sent leaves. Its own connection to this node stays, if it has one. */
  forget(id: NodeId): void {
    const link = this.#links.get(id);
    this.#links.delete(id);
    link?.close();
  }

  /** Who answers at the other end of the connection to `id` that this node has dialled; undefined if it is not open. */
  reached(id: NodeId): PeerHello | undefined {
    return this.#links.get(id)?.hello;
  }

  /** Who says to be `id` on the connection that it has dialled; undefined if it has none. */
  heard(id: NodeId): PeerHello | undefined {
    return this.#sessions.get(id)?.hello;
  }

  /**
   * Best effort: false if it is dropped at once, because no address is known or too much is queued. `bytes` are not copied: they must
   * never change, and be at most MESSAGE_BYTES_MAX (16 MiB).
   */
  send(to: NodeId, bytes: Uint8Array): boolean {
    assert(bytes.length <= MESSAGE_BYTES_MAX, 'a message fits the limit');
    const link = this.#links.get(to);
    if (link === undefined || this.#closed) {
      this.stats.messagesDropped += 1;
      return false;
    }
    return link.send(bytes);
  }

  /**
   * Never rejects. `body` is plain data (see peer-data.ts), coded before this returns. While a broken connection waits to be dialled
   * again the answer is 'unreachable' at once. Requests of different sizes may overtake each other.
   */
  request(to: NodeId, operation: string, body: unknown, timeoutMs: number): Promise<PeerAnswer> {
    const link = this.#links.get(to);
    if (this.#closed) return Promise.resolve(failed('unreachable', 'this node is stopping'));
    if (link === undefined) return Promise.resolve(failed('unreachable', `no address of node ${to} is known`));
    return link.request(operation, body, timeoutMs);
  }

  /** One handler an operation, registered before `listen`. */
  handle(operation: string, handler: PeerHandler): void {
    assert(!this.#handlers.has(operation), `one handler for ${operation}`);
    this.#handlers.set(operation, handler);
  }

  /** Who answers at an address, by a connection of its own, which the peer does not take for this node's coming or going. */
  probe(at: Endpoint, timeoutMs: number): Promise<ProbeResult> {
    if (this.#closed || this.#probes.size >= PROBES_MAX) return Promise.resolve('error');
    return new Promise((resolve) => {
      const give = (result: ProbeResult): void => {
        this.#probes.delete(stop);
        resolve(result);
      };
      const dial = new PeerDial(this.#host, { endpoint: at, purpose: 'probe', wanted: null }, timeoutMs, {
        greeted: (hello) => {
          give({ hello });
          dial.end('forgotten');
          this.#links.get(hello.id)?.heardOf(hello);
        },
        changed() {},
        message() {},
        closed: (loss) => give(loss === 'refused' || loss === 'timeout' ? loss : 'error'),
      });
      const stop = (): void => {
        dial.reset('forgotten');
        give('error');
      };
      this.#probes.add(stop);
    });
  }

  /** Whether anybody listens at an address that is no peer's: nobody says hello there. */
  knock(at: Endpoint, timeoutMs: number): Promise<'refused' | 'error'> {
    if (this.#closed || this.#probes.size >= PROBES_MAX) return Promise.resolve('error');
    return new Promise((resolve) => {
      const stop = knock(this.#ports, at, timeoutMs, (result) => {
        this.#probes.delete(stop);
        resolve(result);
      });
      this.#probes.add(stop);
    });
  }

  /** All requests and probes are answered, nothing comes up any more. What was sent still leaves, if the peers take it. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#sweeper.disarm();
    for (const link of this.#links.values()) link.close();
    for (const stop of [...this.#probes]) stop();
    this.#host.deadlines.close();
    await this.#listener.close();
  }

  #makeHost(): SessionHost {
    const { clock, random, network, logger } = this.#ports;
    return {
      clock,
      network,
      logger,
      random: random.fork('peers'),
      deadlines: new Deadlines(clock),
      encoder: new PeerDataEncoder(),
      shared: { slab: new Uint8Array(SLAB_BYTES), reserve: new MemoryBudget(RESERVE_BYTES), clock },
      stats: this.stats,
      requestBytes: 0,
      self: () => this.#self,
      handlerOf: (operation) => this.#handlers.get(operation),
      connected: (peer, direction) => {
        if (!this.#closed) this.#events.connected(peer, direction);
      },
      disconnected: (peer, direction, loss) => {
        if (!this.#closed) this.#events.disconnected(peer, direction, peerLoss(loss));
      },
      message: (from, bytes) => {
        if (!this.#closed) this.#events.message(from, bytes);
      },
      intruder: ({ wanted, purpose, hello }) => {
        // Where this node has itself found the newcomer, the connection of its predecessor is dead, though nothing has said so yet.
        const isReached = this.#links.get(hello.id)?.hello?.directoryId === hello.directoryId;
        const known = isReached ? undefined : this.#sessions.get(hello.id)?.hello;
        const mistaken = mistakenSentence(this.#self, wanted);
        return mistaken ?? (purpose === 'link' ? intruderSentence(this.#self, hello, known) : undefined);
      },
      turnedAway: (hello, session, reason) => this.#turnedAway(hello, session, reason),
      greeted: (session, hello) => this.#greeted(session, hello),
      left: (session) => {
        const id = session.hello?.id;
        if (id !== undefined && this.#sessions.get(id) === session) this.#sessions.delete(id);
      },
    };
  }

  #accept(connection: PeerConnection): PeerSession {
    return new PeerSession(connection, this.#host);
  }

  #greeted(session: PeerSession, hello: PeerHello): void {
    // PLANTED BUG accept-stale-broker-epoch: what an earlier process has sent may still come, and counts.
    if (!this.#planted.has('accept-stale-broker-epoch')) this.#sessions.get(hello.id)?.replace();
    this.#sessions.set(hello.id, session);
    this.#refusals.delete(refusalKey(hello, session));
    const link = this.#links.get(hello.id);
    if (link !== undefined) link.heardOf(hello);
    else if (this.#links.size < LINKS_MAX) this.setAddress(hello.id, hello.endpoint);
  }

  #turnedAway(hello: PeerHello | undefined, session: PeerSession, reason: string): void {
    this.stats.greetingsRefused += 1;
    const key = refusalKey(hello, session);
    if (this.#refusals.get(key) === reason) return;
    if (this.#refusals.size >= REFUSALS_MAX) this.#refusals.clear();
    this.#refusals.set(key, reason);
    this.#ports.logger.warn({ remote: session.remoteHost }, `a node was turned away: ${reason}`);
  }

  #sweep(lateMs: number): void {
    for (const link of this.#links.values()) link.sweep(lateMs);
    this.#listener.sweep(lateMs);
    this.#sweeper.arm(SWEEP_MS);
  }
}

function refusalKey(hello: PeerHello | undefined, session: PeerSession): string {
  return hello === undefined ? session.remoteHost : `${hello.id} ${hello.directoryId}`;
}
