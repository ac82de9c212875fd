/** What producers and consumers have moved of one topic, at its leaders here. */
export class TopicTraffic {
  bytesIn = 0;
  recordsIn = 0;
  bytesOut = 0;
}

/** What went through a node, as plain numbers that the hot paths add to and the metrics read when asked. */
export class Traffic {
  bytesIn = 0;
  bytesOut = 0;
  /** To followers. */
  replicationBytesOut = 0;
  /** From leaders. */
  replicationBytesIn = 0;
  recordsIn = 0;
  produceRequests = 0;
  failedProduceRequests = 0;
  fetchRequests = 0;
  failedFetchRequests = 0;
  readonly #requests = new Map<number, number>();

  countRequest(apiKey: number): void {
    this.#requests.set(apiKey, (this.#requests.get(apiKey) ?? 0) + 1);
  }

  /** Requests so far by api key. */
  get requests(): ReadonlyMap<number, number> {
    return this.#requests;
  }
}
