import { ErrorCode } from '#model/errors';
import { readApiVersionsRequest } from '#protocol/generated/api-versions-request';
import { type ApiVersionsResponseInput, writeApiVersionsResponse } from '#protocol/generated/api-versions-response';
import { offeredVersions } from '#protocol/offered-apis';
import { type ApiContext, api, respond } from './api.ts';

export const API_VERSIONS = 18;
const FIRST_WITH_CLIENT_SOFTWARE = 3;
/** Below it a client takes a feature's minimum of 0 for corrupt (KAFKA-17011). */
const FIRST_WITH_ZERO_MINIMUM = 4;
/** What Kafka accepts as the name and version of a client's software (KIP-511). */
const SOFTWARE = /^[a-zA-Z0-9](?:[a-zA-Z0-9\-.]*[a-zA-Z0-9])?$/;

export const apiVersionsApi = api(
  API_VERSIONS,
  readApiVersionsRequest,
  writeApiVersionsResponse,
  (request, context) => {
    const version = context.header.apiVersion;
    const named = SOFTWARE.test(request.clientSoftwareName) && SOFTWARE.test(request.clientSoftwareVersion);
    if (version >= FIRST_WITH_CLIENT_SOFTWARE && !named) return { errorCode: ErrorCode.InvalidRequest, apiKeys: [] };
    return answer(context, ErrorCode.None, version);
  },
);

/** A version that we do not know is answered in version 0, with the list that lets the client choose another (KIP-511). */
export function respondUnsupportedApiVersions(context: ApiContext, error: ErrorCode): void {
  const zero = { ...context, header: { ...context.header, apiVersion: 0 } };
  respond(zero, (writer) => writeApiVersionsResponse(writer, answer(context, error, 0), 0));
}

function answer(context: ApiContext, errorCode: ErrorCode, version: number): ApiVersionsResponseInput {
  const { broker } = context;
  const apiKeys = broker.servedApis.flatMap((apiKey) => {
    const offered = offeredVersions(apiKey);
    return offered === undefined ? [] : [{ apiKey, minVersion: offered.min, maxVersion: offered.max }];
  });
  const supportedFeatures = broker.supportedFeatures
    .filter((feature) => feature.min > 0 || version >= FIRST_WITH_ZERO_MINIMUM)
    .map(({ name, min, max }) => ({ name, minVersion: min, maxVersion: max }));
  const finalizedFeatures = [...broker.image.features.values()]
    .filter(({ level }) => level > 0)
    .map(({ name, level }) => ({ name, minVersionLevel: level, maxVersionLevel: level }));
  return {
    errorCode,
    apiKeys,
    throttleTimeMs: 0,
    supportedFeatures,
    finalizedFeaturesEpoch: broker.image.featuresEpoch,
    finalizedFeatures,
  };
}
