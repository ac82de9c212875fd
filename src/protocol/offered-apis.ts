/** Which versions a broker offers (ApiVersions), of the APIs that it implements. */
import { ApiKey } from './generated/apis.ts';
import { findApi } from './headers.ts';

export interface VersionRange {
  readonly min: number;
  readonly max: number;
}

/**
 * The versions that Kafka 4.3.1's broker offers: all that have a schema, but for a last one that is not stable yet.
 * Undefined: the API is unknown or only for controllers.
 */
export function offeredVersions(apiKey: number): VersionRange | undefined {
  const api = findApi(apiKey);
  if (api === undefined || !api.onBroker) return undefined;
  // librdkafka takes a broker without Produce 0 for one that knows no compression (KAFKA-18659); 0 to 2 are refused when used.
  const min = apiKey === ApiKey.Produce ? 0 : api.minVersion;
  return { min, max: api.maxVersion - (api.latestVersionUnstable ? 1 : 0) };
}
