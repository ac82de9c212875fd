import type { BrokerConfig } from '#model/broker-config';
import type { CleanerSettings } from '#storage/log-cleaner';

/** A node's log.cleaner.* configs as its store takes them. */
export function cleanerSettings(config: BrokerConfig): CleanerSettings {
  const bytesPerSecond = config.logCleanerIoMaxBytesPerSecond;
  return {
    enabled: config.logCleanerEnable,
    threads: config.logCleanerThreads,
    dedupeBytes: config.logCleanerDedupeBufferSize,
    bytesPerSecond: bytesPerSecond > 0 ? bytesPerSecond : Number.POSITIVE_INFINITY,
    backoffMs: config.logCleanerBackoffMs,
  };
}
