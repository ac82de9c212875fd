import type { LogDirectory } from './log-directory.ts';

/** What changes one log's files besides its appends: one after the other, in the order asked. */
export class LogWork {
  readonly #directory: LogDirectory;
  readonly #folder: string;
  #last: Promise<void> = Promise.resolve();

  constructor(directory: LogDirectory, folder: string) {
    this.#directory = directory;
    this.#folder = folder;
  }

  queued<T>(work: () => Promise<T>): Promise<T> {
    const queued = this.#last.then(work);
    this.#last = queued.then(
      () => {},
      () => {},
    );
    return queued;
  }

  /** Nobody waits for it: what fails is the directory's matter. */
  background(what: string, work: () => Promise<void>): void {
    this.#directory.supervise(`${what} of ${this.#folder}`, this.queued(work));
  }
}
