import { type Fault, fault, isFault } from '#metadata/decision';
import { ResourceType } from '#metadata/records';
import {
  CONFIG_TYPE_CODES,
  type ConfigEntry,
  ConfigSource,
  describeBrokerConfigs,
  describeGroupConfigs,
  describeTopicConfigs,
} from '#model/config-layers';
import { ErrorCode } from '#model/errors';
import { validateTopicName } from '#model/topic-name';
import { ApiKey } from '#protocol/generated/apis';
import { readDescribeConfigsRequest } from '#protocol/generated/describe-configs-request';
import {
  type DescribeConfigsResourceResultInput,
  writeDescribeConfigsResponse,
} from '#protocol/generated/describe-configs-response';
import type { Broker } from '#runtime/broker';
import { api } from './api.ts';

export const describeConfigsApi = api(
  ApiKey.DescribeConfigs,
  readDescribeConfigsRequest,
  writeDescribeConfigsResponse,
  (request, { broker }) => ({
    throttleTimeMs: 0,
    results: request.resources.map(({ resourceType, resourceName, configurationKeys }) => {
      const resource = { resourceType, resourceName };
      const entries = describeResource(resourceType, resourceName, broker);
      if (isFault(entries))
        return { ...resource, errorCode: entries.errorCode, errorMessage: entries.message, configs: [] };
      // An empty list asks for all, as null does.
      const keys =
        configurationKeys === null || configurationKeys.length === 0 ? undefined : new Set(configurationKeys);
      const configs = entries.filter(({ name }) => keys?.has(name) ?? true).map((entry) => shown(entry, request));
      return { ...resource, errorCode: ErrorCode.None, errorMessage: null, configs };
    }),
  }),
);

export function describeResource(
  type: number,
  name: string,
  broker: Pick<Broker, 'image' | 'layers' | 'nodeId'>,
): readonly ConfigEntry[] | Fault {
  switch (type) {
    case ResourceType.Topic: {
      const problem = validateTopicName(name);
      if (problem !== undefined) return fault(ErrorCode.InvalidTopicException, problem);
      if (broker.image.topic(name) === undefined) {
        return fault(ErrorCode.UnknownTopicOrPartition, `The topic '${name}' does not exist.`);
      }
      return describeTopicConfigs(broker.image.configs(ResourceType.Topic, name), broker.layers);
    }
    case ResourceType.Group:
      if (name === '') return fault(ErrorCode.InvalidRequest, 'Group name must not be empty.');
      return describeGroupConfigs(broker.image.configs(ResourceType.Group, name), broker.layers);
    case ResourceType.Broker:
      if (name === '') return clusterWideConfigs(broker);
      return refuseOtherBroker(name, broker) ?? describeBrokerConfigs(broker.layers);
    case ResourceType.BrokerLogger:
      // KIP-412. Log levels are given at start; none can be changed by name at run time.
      if (name === '') return fault(ErrorCode.InvalidRequest, 'Broker id must not be empty');
      return refuseOtherBroker(name, broker) ?? [];
    default:
      return fault(ErrorCode.InvalidRequest, `Unsupported resource type: ${type}`);
  }
}

/** Only what was set at run time for all brokers. */
function clusterWideConfigs(broker: Pick<Broker, 'layers'>): readonly ConfigEntry[] {
  const entries = describeBrokerConfigs({ ...broker.layers, perBroker: new Map() });
  return entries
    .filter(({ source }) => source === ConfigSource.DynamicDefaultBroker)
    .map((entry) => ({ ...entry, synonyms: entry.synonyms.filter(({ source }) => source === entry.source) }));
}

/** Each broker describes itself. */
function refuseOtherBroker(name: string, { nodeId }: Pick<Broker, 'nodeId'>): Fault | undefined {
  if (name === String(nodeId)) return undefined;
  const message = /^-?\d+$/.test(name)
    ? `Unexpected broker id, expected ${nodeId} or empty string, but received ${name}`
    : `Broker id must be an integer, but it is: ${name}`;
  return fault(ErrorCode.InvalidRequest, message);
}

function shown(
  entry: ConfigEntry,
  request: { readonly includeSynonyms: boolean; readonly includeDocumentation: boolean },
): DescribeConfigsResourceResultInput {
  const { name, value, source, type, doc, readOnly, synonyms } = entry;
  return {
    name,
    value,
    readOnly,
    configSource: source,
    isSensitive: false,
    synonyms: request.includeSynonyms ? synonyms : [],
    configType: CONFIG_TYPE_CODES[type],
    documentation: request.includeDocumentation ? doc : null,
  };
}
