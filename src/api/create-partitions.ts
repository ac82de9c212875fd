import { isFault } from '#metadata/decision';
import { ApiKey } from '#protocol/generated/apis';
import { readCreatePartitionsRequest } from '#protocol/generated/create-partitions-request';
import { writeCreatePartitionsResponse } from '#protocol/generated/create-partitions-response';
import { api } from './api.ts';
import { askController } from './controller-call.ts';

/** Answered when the partitions are open. */
export const createPartitionsApi = api(
  ApiKey.CreatePartitions,
  readCreatePartitionsRequest,
  writeCreatePartitionsResponse,
  async (request, { broker }) => {
    const { validateOnly, timeoutMs } = request;
    const topics = request.topics.map(({ name, count, assignments }) => ({
      name,
      partitionCount: count,
      assignments: assignments?.map(({ brokerIds }) => brokerIds) ?? null,
    }));
    const created = await askController(broker, 'createPartitions', { topics, validateOnly }, timeoutMs);
    const names = [...new Set(topics.map(({ name }) => name))];
    const results = isFault(created) ? names.map((name) => ({ name, ...created })) : created;
    return {
      throttleTimeMs: 0,
      results: results.map(({ name, errorCode, message }) => ({ name, errorCode, errorMessage: message })),
    };
  },
);
