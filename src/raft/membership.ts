import { assert, at } from '#base/assert';
import { isSameReplica, type ReplicaKey, type Voter } from '#model/voter';

interface Change {
  readonly index: number;
  readonly voters: readonly Voter[];
}

/**
 * The voters as the log says, entry by entry: a replica uses the latest set in its log, committed or not, and the one before it when
 * that entry is cut off (the paper's §6; single-server changes, thesis §4).
 */
export class Membership {
  /** Ascending; the first is of the snapshot, or of the empty log. One more per change since. */
  readonly #changes: Change[];

  constructor(index: number, voters: readonly Voter[]) {
    this.#changes = [{ index, voters }];
  }

  get voters(): readonly Voter[] {
    return at(this.#changes, this.#changes.length - 1).voters;
  }

  /** Of the entry that made them the voters. */
  get index(): number {
    return at(this.#changes, this.#changes.length - 1).index;
  }

  has(key: ReplicaKey): boolean {
    return this.voters.some((voter) => isSameReplica(voter, key));
  }

  /** Whether it is a voter by a set that counts, or may count once more: the latest that is committed, or one behind it. */
  mayHave(key: ReplicaKey, commitIndex: number): boolean {
    const lastCommitted = Math.max(
      0,
      this.#changes.findLastIndex(({ index }) => index <= commitIndex),
    );
    return this.#changes.slice(lastCommitted).some(({ voters }) => voters.some((voter) => isSameReplica(voter, key)));
  }

  changed(index: number, voters: readonly Voter[]): void {
    assert(index > this.index && voters.length > 0, `a change of voters at ${index}`);
    this.#changes.push({ index, voters });
  }

  truncateFrom(index: number): void {
    while (this.index >= index) {
      assert(this.#changes.length > 1, 'the voters of the snapshot are never cut off');
      this.#changes.pop();
    }
  }

  /** What was committed long ago is forgotten. */
  compacted(index: number): void {
    while ((this.#changes[1]?.index ?? Number.POSITIVE_INFINITY) <= index) this.#changes.shift();
  }

  install(index: number, voters: readonly Voter[]): void {
    this.#changes.length = 0;
    this.#changes.push({ index, voters });
  }

  /** The highest value that a majority of the voters have reached. */
  majority(reached: (voter: Voter) => number): number {
    const values = this.voters.map(reached).sort((a, b) => b - a);
    return at(values, Math.floor(values.length / 2));
  }

  isMajority(count: number): boolean {
    return count * 2 > this.voters.length;
  }
}

/** How many replicas are in one set and not in the other. */
export function voterDifference(a: readonly Voter[], b: readonly Voter[]): number {
  const missing = (from: readonly Voter[], others: readonly Voter[]): number =>
    from.filter((voter) => !others.some((other) => isSameReplica(voter, other))).length;
  return missing(a, b) + missing(b, a);
}
