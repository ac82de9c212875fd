import { isFault } from '#metadata/decision';
import type { DeletedTopic, TopicReference } from '#metadata/topics';
import { ErrorCode } from '#model/errors';
import { ZERO_UUID } from '#model/ids';
import { ApiKey } from '#protocol/generated/apis';
import { type DeleteTopicsRequest, readDeleteTopicsRequest } from '#protocol/generated/delete-topics-request';
import { type DeletableTopicResultInput, writeDeleteTopicsResponse } from '#protocol/generated/delete-topics-response';
import { api } from './api.ts';
import { askController } from './controller-call.ts';

const FIRST_WITH_DISABLED_ERROR = 3;
const FIRST_WITH_IDS = 6;

export const deleteTopicsApi = api(
  ApiKey.DeleteTopics,
  readDeleteTopicsRequest,
  writeDeleteTopicsResponse,
  async (request, { broker, header }) => {
    const topics = topicReferences(request, header.apiVersion);
    const deleted = await askController(broker, 'deleteTopics', { topics }, request.timeoutMs);
    const results = isFault(deleted) ? topics.map((topic) => ({ ...topic, ...deleted })) : deleted;
    return { throttleTimeMs: 0, responses: results.map((result) => deletedTopic(result, header.apiVersion)) };
  },
);

export function topicReferences(request: DeleteTopicsRequest, version: number): readonly TopicReference[] {
  if (version < FIRST_WITH_IDS) return request.topicNames.map((name) => ({ name, id: null }));
  return request.topics.map(({ name, topicId }) => ({ name, id: topicId === ZERO_UUID ? null : topicId }));
}

export function deletedTopic(
  { name, id, errorCode, message }: DeletedTopic,
  version: number,
): DeletableTopicResultInput {
  const disabled = errorCode === ErrorCode.TopicDeletionDisabled && version < FIRST_WITH_DISABLED_ERROR;
  return {
    name,
    topicId: id ?? ZERO_UUID,
    errorCode: disabled ? ErrorCode.InvalidRequest : errorCode,
    errorMessage: message,
  };
}
