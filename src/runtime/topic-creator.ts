import type { Logger } from '#base/ports';
import { ErrorCode, errorName } from '#model/errors';

/** Topics being created at one time; further requests are dropped, and come again with the clients' retries. */
const IN_FLIGHT_MAX = 1000;

/** Creates a topic and answers why it could not. */
export type CreateTopic = (name: string) => Promise<{ readonly error: ErrorCode; readonly message: string | null }>;

/** Creates topics behind requests that asked for what does not exist: each once, however many ask. */
export class TopicCreator {
  readonly #create: CreateTopic;
  readonly #logger: Logger;
  readonly #inFlight = new Set<string>();

  constructor(create: CreateTopic, logger: Logger) {
    this.#create = create;
    this.#logger = logger;
  }

  request(name: string): void {
    if (this.#inFlight.has(name) || this.#inFlight.size >= IN_FLIGHT_MAX) return;
    this.#inFlight.add(name);
    void this.#createOnce(name);
  }

  async #createOnce(name: string): Promise<void> {
    const { error, message } = await this.#create(name);
    this.#inFlight.delete(name);
    if (error === ErrorCode.None) this.#logger.info({ topic: name }, 'topic created on request');
    else if (error !== ErrorCode.TopicAlreadyExists) {
      this.#logger.warn({ topic: name, error: errorName(error) }, `topic not created on request: ${message ?? ''}`);
    }
  }
}
