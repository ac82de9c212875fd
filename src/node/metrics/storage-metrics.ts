import type { Metrics } from '#base/ports';
import type { LogDirectory } from '#storage/log-directory';
import type { LogStore } from '#storage/log-store';
import { oneOf } from './one.ts';

/** Seconds: from a fast SSD's to those of a disk that is in trouble. */
const SYNC_BUCKETS = [0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5];

/** The data directories of this node, and how long their syncs take. */
export function storageMetrics(metrics: Metrics, store: LogStore): void {
  const one = oneOf(metrics);
  one(
    ['odradek_data_directories_offline', 'kafka_log_logmanager_offlinelogdirectorycount'],
    'Data directories that are offline',
    'gauge',
    () => store.offlineDirectoryCount,
  );
  const each = (name: string, help: string, read: (directory: LogDirectory) => number | undefined): void =>
    metrics.series(name, help, 'gauge', function* () {
      for (const directory of store.directories) {
        const value = read(directory);
        if (value !== undefined) yield [{ directory: directory.disk.path }, value];
      }
    });
  each('odradek_data_directory_full', 'Whether a data directory has no room and refuses writes', ({ isFull }) =>
    Number(isFull),
  );
  each('odradek_data_directory_logs', 'Logs in a data directory', ({ logCount }) => logCount);
  cleanerMetrics(metrics, store);
  const room = new Map(store.directories.map((directory) => [directory, new FreeRoom(directory)]));
  each(
    'odradek_data_directory_free_bytes',
    'Room in the file system of a data directory, at the scrape before',
    (directory) => room.get(directory)?.read(),
  );
  for (const { commits, disk } of store.directories) {
    const help = 'Until what was written is on the disk: of one log, or of many in one record of the journal';
    const labels = { directory: disk.path };
    const log = metrics.histogram('odradek_fsync_seconds', help, SYNC_BUCKETS, { ...labels, of: 'log' });
    const journal = metrics.histogram('odradek_fsync_seconds', help, SYNC_BUCKETS, { ...labels, of: 'journal' });
    commits.onSynced = (of, durationMs) => (of === 'log' ? log : journal).observe(durationMs / 1000);
  }
}

/** The compaction of logs. */
function cleanerMetrics(metrics: Metrics, { cleaner }: LogStore): void {
  const one = oneOf(metrics);
  const counted = (name: string, help: string, read: () => number): void => one(name, help, 'counter', read);
  counted('odradek_cleaner_runs_total', 'Compactions of a log that have ended', () => cleaner.counts.runs);
  counted('odradek_cleaner_read_bytes_total', 'Bytes that compaction has read', () => cleaner.counts.readBytes);
  counted(
    'odradek_cleaner_written_bytes_total',
    'Bytes that compaction has written',
    () => cleaner.counts.writtenBytes,
  );
  one(
    'odradek_cleaner_dirtiest_ratio',
    'The largest share of bytes in a compacted log that were not compacted yet, at the last look',
    'gauge',
    () => cleaner.dirtiestRatio,
  );
  one(
    ['odradek_cleaner_uncleanable_logs', 'kafka_log_logcleanermanager_uncleanable_partitions_count'],
    'Logs with something in them that compaction cannot read',
    'gauge',
    () => cleaner.uncleanableCount,
  );
  one(
    'odradek_cleaner_waiting_logs',
    'Logs that are not compacted for want of room in their data directory',
    'gauge',
    () => cleaner.waitingCount,
  );
}

/** Asks the disk when it is read, and gives what was answered before: a scrape waits for no disk. */
class FreeRoom {
  readonly #directory: LogDirectory;
  #bytes: number | undefined;
  #isAsking = false;

  constructor(directory: LogDirectory) {
    this.#directory = directory;
  }

  read(): number | undefined {
    if (this.#directory.isOffline) return undefined;
    if (!this.#isAsking) void this.#ask();
    return this.#bytes;
  }

  async #ask(): Promise<void> {
    this.#isAsking = true;
    // Unknown rather than wrong: the directory itself notices a disk that fails.
    this.#bytes = await this.#directory.disk.freeBytes().catch(() => undefined);
    this.#isAsking = false;
  }
}
