import type { IncomingMessage, ServerResponse } from 'node:http';

/** Answers all requests to a path of its own, whatever their method. */
export interface HttpEndpoint {
  readonly path: string;
  handle(request: IncomingMessage, response: ServerResponse): void;
}

export function answer(response: ServerResponse, status: number, contentType: string, body: string): void {
  response.writeHead(status, { 'content-type': contentType, 'content-length': Buffer.byteLength(body) });
  response.end(body);
}
