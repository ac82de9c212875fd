import { Fifo } from '#base/fifo';
import type { Random } from '#base/ports';
import { type CommandOf, decide, type OperationName, type ResponseOf } from '#metadata/controller';
import type { ControllerState } from '#metadata/decision';
import type { MetadataQuorum } from './metadata-quorum.ts';

/** Commands that may wait; more are answered 'busy'. */
const QUEUE_MAX = 1000;

/** 'busy', 'full' (no room on the disk): nothing was done. 'stopped': the node is ending; it may have been done or not. */
export type Submitted<Name extends OperationName> = ResponseOf<Name> | 'busy' | 'full' | 'stopped';

/**
 * The active controller: takes commands one after another, so that each decision sees the records of all before it, and answers when
 * they are committed and published.
 */
export class MetadataController {
  readonly #quorum: MetadataQuorum;
  readonly #state: ControllerState;
  readonly #queue = new Fifo<() => void>();
  #deciding = false;

  /** `given`: see ControllerState. */
  constructor(quorum: MetadataQuorum, random: Random, given: ReadonlyMap<string, string>) {
    this.#quorum = quorum;
    this.#state = { image: quorum.image, random, given };
  }

  submit<Name extends OperationName>(operation: Name, command: CommandOf<Name>): Promise<Submitted<Name>> {
    return new Promise((resolve) => {
      if (this.#queue.length >= QUEUE_MAX) {
        resolve('busy');
        return;
      }
      this.#queue.push(() => this.#decide(operation, command, resolve));
      this.#next();
    });
  }

  #decide<Name extends OperationName>(
    operation: Name,
    command: CommandOf<Name>,
    answer: (submitted: Submitted<Name>) => void,
  ): void {
    const { records, response } = decide(operation, this.#state, command);
    if (records.length === 0) {
      this.#deciding = false;
      answer(response);
      return;
    }
    this.#quorum.propose(records, (result) => {
      this.#deciding = false;
      answer(typeof result === 'string' ? result : response);
      this.#next();
    });
  }

  #next(): void {
    while (!this.#deciding && this.#queue.length > 0) {
      this.#deciding = true;
      this.#queue.shift()();
    }
  }
}
