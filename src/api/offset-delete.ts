import { ErrorCode } from '#model/errors';
import { ApiKey } from '#protocol/generated/apis';
import { readOffsetDeleteRequest } from '#protocol/generated/offset-delete-request';
import { writeOffsetDeleteResponse } from '#protocol/generated/offset-delete-response';
import { api } from './api.ts';
import { allAnswers, knownPartitions } from './known-partitions.ts';

/** Refused for topics that the group consumes (KIP-496). */
export const offsetDeleteApi = api(
  ApiKey.OffsetDelete,
  readOffsetDeleteRequest,
  writeOffsetDeleteResponse,
  async ({ groupId, topics: askedTopics }, { broker }) => {
    const matches = askedTopics.map((asked) => ({ asked, topic: broker.image.topic(asked.name) }));
    const topics = knownPartitions(matches);
    const nothing = { errorCode: ErrorCode.None, topics: [] };
    const deleted = topics.length === 0 ? nothing : await broker.groups.offsetDelete({ groupId, topics });
    if (deleted.errorCode !== ErrorCode.None) return { errorCode: deleted.errorCode, throttleTimeMs: 0, topics: [] };
    const answers = allAnswers(matches, deleted.topics, ErrorCode.UnknownTopicOrPartition);
    const answered = answers.map(({ asked, partitions }) => ({ name: asked.name, partitions }));
    return { errorCode: ErrorCode.None, throttleTimeMs: 0, topics: answered };
  },
);
