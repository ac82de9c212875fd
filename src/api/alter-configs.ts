import type { AlteredConfigs, AlteredResource } from '#metadata/configs';
import { type Fault, isFault } from '#metadata/decision';
import { readAlterConfigsRequest } from '#protocol/generated/alter-configs-request';
import { writeAlterConfigsResponse } from '#protocol/generated/alter-configs-response';
import { ApiKey } from '#protocol/generated/apis';
import { readIncrementalAlterConfigsRequest } from '#protocol/generated/incremental-alter-configs-request';
import { writeIncrementalAlterConfigsResponse } from '#protocol/generated/incremental-alter-configs-response';
import { api } from './api.ts';
import { askController } from './controller-call.ts';

/** What the request does not name is taken away: the older way, which loses concurrent changes. */
export const alterConfigsApi = api(
  ApiKey.AlterConfigs,
  readAlterConfigsRequest,
  writeAlterConfigsResponse,
  async (request, { broker }) => {
    const resources = request.resources.map(({ resourceType, resourceName, configs }) => ({
      type: resourceType,
      name: resourceName,
      changes: configs.map(({ name, value }) => ({ key: name, value })),
    }));
    const command = { resources, validateOnly: request.validateOnly };
    const altered = await askController(broker, 'alterConfigs', command, broker.config.requestTimeoutMs);
    return { throttleTimeMs: 0, responses: alteredResources(resources, altered) };
  },
);

/** KIP-339. */
export const incrementalAlterConfigsApi = api(
  ApiKey.IncrementalAlterConfigs,
  readIncrementalAlterConfigsRequest,
  writeIncrementalAlterConfigsResponse,
  async (request, { broker }) => {
    const resources = request.resources.map(({ resourceType, resourceName, configs }) => ({
      type: resourceType,
      name: resourceName,
      changes: configs.map(({ name, configOperation, value }) => ({ key: name, operation: configOperation, value })),
    }));
    const command = { resources, validateOnly: request.validateOnly };
    const altered = await askController(broker, 'incrementalAlterConfigs', command, broker.config.requestTimeoutMs);
    return { throttleTimeMs: 0, responses: alteredResources(resources, altered) };
  },
);

function alteredResources(asked: readonly AlteredResource<unknown>[], altered: readonly AlteredConfigs[] | Fault) {
  const results = isFault(altered) ? asked.map(({ type, name }) => ({ type, name, ...altered })) : altered;
  return results.map(({ type, name, errorCode, message }) => ({
    resourceType: type,
    resourceName: name,
    errorCode,
    errorMessage: message,
  }));
}
