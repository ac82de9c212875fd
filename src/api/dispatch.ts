import { ErrorCode } from '#model/errors';
import type { Exchange } from '#net/exchange';
import { findApi, readRequestHeader } from '#protocol/headers';
import { offeredVersions } from '#protocol/offered-apis';
import { ProtocolError } from '#protocol/protocol-error';
import { Reader } from '#protocol/reader';
import type { Broker } from '#runtime/broker';
import type { Api } from './api.ts';
import { API_VERSIONS, respondUnsupportedApiVersions } from './api-versions.ts';
import { TimedExchange } from './timed-exchange.ts';

/** Seconds: from what memory answers to long polls and requests that time out. */
const REQUEST_BUCKETS = [0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30];

interface Served {
  readonly api: Api;
  /** From the first request on: most APIs are hardly ever asked. */
  times: { observe(seconds: number): void } | undefined;
}

/** Reads the header of each request and hands it to its API. What cannot be understood closes the connection, as in Kafka. */
export class Dispatcher {
  readonly #broker: Broker;
  readonly #apis: ReadonlyMap<number, Served>;

  constructor(broker: Broker, apis: readonly Api[]) {
    this.#broker = broker;
    this.#apis = new Map(apis.map((api) => [api.key, { api, times: undefined }]));
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
    const served = this.#apis.get(apiKey);
    const offered = served === undefined ? undefined : offeredVersions(apiKey);
    if (served === undefined || offered === undefined) return exchange.refuse(`api key ${apiKey} is not served`);
    if (apiVersion < offered.min || apiVersion > offered.max) {
      if (apiKey === API_VERSIONS) {
        const context = { broker: this.#broker, header, exchange };
        return respondUnsupportedApiVersions(context, ErrorCode.UnsupportedVersion);
      }
      return exchange.refuse(
        `version ${apiVersion} of api ${apiKey} is not served (${offered.min} to ${offered.max} are)`,
      );
    }
    this.#broker.traffic.countRequest(apiKey);
    const times = this.#timesOf(served);
    const timed = new TimedExchange(exchange, this.#broker.ports.clock, times);
    served.api.serve(reader, { broker: this.#broker, header, exchange: timed });
  }

  #timesOf(served: Served): { observe(seconds: number): void } {
    const { key } = served.api;
    served.times ??= this.#broker.ports.metrics.histogram(
      'odradek_request_seconds',
      'From the begin of a request’s work, which is its arrival unless others of its connection stand before it, to its answer',
      REQUEST_BUCKETS,
      { api: findApi(key)?.name ?? String(key) },
    );
    return served.times;
  }
}
