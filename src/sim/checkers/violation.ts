/** What must never be, was: the seed fails. `rule` names the invariant (R1 … I7 as in docs/simulation.md). */
export class Violation extends Error {
  override readonly name = 'Violation';
  readonly rule: string;

  constructor(rule: string, sentence: string) {
    super(`${rule}: ${sentence}`);
    this.rule = rule;
  }
}

export function check(holds: boolean, rule: string, sentence: () => string): asserts holds {
  if (!holds) throw new Violation(rule, sentence());
}
