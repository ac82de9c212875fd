import { parseTopicConfig, type TopicConfig } from '#model/topic-config';

/** What a log takes of its topic's configs; sizes in bytes, -1 in a retention is unlimited. */
export type LogConfig = Pick<
  TopicConfig,
  | 'cleanupPolicy'
  | 'deleteRetentionMs'
  | 'fileDeleteDelayMs'
  | 'flushPolicy'
  | 'indexIntervalBytes'
  | 'maxCompactionLagMs'
  | 'minCleanableDirtyRatio'
  | 'minCompactionLagMs'
  | 'retentionBytes'
  | 'retentionMs'
  | 'segmentBytes'
  | 'segmentIndexBytes'
  | 'segmentJitterMs'
  | 'segmentMs'
>;

export function isCompacted({ cleanupPolicy }: LogConfig): boolean {
  return cleanupPolicy !== 'delete';
}

/** A compacted log is also rolled for max.compaction.lag.ms: what is in its active segment is never compacted. */
export function segmentMsOf(config: LogConfig): number {
  return isCompacted(config) ? Math.min(config.segmentMs, config.maxCompactionLagMs) : config.segmentMs;
}

/** Of a log that was found on disk, until its topic's are known. */
export function defaultLogConfig(): LogConfig {
  return parseTopicConfig(new Map(), new Map());
}
