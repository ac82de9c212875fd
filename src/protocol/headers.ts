/** What stands before the body of every request and response (KIP-482). */
import { type Api, ApiKey, apis } from './generated/apis.ts';
import type { Reader } from './reader.ts';
import type { Writer } from './writer.ts';

export interface RequestHeader {
  readonly apiKey: number;
  readonly apiVersion: number;
  readonly correlationId: number;
  /** Null also where the API or its version is unknown: only the fields above are read then. */
  readonly clientId: string | null;
  /** 1, or 2 with tagged fields. */
  readonly headerVersion: 1 | 2;
}

const apiByKey: ReadonlyMap<number, Api> = new Map(apis.map((api) => [api.key, api]));

/** The API with this key; undefined if Kafka 4.3 has none. */
export function findApi(apiKey: number): Api | undefined {
  return apiByKey.get(apiKey);
}

/** Leaves the reader at the body. Versions that have no schema, Produce 0 to 2 included, have header 1. */
export function readRequestHeader(reader: Reader): RequestHeader {
  const apiKey = reader.int16();
  const apiVersion = reader.int16();
  const correlationId = reader.int32();
  const headerVersion = requestHeaderVersion(apiKey, apiVersion);
  const api = findApi(apiKey);
  if (api === undefined || apiVersion > api.maxVersion) {
    return { apiKey, apiVersion, correlationId, clientId: null, headerVersion };
  }
  // Not compact even in header 2.
  const clientId = reader.nullableString(false);
  if (headerVersion === 2) reader.unknownTags();
  return { apiKey, apiVersion, correlationId, clientId, headerVersion };
}

/** As a client writes it. */
export function writeRequestHeader(
  writer: Writer,
  header: {
    readonly apiKey: number;
    readonly apiVersion: number;
    readonly correlationId: number;
    readonly clientId: string | null;
  },
): void {
  writer.int16(header.apiKey);
  writer.int16(header.apiVersion);
  writer.int32(header.correlationId);
  writer.nullableString(header.clientId, false);
  if (requestHeaderVersion(header.apiKey, header.apiVersion) === 2) writer.unknownTags(undefined);
}

export function writeResponseHeader(writer: Writer, apiKey: number, apiVersion: number, correlationId: number): void {
  writer.int32(correlationId);
  if (responseHeaderVersion(apiKey, apiVersion) === 1) writer.unknownTags(undefined);
}

/** As a client reads it, who knows by the correlation id or by order what it had asked. */
export function readResponseHeader(
  reader: Reader,
  apiKey: number,
  apiVersion: number,
): { readonly correlationId: number } {
  const correlationId = reader.int32();
  if (responseHeaderVersion(apiKey, apiVersion) === 1) reader.unknownTags();
  return { correlationId };
}

export function requestHeaderVersion(apiKey: number, apiVersion: number): 1 | 2 {
  return apiVersion >= (findApi(apiKey)?.flexibleFrom ?? Number.POSITIVE_INFINITY) ? 2 : 1;
}

/** ApiVersions is always answered with header 0: its client may not know yet what the broker speaks (KIP-511). */
export function responseHeaderVersion(apiKey: number, apiVersion: number): 0 | 1 {
  if (apiKey === ApiKey.ApiVersions) return 0;
  return requestHeaderVersion(apiKey, apiVersion) === 2 ? 1 : 0;
}
