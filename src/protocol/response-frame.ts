import { readResponseHeader } from './headers.ts';
import { ProtocolError } from './protocol-error.ts';
import { Reader } from './reader.ts';

export interface ResponseFrame<Body> {
  readonly correlationId: number;
  readonly body: Body;
}

/** A whole response, without its length prefix. One that cannot be read is none: who sent it may be of another release. */
export function readResponseFrame<Body>(
  frame: Uint8Array,
  apiKey: number,
  version: number,
  read: (reader: Reader, version: number) => Body,
): ResponseFrame<Body> | undefined {
  const reader = new Reader(frame);
  try {
    const { correlationId } = readResponseHeader(reader, apiKey, version);
    return { correlationId, body: read(reader, version) };
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error;
    return undefined;
  }
}
