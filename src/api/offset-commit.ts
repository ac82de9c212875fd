import { ErrorCode } from '#model/errors';
import { ApiKey } from '#protocol/generated/apis';
import { readOffsetCommitRequest } from '#protocol/generated/offset-commit-request';
import { writeOffsetCommitResponse } from '#protocol/generated/offset-commit-response';
import { api } from './api.ts';
import { allAnswers, knownPartitions } from './known-partitions.ts';

const FIRST_WITH_GROUP_ID_NOT_FOUND = 9;
const FIRST_WITH_TOPIC_IDS = 10;

export const offsetCommitApi = api(
  ApiKey.OffsetCommit,
  readOffsetCommitRequest,
  writeOffsetCommitResponse,
  async (request, { broker, header }) => {
    const version = header.apiVersion;
    const byId = version >= FIRST_WITH_TOPIC_IDS;
    const matches = request.topics.map((asked) => ({
      asked,
      topic: byId ? broker.image.topicById(asked.topicId) : broker.image.topic(asked.name),
    }));
    const topics = knownPartitions(matches);
    const committed =
      topics.length === 0
        ? { topics: [] }
        : await broker.groups.offsetCommit({
            ...request,
            staleEpochKnown: version >= FIRST_WITH_GROUP_ID_NOT_FOUND,
            topics,
          });
    const unknownTopic = byId ? ErrorCode.UnknownTopicId : ErrorCode.UnknownTopicOrPartition;
    return {
      throttleTimeMs: 0,
      topics: allAnswers(matches, committed.topics, unknownTopic).map(({ asked, partitions }) => ({
        name: asked.name,
        topicId: asked.topicId,
        partitions: partitions.map(({ partitionIndex, errorCode }) => ({
          partitionIndex,
          errorCode: commitError(errorCode, version),
        })),
      })),
    };
  },
);

export function commitError(errorCode: ErrorCode, version: number): ErrorCode {
  if (errorCode !== ErrorCode.GroupIdNotFound || version >= FIRST_WITH_GROUP_ID_NOT_FOUND) return errorCode;
  return ErrorCode.IllegalGeneration;
}
