import { timingSafeEqual } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { parseFaultOrders } from '#faults/fault-orders';
import type { NodeFaults } from '#faults/node-faults';
import { answer, type HttpEndpoint } from './http-endpoint.ts';

const BODY_BYTES_MAX = 16 * 1024;

/**
 * Where the faults of a node are set: GET shows them, POST obeys orders (see parseFaultOrders), DELETE heals all. For whoever is on this
 * machine and has the token, as `authorization: Bearer TOKEN`.
 */
export class ChaosEndpoint implements HttpEndpoint {
  readonly path = '/chaos';
  readonly #faults: NodeFaults;
  readonly #token: Uint8Array;

  constructor(faults: NodeFaults, token: string) {
    this.#faults = faults;
    this.#token = Buffer.from(token);
  }

  handle(request: IncomingMessage, response: ServerResponse): void {
    if (!isLoopback(request.socket.remoteAddress))
      return refuse(response, 403, 'faults are set from this machine only');
    if (!this.#isTrusted(request)) return refuse(response, 403, 'the token is another one');
    switch (request.method) {
      case 'GET':
        return this.#show(response);
      case 'POST':
        return whole(request, response, (body) => this.#obey(body, response));
      case 'DELETE':
        this.#faults.healAll();
        return this.#show(response);
      default:
        response.setHeader('allow', 'GET, POST, DELETE');
        return refuse(response, 405, 'GET, POST and DELETE are served');
    }
  }

  #isTrusted({ headers }: IncomingMessage): boolean {
    const given = Buffer.from(/^Bearer (.+)$/i.exec(headers.authorization ?? '')?.[1] ?? '');
    return given.length === this.#token.length && timingSafeEqual(given, this.#token);
  }

  #obey(body: string, response: ServerResponse): void {
    let value: unknown;
    try {
      value = JSON.parse(body);
    } catch (error) {
      return refuse(response, 400, `not JSON: ${(error as Error).message}`);
    }
    const orders = parseFaultOrders(value);
    const obeyed = orders.error === undefined ? this.#faults.obey(orders.value) : orders;
    if (obeyed.error !== undefined) return refuse(response, 400, obeyed.error);
    this.#show(response);
  }

  #show(response: ServerResponse): void {
    const { lines, isDiskFull } = this.#faults;
    const state = { lines: Object.fromEntries(lines), diskFull: isDiskFull };
    answer(response, 200, 'application/json', `${JSON.stringify(state)}\n`);
  }
}

function refuse(response: ServerResponse, status: number, sentence: string): void {
  answer(response, status, 'text/plain', `${sentence}\n`);
}

/** Hands over the body, or refuses one that is too large. */
function whole(request: IncomingMessage, response: ServerResponse, take: (body: string) => void): void {
  const chunks: Buffer[] = [];
  let sizeBytes = 0;
  request.on('data', (chunk: Buffer) => {
    sizeBytes += chunk.length;
    if (sizeBytes <= BODY_BYTES_MAX) return chunks.push(chunk);
    request.removeAllListeners('data').removeAllListeners('end');
    response.setHeader('connection', 'close');
    return refuse(response, 413, `orders are at most ${BODY_BYTES_MAX} bytes`);
  });
  request.on('end', () => take(Buffer.concat(chunks).toString()));
}

function isLoopback(address = ''): boolean {
  return address === '::1' || /^(::ffff:)?127\./.test(address);
}
