import type { Connection, Endpoint, Listener, Logger, Network, Receiver } from '#base/ports';
import { PeerConnection, type PeerShared, type PeerUser } from './peer-connection.ts';

/** Inbound connections of one node: far more than a cluster has nodes. */
const CONNECTIONS_MAX = 1024;

/** Takes the connections of other nodes, within a limit. */
export class PeerListener {
  refusedConnections = 0;
  readonly #network: Network;
  readonly #logger: Logger;
  readonly #shared: PeerShared;
  readonly #makeUser: (connection: PeerConnection) => PeerUser;
  readonly #connections = new Set<PeerConnection>();
  #listener: Listener | undefined;
  #isFull = false;
  #closed = false;

  constructor(
    { network, logger }: { readonly network: Network; readonly logger: Logger },
    shared: PeerShared,
    makeUser: (connection: PeerConnection) => PeerUser,
  ) {
    this.#network = network;
    this.#logger = logger;
    this.#shared = shared;
    this.#makeUser = makeUser;
  }

  get connections(): number {
    return this.#connections.size;
  }

  /** Gives the endpoint that was bound (port 0 picks a free one). Rejects with IoError. */
  async bind(at: Endpoint): Promise<Endpoint> {
    const listener = await this.#network.listen(at, (connection) => this.#accept(connection));
    this.#listener = listener;
    if (this.#closed) await listener.close();
    return listener.at;
  }

  /** See PeerConnection.sweep. */
  sweep(lateMs: number): void {
    for (const connection of this.#connections) connection.sweep(lateMs);
  }

  /** Accepts nothing more, and ends what is open: what it was sent still leaves. */
  async close(): Promise<void> {
    this.#closed = true;
    for (const connection of this.#connections) connection.end();
    await this.#listener?.close();
  }

  #accept(connection: Connection): Receiver {
    if (this.#closed) return this.#drop(connection);
    if (this.#connections.size >= CONNECTIONS_MAX) {
      this.#noteFull(connection.remote);
      return this.#drop(connection);
    }
    this.#isFull = false;
    const accepted = new PeerConnection(connection, this.#shared, (self) => {
      const user = this.#makeUser(self);
      return {
        message: (kind, payload) => user.message(kind, payload),
        closed: (loss, fault) => {
          this.#connections.delete(self);
          user.closed(loss, fault);
        },
      };
    });
    this.#connections.add(accepted);
    return accepted;
  }

  /** One line for as long as it is full. */
  #noteFull(remote: Endpoint): void {
    this.refusedConnections += 1;
    if (!this.#isFull) {
      this.#logger.warn({ remote, open: CONNECTIONS_MAX }, 'peer connections are refused: too many are open');
    }
    this.#isFull = true;
  }

  #drop(connection: Connection): Receiver {
    const dropped = new PeerConnection(connection, this.#shared, () => ({ message() {}, closed() {} }));
    dropped.reset('forgotten');
    return dropped;
  }
}
