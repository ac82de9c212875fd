import { type AddressInfo, createServer, type Server, Socket } from 'node:net';
import type { Connection, Endpoint, Listener, Network, Receiver } from '#base/ports';
import { adoptSocket } from './adopt-socket.ts';
import { toIoError } from './io-error.ts';
import { NodeConnection } from './node-connection.ts';

/** Connections that the kernel has accepted and we have not yet (Linux cuts it at net.core.somaxconn). */
const BACKLOG = 1024;
const SCRATCH_BYTES = 64 * 1024;

/** TCP over node:net. */
export class NodeNetwork implements Network {
  readonly #scratch = new Uint8Array(SCRATCH_BYTES);

  listen(at: Endpoint, accept: (connection: Connection) => Receiver): Promise<Listener> {
    return new Promise((resolve, reject) => {
      const server = createServer({ pauseOnConnect: true, noDelay: true, keepAlive: true }, (accepted) => {
        const remote = { host: plainHost(accepted.remoteAddress ?? ''), port: accepted.remotePort ?? 0 };
        new NodeConnection(remote, this.#scratch, (onread) => adoptSocket(accepted, onread), accept);
      });
      // Once it listens this rejects nothing: a failed accept is the peer's loss.
      server.on('error', (failure) => reject(toIoError(failure)));
      server.listen({ host: at.host, port: at.port, backlog: BACKLOG }, () => resolve(new NodeListener(server)));
    });
  }

  /** `open` runs while the attempt is under way: what it sends waits, and `reset` gives the attempt up. */
  connect(to: Endpoint, open: (connection: Connection) => Receiver): void {
    setImmediate(() => {
      new NodeConnection(
        to,
        this.#scratch,
        (onread) => new Socket({ onread, noDelay: true, keepAlive: true }).connect({ host: to.host, port: to.port }),
        open,
      );
    });
  }
}

class NodeListener implements Listener {
  readonly at: Endpoint;
  readonly #server: Server;

  constructor(server: Server) {
    const { address, port } = server.address() as AddressInfo;
    this.at = { host: address, port };
    this.#server = server;
  }

  /** The server's own 'close' would wait for its connections; the port is free as soon as the handle is. */
  close(): Promise<void> {
    return new Promise((resolve) => {
      this.#server.close();
      setImmediate(resolve);
    });
  }
}

/** An IPv4 peer of a dual-stack socket, as ACLs and logs write it. */
function plainHost(address: string): string {
  return address.startsWith('::ffff:') ? address.slice('::ffff:'.length) : address;
}
