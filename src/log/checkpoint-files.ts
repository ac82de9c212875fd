import { javaPropertiesText, parseJavaProperties } from '#base/java-properties';
import type { Parsed } from '#base/parsed';
import { isUuid, type NodeId, type Offset, type Uuid } from '#model/ids';
import { checkpointText, parseCheckpointLines, parseCount } from './checkpoint-lines.ts';

/** One partition's offset in a data directory's recovery-point, log-start or high-watermark checkpoint. */
export interface OffsetCheckpointEntry {
  readonly topic: string;
  readonly partition: number;
  readonly offset: Offset;
}

/** `recovery-point-offset-checkpoint`, `log-start-offset-checkpoint`, `replication-offset-checkpoint`. */
export function offsetCheckpointText(entries: Iterable<OffsetCheckpointEntry>): string {
  return checkpointText(Array.from(entries, ({ topic, partition, offset }) => `${topic} ${partition} ${offset}`));
}

export function parseOffsetCheckpoint(text: string): Parsed<readonly OffsetCheckpointEntry[]> {
  const lines = parseCheckpointLines(text, 3);
  if (lines.error !== undefined) return lines;
  const entries: OffsetCheckpointEntry[] = [];
  for (const [topic = '', partitionText, offsetText] of lines.value) {
    const partition = parseCount(partitionText);
    const offset = parseCount(offsetText);
    if (partition === undefined || partition > 0x7fff_ffff || offset === undefined) {
      return { error: `malformed line: ${topic} ${partitionText} ${offsetText}` };
    }
    entries.push({ topic, partition, offset: offset as Offset });
  }
  return { value: entries };
}

/** `partition.metadata`: whose log the folder holds, because a topic may be deleted and made again (KIP-516). */
export function partitionMetadataText(topicId: Uuid): string {
  return `version: 0\ntopic_id: ${topicId}`;
}

export function parsePartitionMetadata(text: string): Parsed<Uuid> {
  const [, version, topicId] = /^version: (\S+)\r?\ntopic_id: (\S+)\s*$/.exec(text) ?? [];
  if (version === undefined || topicId === undefined) return { error: 'not a version and a topic id' };
  if (version !== '0') return { error: `unknown version: ${version}` };
  return isUuid(topicId) ? { value: topicId } : { error: `not a topic id: ${topicId}` };
}

/** Whose data directory it is: `meta.properties`, version 1. */
export interface MetaProperties {
  /** Undefined until the node has joined a cluster. */
  readonly clusterId: string | undefined;
  readonly directoryId: Uuid;
  readonly nodeId: NodeId;
}

export function metaPropertiesText({ clusterId, directoryId, nodeId }: MetaProperties): string {
  const entries: [string, string][] = [
    ['version', '1'],
    ['directory.id', directoryId],
    ['node.id', String(nodeId)],
  ];
  if (clusterId !== undefined) entries.push(['cluster.id', clusterId]);
  return javaPropertiesText(entries);
}

export function parseMetaProperties(text: string): Parsed<MetaProperties> {
  const parsed = parseJavaProperties(text);
  if (parsed.error !== undefined) return parsed;
  const properties = parsed.value;
  const version = properties.get('version')?.trim();
  if (version !== '1') return { error: version === undefined ? 'no version' : `unknown version: ${version}` };
  const directoryId = properties.get('directory.id')?.trim() ?? '';
  if (!isUuid(directoryId)) return { error: `not a directory id: ${directoryId}` };
  const nodeId = parseCount(properties.get('node.id')?.trim());
  if (nodeId === undefined || nodeId > 0x7fff_ffff) return { error: `not a node id: ${properties.get('node.id')}` };
  return { value: { clusterId: properties.get('cluster.id')?.trim(), directoryId, nodeId: nodeId as NodeId } };
}
