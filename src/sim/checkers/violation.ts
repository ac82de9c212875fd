/** What must always be true, by the names that docs/simulation.md explains. */
export const RULES = [
  ...(['R1', 'R2', 'R3', 'R4', 'R5', 'R6', 'R7', 'R8', 'R9', 'R10', 'R11'] as const),
  ...(['I1', 'I2', 'I3', 'I5', 'I6', 'I7', 'I8', 'I10', 'I11', 'I12', 'S1'] as const),
  'pre-vote',
  'fencing',
  'acknowledged',
  'producer ids',
  'lost',
  'one value at an offset',
  'written once',
  'phantom',
  'damaged',
  'sequences',
  'high watermark',
  'deleted records',
  'compaction',
  'aborted read',
  'one outcome',
  'all of a transaction',
  'offsets of a transaction',
  'last stable offset',
  'hanging transaction',
  'epoch of the next transaction',
  'one owner',
  'offsets rise with generations',
  'committed offsets',
  'all partitions assigned',
  'healing',
] as const;

export type Rule = (typeof RULES)[number];

/** What must never be, was: the seed fails. */
export class Violation extends Error {
  override readonly name = 'Violation';
  readonly rule: Rule;

  constructor(rule: Rule, sentence: string) {
    super(`${rule}: ${sentence}`);
    this.rule = rule;
  }
}

export function check(holds: boolean, rule: Rule, sentence: () => string): asserts holds {
  if (!holds) throw new Violation(rule, sentence());
}
