/** An image as the records that make an equal one. */
import { isSameReplica, type Voter } from '#model/voter';
import type { Cluster, Topic } from './image.ts';
import type {
  FeatureLevelRecord,
  MetadataRecord,
  ProducerIdsRecord,
  RegisteredBroker,
  ResourceType,
} from './records.ts';

/** The parts of an image at one moment: nothing in them changes any more, but for the arrays of partitions. */
export interface ImageParts {
  readonly cluster: Cluster | undefined;
  readonly features: Iterable<FeatureLevelRecord>;
  readonly brokers: Iterable<RegisteredBroker>;
  readonly topics: Iterable<Topic>;
  /** By `configKey`. */
  readonly configs: Iterable<readonly [string, ReadonlyMap<string, string>]>;
  readonly producerIds: ProducerIdsRecord | undefined;
}

/** What the parts describe is fixed by the call; the records are made one by one, as they are taken. */
export function snapshotRecords(parts: ImageParts): IterableIterator<MetadataRecord> {
  return recordsOf({
    ...parts,
    features: [...parts.features].sort((a, b) => compare(a.name, b.name)),
    brokers: [...parts.brokers].sort((a, b) => a.id - b.id),
    topics: [...parts.topics]
      .map((topic) => ({ ...topic, partitions: topic.partitions.slice() }))
      .sort((a, b) => compare(a.name, b.name)),
    configs: [...parts.configs]
      .map(([key, values]) => [key, new Map(values)] as const)
      .sort(([a], [b]) => compare(a, b)),
  });
}

function* recordsOf({ cluster, ...parts }: ImageParts): IterableIterator<MetadataRecord> {
  if (cluster !== undefined) yield* clusterRecords(cluster);
  yield* parts.features;
  for (const { draining, ...broker } of parts.brokers) {
    yield { kind: 'registerBroker', broker };
    const { id, brokerEpoch } = broker;
    if (draining) yield { kind: 'brokerChange', id, brokerEpoch, draining, directories: null };
  }
  for (const { name, id, partitions } of parts.topics) {
    yield { kind: 'topic', name, id };
    for (const state of partitions) yield { kind: 'partition', topicId: id, state };
  }
  for (const [resource, values] of parts.configs) {
    const [resourceType, resourceName] = splitConfigKey(resource);
    for (const [key, value] of [...values].sort(([a], [b]) => compare(a, b))) {
      yield { kind: 'config', resourceType, resourceName, key, value };
    }
  }
  if (parts.producerIds !== undefined) yield parts.producerIds;
}

function* clusterRecords({ id, founders, voters, joining, targetSize }: Cluster): IterableIterator<MetadataRecord> {
  yield { kind: 'bootstrap', clusterId: id, voters: founders, targetSize };
  const isUnchanged = voters.length === founders.length && voters.every((voter, i) => isSame(voter, founders[i]));
  if (joining !== null || !isUnchanged) yield { kind: 'voters', voters, joining };
}

function isSame(a: Voter, b: Voter | undefined): boolean {
  return b !== undefined && isSameReplica(a, b) && a.host === b.host && a.port === b.port;
}

export function configKey(type: ResourceType, name: string): string {
  return `${type}/${name}`;
}

export function splitConfigKey(key: string): readonly [ResourceType, string] {
  const slash = key.indexOf('/');
  return [Number(key.slice(0, slash)) as ResourceType, key.slice(slash + 1)];
}

/** By UTF-16 units: the same on every machine. */
function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
