import { ErrorCode } from '#model/errors';
import type { Exchange } from '#net/exchange';
import { readRequestHeader } from '#protocol/headers';
import { offeredVersions } from '#protocol/offered-apis';
import { ProtocolError } from '#protocol/protocol-error';
import { Reader } from '#protocol/reader';
import type { Broker } from '#runtime/broker';
import type { Api } from './api.ts';
import { API_VERSIONS, respondUnsupportedApiVersions } from './api-versions.ts';

/** Reads the header of each request and hands it to its API. What cannot be understood closes the connection, as in Kafka. */
export class Dispatcher {
  readonly #broker: Broker;
  readonly #apis: ReadonlyMap<number, Api>;

  constructor(broker: Broker, apis: readonly Api[]) {
    this.#broker = broker;
    this.#apis = new Map(apis.map((api) => [api.key, api]));
  }

  serve(exchange: Exchange): void {
    const reader = new Reader(exchange.frame);
    try {
      this.#serve(reader, exchange);
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      exchange.refuse(`a request that cannot be read: ${error.message}`);
    }
  }

  #serve(reader: Reader, exchange: Exchange): void {
    const header = readRequestHeader(reader);
    const { apiKey, apiVersion } = header;
    const context = { broker: this.#broker, header, exchange };
    const api = this.#apis.get(apiKey);
    const offered = api === undefined ? undefined : offeredVersions(apiKey);
    if (api === undefined || offered === undefined) return exchange.refuse(`api key ${apiKey} is not served`);
    if (apiVersion < offered.min || apiVersion > offered.max) {
      if (apiKey === API_VERSIONS) return respondUnsupportedApiVersions(context, ErrorCode.UnsupportedVersion);
      return exchange.refuse(
        `version ${apiVersion} of api ${apiKey} is not served (${offered.min} to ${offered.max} are)`,
      );
    }
    this.#broker.traffic.countRequest(apiKey);
    api.serve(reader, context);
  }
}
