/** What the groups see of the cluster's metadata. */
import type { MetadataImage } from '#metadata/image';
import type { Uuid } from '#model/ids';
import type { AssignableTopics } from './assignors.ts';

export type TopicsView = Pick<MetadataImage, 'index' | 'topic' | 'topicById' | 'topics' | 'brokers'>;

const NO_RACKS: ReadonlySet<string> = new Set();

/** For one assignment; the image may change afterwards. */
export function assignableTopics(view: TopicsView): AssignableTopics {
  const hasRacks = [...view.brokers.values()].some(({ rack }) => rack !== null);
  return {
    partitionCount: (topicId) => view.topicById(topicId)?.partitions.length ?? 0,
    racks: (topicId, partition) => (hasRacks ? racksOf(view, topicId, partition) : NO_RACKS),
  };
}

function racksOf(view: TopicsView, topicId: Uuid, partition: number): ReadonlySet<string> {
  const replicas = view.topicById(topicId)?.partitions[partition]?.replicas ?? [];
  const racks = new Set<string>();
  for (const replica of replicas) {
    const rack = view.brokers.get(replica)?.rack ?? null;
    if (rack !== null) racks.add(rack);
  }
  return racks;
}

export function topicIdsOf(names: Iterable<string>, view: Pick<TopicsView, 'topic'>): Set<Uuid> {
  const ids = new Set<Uuid>();
  for (const name of names) {
    const topic = view.topic(name);
    if (topic !== undefined) ids.add(topic.id);
  }
  return ids;
}

/**
 * Changes with the topics of these names: their ids, partitions and the racks of their replicas; 0 if none exists. Only
 * compared with itself (Kafka's is another function of the same), as a number that a record holds exactly.
 */
export function metadataHash(names: Iterable<string>, view: TopicsView): number {
  const topics = assignableTopics(view);
  let low = 0;
  let high = 0;
  for (const name of [...names].sort()) {
    const topic = view.topic(name);
    if (topic === undefined) continue;
    const text = [name, topic.id, topic.partitions.length];
    for (let partition = 0; partition < topic.partitions.length; partition += 1) {
      text.push([...topics.racks(topic.id, partition)].sort().join(','));
    }
    low = hash(JSON.stringify(text), low, 0x01000193);
    high = hash(JSON.stringify(text), high, 0x85ebca6b);
  }
  // 53 bits; 0 stands for no topics.
  return (high >>> 11) * 2 ** 32 + (low >>> 0);
}

/** FNV-1a over UTF-16 units, with a step of the caller's. */
function hash(text: string, seed: number, step: number): number {
  let value = seed ^ 0x811c9dc5;
  for (let index = 0; index < text.length; index += 1) value = Math.imul(value ^ text.charCodeAt(index), step);
  return value;
}
