export interface NamedSeed {
  readonly seed: number;
  /** The fault of ours that it found first. */
  readonly found: string;
}

/** From 1 on: test/sim/many-seeds.test.ts runs them, each time. */
export const SEEDS = 60;

/**
 * Seeds that have found a fault in the node. A seed's history changes with every change of the code, so each of them is one more run
 * like all others; what pins a fault down is a test of its own, or a mutant. docs/simulation.md tells more of each.
 */
export const NAMED_SEEDS: readonly NamedSeed[] = [
  { seed: 49, found: 'what a killed process had written to the metadata log, and not synced, counted as durable' },
  { seed: 51, found: 'an entry was appended behind a gap, while a disk without room was taking its last write back' },
  { seed: 44, found: 'a follower took the answer to a fetch from before a full disk had cut its log, and had a hole' },
  { seed: 92, found: 'the answer to a change of in-sync replicas took the next one out of the queue' },
  { seed: 64, found: 'a follower that had led an empty epoch moved the start of the epoch before it' },
  { seed: 41, found: 'a log that was being made when its store closed ended the node' },
  {
    seed: 24,
    found: 'an idempotent producer was told that a sequence was missing, while a full disk took its last write back',
  },
  { seed: 22, found: 'a follower that was cut below its high watermark kept it' },
  { seed: 66, found: 'a log on its way back from a full disk forgot which of its transactions were decided' },
  {
    seed: 94,
    found: 'a replica was in sync whose directory was gone: the move of a partition ended with nobody who could lead',
  },
  { seed: 126, found: 'a voter that had just been added was removed by a second decision of the same kind' },
  { seed: 236, found: 'a broker was fenced that could talk to the new controller, but had not heard of it' },
  { seed: 31, found: 'a node that was stopped while registering took its own former process for a stranger' },
  {
    seed: 1158,
    found: 'a node with a new disk was turned away as long as a peer held a dead connection with its former self',
  },
  { seed: 59, found: 'a new leader whose log was on its way back told of a last stable offset that it did not know' },
  { seed: 37, found: 'of a compacted log a follower remembered an epoch that it had led, and written nothing in' },
  { seed: 138, found: 'a leader that was deposed, and had not heard of it, told a producer that records were missing' },
];
