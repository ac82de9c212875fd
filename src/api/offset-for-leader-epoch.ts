import { ErrorCode } from '#model/errors';
import { readOffsetForLeaderEpochRequest } from '#protocol/generated/offset-for-leader-epoch-request';
import { writeOffsetForLeaderEpochResponse } from '#protocol/generated/offset-for-leader-epoch-response';
import { api } from './api.ts';

const OFFSET_FOR_LEADER_EPOCH = 23;

/** Where an epoch of the log ends: how consumers find that the log was truncated below them (KIP-320). */
export const offsetForLeaderEpochApi = api(
  OFFSET_FOR_LEADER_EPOCH,
  readOffsetForLeaderEpochRequest,
  writeOffsetForLeaderEpochResponse,
  (request, { broker }) => ({
    throttleTimeMs: 0,
    topics: request.topics.map(({ topic, partitions }) => ({
      topic,
      partitions: partitions.map(({ partition, currentLeaderEpoch, leaderEpoch }) => {
        const refused = (errorCode: ErrorCode) => ({ errorCode, partition, leaderEpoch: -1, endOffset: -1 });
        const found = broker.partitions.findByName(topic, partition, currentLeaderEpoch);
        if (typeof found === 'number') return refused(found);
        const epochError = found.checkLeaderEpoch(currentLeaderEpoch);
        if (epochError !== ErrorCode.None) return refused(epochError);
        if (found.log === undefined) return refused(ErrorCode.KafkaStorageError);
        const end = found.endOffsetFor(leaderEpoch);
        return { errorCode: ErrorCode.None, partition, leaderEpoch: end?.epoch ?? -1, endOffset: end?.endOffset ?? -1 };
      }),
    })),
  }),
);
