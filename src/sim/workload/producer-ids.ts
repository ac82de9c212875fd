import { check } from '../checkers/violation.ts';

/** All producer ids that any client was given. */
export class ProducerIds {
  readonly #owners = new Map<number, string>();
  readonly #nodes = new Set<string>();

  /** How many nodes have given some. */
  get nodeCount(): number {
    return this.#nodes.size;
  }

  /** `owner`: a transactional id, which may be given the same again, or one producer, which asks once. */
  given(producerId: number, owner: string, node: string): void {
    const before = this.#owners.get(producerId);
    check(
      before === undefined || before === owner,
      'producer ids',
      () => `the producer id ${producerId} was given to ${owner}, and to ${before} before`,
    );
    this.#owners.set(producerId, owner);
    this.#nodes.add(node);
  }
}
