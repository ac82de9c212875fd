import type { Exchange } from '#net/exchange';
import type { RequestHeader } from '#protocol/headers';
import { writeResponseHeader } from '#protocol/headers';
import { ProtocolError } from '#protocol/protocol-error';
import type { Reader } from '#protocol/reader';
import { Writer } from '#protocol/writer';
import type { Broker } from '#runtime/broker';

/** What a handler knows besides the request itself. */
export interface ApiContext {
  readonly broker: Broker;
  readonly header: RequestHeader;
  readonly exchange: Exchange;
}

/** One API: `serve` reads the request from behind its header and answers the exchange exactly once, now or later. */
export interface Api {
  readonly key: number;
  serve(reader: Reader, context: ApiContext): void;
}

/** The plain kind: one request, one answer. A rejected promise is a broken invariant. */
export function api<Request, Response>(
  key: number,
  read: (reader: Reader, version: number) => Request,
  write: (writer: Writer, response: Response, version: number) => void,
  handle: (request: Request, context: ApiContext) => Response | Promise<Response>,
): Api {
  return {
    key,
    serve(reader, context) {
      const request = read(reader, context.header.apiVersion);
      const answer = handle(request, context);
      if (!(answer instanceof Promise)) return respond(context, (writer, version) => write(writer, answer, version));
      answer
        .then((response) => respond(context, (writer, version) => write(writer, response, version)))
        .catch((error: unknown) => context.broker.fail(error));
    },
  };
}

/**
 * Encodes and sends one answer: length prefix, header, body. `sent` is Exchange.respond's. An answer that cannot be written (names in
 * invalid UTF-8 grow in decoding, beyond what a string may be) closes the connection: handlers answer from anybody's callback.
 */
export function respond(
  context: ApiContext,
  writeBody: (writer: Writer, version: number) => void,
  sent?: () => void,
): void {
  const { header, exchange } = context;
  const writer = new Writer();
  writer.int32(0);
  try {
    writeResponseHeader(writer, header.apiKey, header.apiVersion, header.correlationId);
    writeBody(writer, header.apiVersion);
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error;
    sent?.();
    return exchange.refuse(`an answer that cannot be written: ${error.message}`);
  }
  writer.patchInt32(0, writer.sizeBytes - 4);
  exchange.respond(writer.chunks(), writer.sizeBytes, sent);
}
