/** The features of a cluster (KIP-584): what this version supports, and what a new cluster starts with. */
export interface SupportedFeature {
  readonly name: string;
  /** 0: may be off. */
  readonly min: number;
  readonly max: number;
  /** The level that a first start finalises; 0 is not recorded. */
  readonly initial: number;
  /** Levels with which more came to be recorded: from one of them nobody goes back below it. */
  readonly changedAt: readonly number[];
}

/** Levels of metadata.version that tools print by name. */
export const METADATA_VERSION = { name: '4.3-IV0', level: 30 } as const;

/** 1: __transaction_state is written in its flexible format. 2: each transaction has an epoch of its own (KIP-890). */
export const TRANSACTION_VERSION = 'transaction.version';

/**
 * Java clients change what they send by the finalised levels: one that promises what is not there yet stays out of this table
 * (share and streams.version).
 */
export const SUPPORTED_FEATURES: readonly SupportedFeature[] = [
  { name: 'eligible.leader.replicas.version', min: 0, max: 1, initial: 1, changedAt: [] },
  { name: 'group.version', min: 0, max: 1, initial: 1, changedAt: [] },
  { name: 'kraft.version', min: 0, max: 1, initial: 1, changedAt: [1] },
  {
    name: 'metadata.version',
    min: 7,
    max: METADATA_VERSION.level,
    initial: METADATA_VERSION.level,
    // As Kafka 4.3 has it, since its tools and users go by that.
    changedAt: [8, 11, 13, 14, 15, 17, 23, 30],
  },
  { name: TRANSACTION_VERSION, min: 0, max: 2, initial: 2, changedAt: [] },
];
