/** What operators may set for transactions; Kafka's key in each comment. */
export interface TransactionConfig {
  /** transaction.max.timeout.ms: the longest timeout that a producer may ask for. */
  readonly timeoutMsMax: number;
  /** transactional.id.expiration.ms: how long an id lives that nobody uses. */
  readonly expirationMs: number;
  /** transaction.remove.expired.transaction.cleanup.interval.ms */
  readonly expirationCheckIntervalMs: number;
  /** transaction.abort.timed.out.transaction.cleanup.interval.ms */
  readonly timeoutCheckIntervalMs: number;
}

/** Transactional ids of one shard; a request that would make one more is told to come back later. */
export const TRANSACTIONAL_IDS_MAX = 1_000_000;
/** Transactions that one tick aborts. */
export const ABORTS_PER_TICK = 200;
/** Transactional ids that one tick looks at for expiry. */
export const EXPIRY_STEPS_PER_TICK = 2_000;
/** A completion that the log refused is tried again after this time; so is an abort that needs a producer id and gets none. */
export const RETRY_MS = 500;
/** Ids that one turn holds against the pattern of ListTransactions: one or two ms, half a second for the hardest pattern. */
export const MATCHES_PER_TURN = 500;
