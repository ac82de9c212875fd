import { createServer, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Endpoint } from '#base/ports';
import type { Node } from '#node/node';

/** The Prometheus text of a node's metrics. */
export interface Exposition {
  readonly contentType: string;
  text(): Promise<string>;
}

/** A request must come whole within this time, and an idle connection goes after it. */
const CLIENT_TIMEOUT_MS = 10_000;
const CONNECTIONS_MAX = 256;

/** A node's HTTP listener: /livez (the process answers), /readyz (clients are served), /metrics. */
export class HttpServer {
  readonly at: Endpoint;
  readonly #server: Server;

  private constructor(server: Server, at: Endpoint) {
    this.#server = server;
    this.at = at;
  }

  /** Rejects with a sentence for the user if the address cannot be bound; its cause is the system's error. */
  static async open(at: Endpoint, node: Node, metrics: Exposition): Promise<HttpServer> {
    const server = createServer((request, response) => {
      const path = (request.url ?? '/').split('?', 1)[0];
      if (request.method !== 'GET' && request.method !== 'HEAD') {
        response.setHeader('allow', 'GET, HEAD');
        return answer(response, 405, 'text/plain', 'only GET is served\n');
      }
      switch (path) {
        case '/livez':
          return answer(response, 200, 'text/plain', 'alive\n');
        case '/readyz':
          return node.ready
            ? answer(response, 200, 'text/plain', 'ready\n')
            : answer(response, 503, 'text/plain', 'not ready\n');
        case '/metrics':
          metrics.text().then(
            (text) => answer(response, 200, metrics.contentType, text),
            (error: unknown) => answer(response, 500, 'text/plain', `${String(error)}\n`),
          );
          return;
        default:
          return answer(response, 404, 'text/plain', 'here are /livez, /readyz and /metrics\n');
      }
    });
    server.requestTimeout = CLIENT_TIMEOUT_MS;
    server.keepAliveTimeout = CLIENT_TIMEOUT_MS;
    server.maxConnections = CONNECTIONS_MAX;
    await new Promise<void>((resolve, reject) => {
      // Once it listens this rejects nothing: a failed accept is the client's loss.
      server.on('error', (cause: NodeJS.ErrnoException) => {
        const reason = cause.code === 'EADDRINUSE' ? 'the address is in use' : cause.message;
        reject(new Error(`HTTP cannot listen on ${at.host}:${at.port}: ${reason}`, { cause }));
      });
      server.listen(at.port, at.host, resolve);
    });
    const { port } = server.address() as AddressInfo;
    return new HttpServer(server, { host: at.host, port });
  }

  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    this.#server.closeAllConnections();
    await closed;
  }
}

function answer(response: ServerResponse, status: number, contentType: string, body: string): void {
  response.writeHead(status, { 'content-type': contentType, 'content-length': Buffer.byteLength(body) });
  response.end(body);
}
