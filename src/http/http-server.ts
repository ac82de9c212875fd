import { createServer, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { cannotListen } from '#base/listen-failure';
import type { Endpoint } from '#base/ports';
import type { Node } from '#node/node';
import { answer, type HttpEndpoint } from './http-endpoint.ts';

/** The Prometheus text of a node's metrics, in slices, between which the node's other work goes on. */
export interface Exposition {
  readonly contentType: string;
  slices(): AsyncIterable<string>;
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

  /** `extra` is served too. Rejects with a sentence for the user if the address cannot be bound; its cause is the system's error. */
  static async open(at: Endpoint, node: Node, metrics: Exposition, extra?: HttpEndpoint): Promise<HttpServer> {
    const server = createServer((request, response) => {
      const path = (request.url ?? '/').split('?', 1)[0];
      if (extra !== undefined && path === extra.path) return extra.handle(request, response);
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
          if (request.method === 'HEAD') return answer(response, 200, metrics.contentType, '');
          expose(response, metrics).catch((error: unknown) => {
            if (response.headersSent) response.destroy();
            else answer(response, 500, 'text/plain', `${String(error)}\n`);
          });
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
      server.on('error', (cause) => {
        reject(new Error(cannotListen('HTTP', at, cause), { cause }));
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

/** Slice by slice, as fast as the client takes them. */
async function expose(response: ServerResponse, metrics: Exposition): Promise<void> {
  for await (const slice of metrics.slices()) {
    if (response.destroyed) return;
    if (!response.headersSent) response.writeHead(200, { 'content-type': metrics.contentType });
    if (!response.write(slice)) await drained(response);
  }
  response.end();
}

/** Or gone. */
function drained(response: ServerResponse): Promise<void> {
  return new Promise((resolve) => {
    const settle = (): void => {
      response.off('drain', settle).off('close', settle);
      resolve();
    };
    response.on('drain', settle).on('close', settle);
  });
}
