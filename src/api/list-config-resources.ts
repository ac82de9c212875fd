import { unreachable } from '#base/assert';
import { ResourceType } from '#metadata/records';
import { ErrorCode } from '#model/errors';
import { ApiKey } from '#protocol/generated/apis';
import { readListConfigResourcesRequest } from '#protocol/generated/list-config-resources-request';
import { writeListConfigResourcesResponse } from '#protocol/generated/list-config-resources-response';
import { type ApiContext, api } from './api.ts';
import { clientBrokers } from './client-brokers.ts';

/** What has configs, by type (KIP-1142). Of groups those on which one is set: all there are, only their coordinators know. */
export const listConfigResourcesApi = api(
  ApiKey.ListConfigResources,
  readListConfigResourcesRequest,
  writeListConfigResourcesResponse,
  ({ resourceTypes }, context) => {
    const types = askedTypes(resourceTypes, context.header.apiVersion);
    return {
      throttleTimeMs: 0,
      errorCode: types === undefined ? ErrorCode.UnsupportedVersion : ErrorCode.None,
      configResources: (types ?? []).flatMap((resourceType) =>
        namesOf(resourceType, context).map((resourceName) => ({ resourceName, resourceType })),
      ),
    };
  },
);

/** All types, if none is asked for. Undefined if one is none of this version: the first was for client metrics alone (KIP-1000). */
function askedTypes(asked: readonly number[], version: number): readonly ResourceType[] | undefined {
  const known: readonly ResourceType[] = version === 0 ? [ResourceType.ClientMetrics] : Object.values(ResourceType);
  if (asked.length === 0) return known;
  const types = known.filter((type) => asked.includes(type));
  return types.length === new Set(asked).size ? types : undefined;
}

function namesOf(type: ResourceType, { broker: { image }, exchange }: ApiContext): readonly string[] {
  switch (type) {
    case ResourceType.Topic:
      return [...image.topics()].map(({ name }) => name);
    case ResourceType.Broker:
    case ResourceType.BrokerLogger:
      return clientBrokers(image, exchange.listenerName).map(({ nodeId }) => String(nodeId));
    case ResourceType.ClientMetrics:
    case ResourceType.Group:
      return [...image.configuredNames(type)];
    default:
      return unreachable(type);
  }
}
