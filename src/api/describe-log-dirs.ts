import { ErrorCode } from '#model/errors';
import { ApiKey } from '#protocol/generated/apis';
import { type DescribeLogDirsRequest, readDescribeLogDirsRequest } from '#protocol/generated/describe-log-dirs-request';
import {
  type DescribeLogDirsResultInput,
  writeDescribeLogDirsResponse,
} from '#protocol/generated/describe-log-dirs-response';
import type { LogDirectory } from '#storage/log-directory';
import type { PartitionLog } from '#storage/partition-log';
import { api } from './api.ts';

const UNKNOWN_BYTES = -1;

/** What each data directory holds, and how much room it has (KIP-113, KIP-827). */
export const describeLogDirsApi = api(
  ApiKey.DescribeLogDirs,
  readDescribeLogDirsRequest,
  writeDescribeLogDirsResponse,
  async (request, { broker }) => {
    const asked = askedLogs(request);
    const logs = [...broker.store.logs()].filter((log) => asked(log.topic, log.partition));
    const results = await Promise.all(
      broker.store.directories.map((directory) =>
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

async function describeDirectory(
  directory: Pick<LogDirectory, 'disk' | 'isOffline'>,
  logs: readonly Pick<PartitionLog, 'topic' | 'partition' | 'sizeBytes'>[],
): Promise<DescribeLogDirsResultInput> {
  const { disk } = directory;
  if (directory.isOffline) return { errorCode: ErrorCode.KafkaStorageError, logDir: disk.path, topics: [] };
  const topics = [...Map.groupBy(logs, ({ topic }) => topic)].map(([name, ofTopic]) => ({
    name,
    partitions: ofTopic.map(({ partition, sizeBytes }) => ({
      partitionIndex: partition,
      partitionSize: sizeBytes,
      offsetLag: 0,
      isFutureKey: false,
    })),
  }));
  const [totalBytes, usableBytes] = await Promise.all([knownBytes(disk.totalBytes()), knownBytes(disk.freeBytes())]);
  return { errorCode: ErrorCode.None, logDir: disk.path, topics, totalBytes, usableBytes };
}

/** A disk that cannot say is still described. */
function knownBytes(asked: Promise<number>): Promise<number> {
  return asked.catch(() => UNKNOWN_BYTES);
}
