import { ErrorCode } from '#model/errors';
import {
  type AlterReplicaLogDirsRequest,
  readAlterReplicaLogDirsRequest,
} from '#protocol/generated/alter-replica-log-dirs-request';
import { writeAlterReplicaLogDirsResponse } from '#protocol/generated/alter-replica-log-dirs-response';
import { ApiKey } from '#protocol/generated/apis';
import type { Broker } from '#runtime/broker';
import { api } from './api.ts';

interface Asked {
  readonly topic: string;
  readonly partition: number;
  readonly path: string;
}

/**
 * Replicas move to other data directories of this node (KIP-113). NONE: the replica is there, or is on its way, which DescribeLogDirs
 * shows, and goes on after a restart. A directory is not remembered for a replica that is not here yet.
 */
export const alterReplicaLogDirsApi = api(
  ApiKey.AlterReplicaLogDirs,
  readAlterReplicaLogDirsRequest,
  writeAlterReplicaLogDirsResponse,
  (request, { broker }) => {
    const results = askedMoves(request).map((asked) => ({
      topicName: asked.topic,
      partitionIndex: asked.partition,
      errorCode: alter(broker, asked),
    }));
    return {
      throttleTimeMs: 0,
      results: [...Map.groupBy(results, ({ topicName }) => topicName)].map(([topicName, partitions]) => ({
        topicName,
        partitions,
      })),
    };
  },
);

/** Each replica once, as Kafka does: the last directory that is named for it. */
function askedMoves({ dirs }: AlterReplicaLogDirsRequest): readonly Asked[] {
  const moves = dirs.flatMap(({ path, topics }) =>
    topics.flatMap(({ name: topic, partitions }) => partitions.map((partition) => ({ topic, partition, path }))),
  );
  return [...new Map(moves.map((move) => [`${move.topic}/${move.partition}`, move])).values()];
}

function alter({ store, partitions }: Broker, { topic, partition, path }: Asked): ErrorCode {
  const directory = store.directories.find(({ disk }) => disk.path === path);
  if (directory === undefined) return ErrorCode.LogDirNotFound;
  if (directory.isOffline) return ErrorCode.KafkaStorageError;
  const replica = partitions.replicaByName(topic, partition);
  if (replica === ErrorCode.NotLeaderOrFollower) return ErrorCode.ReplicaNotAvailable;
  if (typeof replica === 'number') return replica;
  if (replica.log === undefined) return ErrorCode.KafkaStorageError;
  if (replica.log.directory === directory) partitions.moves.cancel(replica);
  else if (directory.isFull) return ErrorCode.KafkaStorageError;
  else partitions.moves.begin(replica, directory);
  return ErrorCode.None;
}
