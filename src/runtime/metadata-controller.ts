import { Fifo } from '#base/fifo';
import type { Random } from '#base/ports';
import { type CommandOf, decide, isUrgent, type OperationName, type ResponseOf } from '#metadata/controller';
import type { ControllerState } from '#metadata/decision';
import type { PlantedBugs } from '#model/planted-bugs';
import type { MetadataQuorum } from './metadata-quorum.ts';

/** Commands that may wait, and urgent ones beside them; more are answered 'busy'. */
const QUEUE_MAX = 1000;

/**
 * 'busy', 'full' (no room on the disk), 'tooLarge' (what it would change), 'notController': nothing was done, nor will be. 'unknown': it may
 * be done or not; the node is ending, or has lost sight of the quorum.
 */
export type Undecided = 'busy' | 'full' | 'tooLarge' | 'notController' | 'unknown';

/** The response holds on every node whose image has reached `index`. */
export interface Decided<Name extends OperationName> {
  readonly response: ResponseOf<Name>;
  readonly index: number;
}

interface Waiting {
  decide(): void;
  refuse(why: Undecided): void;
}

/**
 * The decisions of the active controller, if this node is it: takes commands one after another, so that each sees the records of all
 * before it, and answers when they are committed and published. What needs no records is answered only once a majority has confirmed
 * that this node still leads. Urgent commands and the others are taken in turns.
 */
export class MetadataController {
  readonly #quorum: MetadataQuorum;
  readonly #state: ControllerState;
  readonly #queue = new Fifo<Waiting>();
  readonly #urgent = new Fifo<Waiting>();
  #wasUrgent = false;
  #deciding = false;

  /** `given`: see ControllerState. */
  constructor(quorum: MetadataQuorum, random: Random, given: ReadonlyMap<string, string>, planted: PlantedBugs) {
    this.#quorum = quorum;
    this.#state = { image: quorum.image, random, given, planted };
    quorum.onRole(() => {
      if (quorum.isActive) this.#next();
      else for (const waiting of [...this.#urgent.drain(), ...this.#queue.drain()]) waiting.refuse('notController');
    });
  }

  get isActive(): boolean {
    return this.#quorum.isActive;
  }

  submit<Name extends OperationName>(operation: Name, command: CommandOf<Name>): Promise<Decided<Name> | Undecided> {
    return new Promise((answer) => {
      if (!this.#quorum.isActive) return answer('notController');
      const queue = isUrgent(operation) ? this.#urgent : this.#queue;
      if (queue.length >= QUEUE_MAX) return answer('busy');
      queue.push({ decide: () => this.#decide(operation, command, answer), refuse: answer });
      this.#next();
    });
  }

  #decide<Name extends OperationName>(
    operation: Name,
    command: CommandOf<Name>,
    answer: (decided: Decided<Name> | Undecided) => void,
  ): void {
    const { records, response } = decide(operation, this.#state, command);
    if (records.length === 0) {
      const { index } = this.#quorum.image;
      this.#deciding = false;
      this.#quorum.confirm((isLeader) => answer(isLeader ? { response, index } : 'notController'));
      return;
    }
    // PLANTED BUG answer-before-commit: a decision is told as soon as it is made.
    if (this.#state.planted.has('answer-before-commit')) answer({ response, index: this.#quorum.image.index });
    this.#quorum.propose(records, (result) => {
      this.#deciding = false;
      if (typeof result === 'object') answer({ response, index: result.index });
      else answer(result === 'lost' ? 'notController' : result);
      this.#next();
    });
  }

  #next(): void {
    while (!this.#deciding && this.#quorum.isActive) {
      const isUrgentTurn = this.#urgent.length > 0 && (!this.#wasUrgent || this.#queue.length === 0);
      const queue = isUrgentTurn ? this.#urgent : this.#queue;
      if (queue.length === 0) return;
      this.#wasUrgent = isUrgentTurn;
      this.#deciding = true;
      queue.shift().decide();
    }
  }
}
