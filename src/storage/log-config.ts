import { parseTopicConfig, type TopicConfig } from '#model/topic-config';

/** What a log takes of its topic's configs; sizes in bytes, -1 in a retention is unlimited. */
export type LogConfig = Pick<
  TopicConfig,
  | 'cleanupPolicy'
  | 'fileDeleteDelayMs'
  | 'flushPolicy'
  | 'indexIntervalBytes'
  | 'retentionBytes'
  | 'retentionMs'
  | 'segmentBytes'
  | 'segmentIndexBytes'
  | 'segmentJitterMs'
  | 'segmentMs'
>;

/** Of a log that was found on disk, until its topic's are known. */
export function defaultLogConfig(): LogConfig {
  return parseTopicConfig(new Map(), new Map());
}
