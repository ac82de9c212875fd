/** The shape of every decision of the controller: what it reads, and what comes out (Kafka's ControllerResult). */
import type { Random } from '#base/ports';
import type { BrokerConfig } from '#model/broker-config';
import { topicDefaults } from '#model/config-layers';
import { ErrorCode } from '#model/errors';
import { parseBrokerConfig } from '#model/parse-broker-config';
import type { PlantedBugs } from '#model/planted-bugs';
import type { MetadataImage } from './image.ts';
import { type MetadataRecord, ResourceType } from './records.ts';

export interface ControllerState {
  /** Holds every record decided before. */
  readonly image: MetadataImage;
  readonly random: Random;
  /** The broker configs given at start (`ParsedBrokerConfig.given`): the cluster's defaults, as far as they are not derived. */
  readonly given: ReadonlyMap<string, string>;
  readonly planted: PlantedBugs;
}

/** The response holds once the records, which are one atomic entry, are committed. Without records it holds at once. */
export interface Decision<Response> {
  readonly records: readonly MetadataRecord[];
  readonly response: Response;
}

export interface Outcome {
  readonly errorCode: ErrorCode;
  /** Null when there is no error. */
  readonly message: string | null;
}

export interface Fault extends Outcome {
  readonly message: string;
}

export const OK: Outcome = { errorCode: ErrorCode.None, message: null };

export function fault(errorCode: ErrorCode, message: string): Fault {
  return { errorCode, message };
}

export function isFault(value: object): value is Fault {
  return 'errorCode' in value && value.errorCode !== ErrorCode.None;
}

/** A user's request may become so many partitions or records, so that no entry of the log grows out of bounds (as in Kafka). */
export const RECORDS_PER_REQUEST_MAX = 10_000;

export interface ClusterDefaults {
  readonly config: BrokerConfig;
  /** Of topics, by the topic config's name. */
  readonly topic: ReadonlyMap<string, string>;
}

/** What holds where a request says nothing. */
export function clusterDefaults({ image, given }: ControllerState): ClusterDefaults | Fault {
  const targetSize = image.cluster?.targetSize ?? 1;
  const parsed = parseBrokerConfig(given, targetSize);
  if ('errors' in parsed) return fault(ErrorCode.UnknownServerError, parsed.errors.join('; '));
  const clusterWide = image.configs(ResourceType.Broker, '');
  return {
    config: parsed.config,
    topic: topicDefaults({ perBroker: new Map(), clusterWide, given, targetSize }),
  };
}
