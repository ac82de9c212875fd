/** Strikes the cluster as its swarm has planned, until it heals. */
import type { Random } from '#base/ports';
import { Strike, type StrikeHost, startWhenDown } from './strike.ts';
import type { FaultKind, PlannedFault } from './swarm.ts';

export class Nemesis {
  /** How often each kind has struck. */
  readonly counts = new Map<FaultKind, number>();
  readonly #host: StrikeHost;
  readonly #random: Random;
  readonly #struck: (kind: FaultKind, place: number) => void;
  #isOver = false;

  /** `struck`: told of each fault when it strikes, by its place in the plan. */
  constructor(host: Omit<StrikeHost, 'isOver'>, random: Random, struck: (kind: FaultKind, place: number) => void) {
    const isOver = (): boolean => this.#isOver;
    this.#host = {
      ...host,
      get isOver() {
        return isOver();
      },
    };
    this.#random = random;
    this.#struck = struck;
  }

  /** `chosen`: by their places in the plan; undefined: all. Without the others each is what it would have been, as far as it can be. */
  plan(faults: readonly PlannedFault[], chosen: ReadonlySet<number> | undefined): void {
    for (const [place, { at, kind }] of faults.entries()) {
      if (chosen?.has(place) === false) continue;
      const strike = new Strike(this.#host, this.#random.fork(`fault ${place}`));
      this.#host.cluster.world.clock.timer(() => this.#strike(strike, kind, place)).arm(at);
    }
  }

  /** No more faults, and those that last are over. */
  heal(): void {
    this.#isOver = true;
    const { cluster } = this.#host;
    cluster.healAll();
    for (const machine of cluster.machines) startWhenDown(cluster, machine);
  }

  #strike(strike: Strike, planned: FaultKind, place: number): void {
    if (this.#isOver) return;
    const kind = strike.begin(planned);
    this.#struck(kind, place);
    this.counts.set(kind, (this.counts.get(kind) ?? 0) + 1);
  }
}
