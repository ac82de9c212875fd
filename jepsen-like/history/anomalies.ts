/** Every anomaly that is looked for, and whether it fails the run; rows.test.ts shows each by an example. */
export const ANOMALIES = {
  'lost-write': 'fails',
  duplicate: 'fails',
  'inconsistent-offsets': 'fails',
  phantom: 'fails',
  G1a: 'fails',
  'precommitted-read': 'fails',
  'int-poll-skip': 'fails',
  'int-nonmonotonic-poll': 'fails',
  'poll-skip': 'fails',
  'nonmonotonic-poll': 'fails',
  'int-nonmonotonic-send': 'fails',
  'nonmonotonic-send': 'fails',
  'nonmonotonic-send-realtime': 'fails',
  unseen: 'fails',
  'G1c-wr': 'fails',
  'G1c-wr-process': 'fails',
  'G1c-wr-realtime': 'fails',
  'double-consume': 'fails',
  unconsumed: 'fails',
  'double-copy': 'fails',
  uncopied: 'fails',
  'two-owners': 'fails',
  'stale-commit': 'fails',
  'lost-commit': 'fails',
  'phantom-commit': 'fails',
  'group-skip': 'fails',
  // What the clients were not promised.
  'subscribed-poll-skip': 'told',
  'subscribed-nonmonotonic-poll': 'told',
  'weak-loss': 'told',
  'retry-duplicate': 'told',
  'int-send-skip': 'told',
  G0: 'told',
  'G0-process': 'told',
  'G0-realtime': 'told',
  G1c: 'told',
  'G1c-process': 'told',
  'G1c-realtime': 'told',
  'G-single': 'told',
  G2: 'told',
} as const satisfies Record<string, 'fails' | 'told'>;

export type Anomaly = keyof typeof ANOMALIES;

/** How many of a kind are explained; the others are counted. */
const EXPLAINED = 3;

export interface Found {
  readonly count: number;
  readonly explanations: readonly string[];
}

export class Findings {
  readonly #found = new Map<Anomaly, { count: number; readonly explanations: string[] }>();

  /** The explanation is made only if it will be told. */
  add(anomaly: Anomaly, explain: () => string): void {
    let found = this.#found.get(anomaly);
    if (found === undefined) {
      found = { count: 0, explanations: [] };
      this.#found.set(anomaly, found);
    }
    found.count += 1;
    if (found.explanations.length < EXPLAINED) found.explanations.push(explain());
  }

  get all(): ReadonlyMap<Anomaly, Found> {
    return this.#found;
  }
}
