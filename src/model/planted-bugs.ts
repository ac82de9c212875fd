/**
 * Faults that the simulator must find when they are put into a node on purpose: that is why it is believed when it finds none. Only a
 * test's own `new Node` can ask for them.
 */
export const PLANTED_BUGS = [
  'vote-without-fsync',
  'vote-after-wipe',
  'commit-older-epoch-by-count',
  'no-pre-vote',
  'fence-on-silence-at-activation',
  'accept-stale-broker-epoch',
  'snapshot-misses-last-record',
  'no-directory-fsync',
  'truncate-to-high-watermark',
  'report-before-sync',
  'count-unsynced-followers',
  'acknowledge-below-min-isr',
  'expand-without-epoch-start',
  'alter-partition-of-old-process',
  'resume-same-epoch',
  'serve-before-own-epoch',
  'acknowledge-before-sync',
  'replay-before-commit',
  'answer-before-commit',
  'newcomer-uncounted',
  'reassignment-ends-at-once',
  'follow-high-watermark-unsynced',
  'serve-above-high-watermark',
  'serve-old-leader-epoch',
  'acknowledge-after-own-sync',
  'fetch-without-last-epoch',
  'followers-forget-producers',
  'duplicate-appended',
  'read-beyond-stable-offset',
  'init-without-epoch',
  'init-forgets-open-transaction',
  'end-without-epoch',
  'aborted-offsets-count',
  'generation-forgotten-at-load',
  'delete-before-saved',
  'expand-with-deleted',
  'compaction-without-last',
  'stale-index',
] as const;

export type PlantedBug = (typeof PLANTED_BUGS)[number];
export type PlantedBugs = ReadonlySet<PlantedBug>;

export const NO_PLANTED_BUGS: PlantedBugs = new Set();
