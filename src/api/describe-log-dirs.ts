import { ErrorCode } from '#model/errors';
import { ApiKey } from '#protocol/generated/apis';
import { type DescribeLogDirsRequest, readDescribeLogDirsRequest } from '#protocol/generated/describe-log-dirs-request';
import {
  type DescribeLogDirsPartitionInput,
  type DescribeLogDirsResultInput,
  writeDescribeLogDirsResponse,
} from '#protocol/generated/describe-log-dirs-response';
import type { Broker } from '#runtime/broker';
import type { LogDirectory } from '#storage/log-directory';
import type { PartitionLog } from '#storage/partition-log';
import { api } from './api.ts';

const UNKNOWN_BYTES = -1;
/** Of a log whose partition is not served. */
const UNKNOWN_LAG = -1;

/** What each data directory holds, and how much room it has (KIP-113, KIP-827). */
export const describeLogDirsApi = api(
  ApiKey.DescribeLogDirs,
  readDescribeLogDirsRequest,
  writeDescribeLogDirsResponse,
  async (request, { broker }) => {
    const asked = askedLogs(request);
    const { store } = broker;
    const logs = [
      ...[...store.logs()].map((log) => described(broker, log, false)),
      ...[...store.futures()].map((log) => described(broker, log, true)),
    ].filter(({ topic, partitionIndex }) => asked(topic, partitionIndex));
    const results = await Promise.all(
      store.directories.map((directory) =>
        describeDirectory(
          directory,
          logs.filter((log) => log.directory === directory),
        ),
      ),
    );
    return { throttleTimeMs: 0, errorCode: ErrorCode.None, results };
  },
);

/** Null asks for every log. */
function askedLogs({ topics }: DescribeLogDirsRequest): (topic: string, partition: number) => boolean {
  if (topics === null) return () => true;
  const asked = new Set(
    topics.flatMap(({ topic, partitions }) => partitions.map((partition) => `${topic}/${partition}`)),
  );
  return (topic, partition) => asked.has(`${topic}/${partition}`);
}

interface DescribedLog extends DescribeLogDirsPartitionInput {
  readonly topic: string;
  readonly directory: LogDirectory;
}

/** A follower is behind what its leader has committed, a future log behind the one that it is to replace. */
function described({ partitions }: Broker, log: PartitionLog, isFutureKey: boolean): DescribedLog {
  const { topic, partition: partitionIndex, directory, sizeBytes: partitionSize } = log;
  const replica = partitions.replicaByName(topic, partitionIndex);
  const current = typeof replica === 'number' ? undefined : replica.log;
  let offsetLag = UNKNOWN_LAG;
  if (typeof replica !== 'number' && current !== undefined)
    offsetLag = isFutureKey ? Math.max(0, current.logEndOffset - log.logEndOffset) : replica.offsetLag;
  return { topic, directory, partitionIndex, partitionSize, offsetLag, isFutureKey };
}

async function describeDirectory(
  directory: LogDirectory,
  logs: readonly DescribedLog[],
): Promise<DescribeLogDirsResultInput> {
  const { disk } = directory;
  if (directory.isOffline) return { errorCode: ErrorCode.KafkaStorageError, logDir: disk.path, topics: [] };
  const topics = [...Map.groupBy(logs, ({ topic }) => topic)].map(([name, partitions]) => ({ name, partitions }));
  const [totalBytes, usableBytes] = await Promise.all([knownBytes(disk.totalBytes()), knownBytes(disk.freeBytes())]);
  return { errorCode: ErrorCode.None, logDir: disk.path, topics, totalBytes, usableBytes };
}

/** A disk that cannot say is still described. */
function knownBytes(asked: Promise<number>): Promise<number> {
  return asked.catch(() => UNKNOWN_BYTES);
}
