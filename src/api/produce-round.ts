import type { Deadline } from '#base/deadlines';
import { ErrorCode } from '#model/errors';
import { offset } from '#model/ids';
import type { ProduceResponseInput } from '#protocol/generated/produce-response';
import type { Partition } from '#runtime/partition';

/** The acks of a producer that waits for every replica in sync. */
export const ALL_IN_SYNC = -1;

export type TopicAnswer = NonNullable<ProduceResponseInput['responses']>[number];
type PartitionAnswer = NonNullable<TopicAnswer['partitionResponses']>[number];

/** A partition's answer while the acknowledgement is awaited: filled in place. */
export type PendingAnswer = { -readonly [key in keyof PartitionAnswer]: PartitionAnswer[key] };

/** The partitions of one Produce request, until all are durable, refused, or the request's time is up. */
export class ProduceRound {
  readonly responses: TopicAnswer[] = [];
  refusedCount = 0;
  deadline: Deadline | undefined;
  readonly #done: (responses: TopicAnswer[]) => void;
  /** Undefined: the round does not expire (acks=0). */
  readonly #holdMemory: (() => () => void) | undefined;
  readonly #awaited = new Set<PendingAnswer>();
  #begun = false;
  #over = false;
  /** What is left to wait for, once the answer was given without it. */
  #late = 0;
  #letGo: (() => void) | undefined;

  /** The request's memory is held until its bytes are down, whatever the client's timeout: the log needs them until then. */
  constructor(holdMemory: (() => () => void) | undefined, done: (responses: TopicAnswer[]) => void) {
    this.#holdMemory = holdMemory;
    this.#done = done;
  }

  refuse(answer: PendingAnswer, error: ErrorCode, message?: string): undefined {
    this.refusedCount += 1;
    answer.errorCode = error;
    answer.baseOffset = -1;
    if (message !== undefined) answer.errorMessage = message;
  }

  await(partition: Partition, lastOffset: number, acks: number, answer: PendingAnswer): void {
    this.#awaited.add(answer);
    const done = (error: ErrorCode): void => {
      if (this.#over) return this.#lateOne();
      this.#awaited.delete(answer);
      if (error !== ErrorCode.None) this.refuse(answer, error);
      this.#settle();
    };
    if (acks === ALL_IN_SYNC) partition.whenCommitted(offset(lastOffset), done);
    else partition.whenDurable(offset(lastOffset), done);
  }

  /** It is refused, but with what error others have to be asked. */
  awaitRefusal(answer: PendingAnswer, error: Promise<ErrorCode>): void {
    this.#awaited.add(answer);
    void error.then((code) => {
      if (this.#over) return this.#lateOne();
      this.#awaited.delete(answer);
      this.refuse(answer, code);
      this.#settle();
    });
  }

  begun(): void {
    this.#begun = true;
    this.#settle();
  }

  expire(): void {
    if (this.#over || this.#holdMemory === undefined) return;
    this.#letGo = this.#holdMemory();
    this.#late = this.#awaited.size;
    for (const answer of this.#awaited) this.refuse(answer, ErrorCode.RequestTimedOut);
    this.#awaited.clear();
    this.#settle();
  }

  #lateOne(): void {
    this.#late -= 1;
    if (this.#late === 0) this.#letGo?.();
  }

  #settle(): void {
    if (!this.#begun || this.#over || this.#awaited.size > 0) return;
    this.#over = true;
    this.#done(this.responses);
  }
}
