/** What kind of turn an event begins: after a stall, what came from outside is served before the timers, as by an event loop. */
export type EventKind = 'io' | 'timer' | 'turn';

/** Something that is to happen. */
export interface SimEvent {
  readonly at: number;
  readonly tiebreak: number;
  readonly life: Life;
  readonly kind: EventKind;
  readonly run: () => void;
  /** Instead of `run`, if the one it was for is dead. */
  readonly ifDead: (() => void) | undefined;
}

/** One incarnation of a node, a process: what was to happen to it does not happen once it is dead, and waits while it is stalled. */
export class Life {
  readonly name: string;
  /** Stands for it in the hash of a trace. */
  readonly number: number;
  alive = true;
  /** Nothing happens to it before this time. */
  stalledUntil = 0;
  /** What came due during the stall, in order; bounded by what the node and its peers had asked for. */
  readonly held: SimEvent[] = [];

  constructor(name: string, number: number) {
    this.name = name;
    this.number = number;
  }
}
