import { assert } from '#base/assert';
import { type Offset, offset, partitionName } from '#model/ids';
import { parseCount } from './checkpoint-lines.ts';

/** The files of a data directory and of a log's folder, as Kafka names them. */
export const LEADER_EPOCH_CHECKPOINT = 'leader-epoch-checkpoint';
export const PARTITION_METADATA = 'partition.metadata';
export const META_PROPERTIES = 'meta.properties';
export const RECOVERY_POINT_CHECKPOINT = 'recovery-point-offset-checkpoint';
export const LOG_START_CHECKPOINT = 'log-start-offset-checkpoint';
export const CLEANER_CHECKPOINT = 'cleaner-offset-checkpoint';
export const HIGH_WATERMARK_CHECKPOINT = 'replication-offset-checkpoint';
export const CLEAN_SHUTDOWN_MARKER = '.kafka_cleanshutdown';

/** `.snapshot` is the producer state as of the offset in its name, which is a segment's base or, at a clean end, the log's. */
export type SegmentExtension = '.log' | '.index' | '.timeindex' | '.txnindex' | '.snapshot';
/**
 * What a crash leaves a file in: `.deleted` waits for its removal; `.cleaned` is a cleaner's unfinished output, thrown away;
 * `.swap` is its finished output, which takes the place of the segments that it covers.
 */
export type SegmentSuffix = '' | '.deleted' | '.cleaned' | '.swap';

export interface SegmentFile {
  readonly baseOffset: Offset;
  readonly extension: SegmentExtension;
  readonly suffix: SegmentSuffix;
}

const OFFSET_DIGITS = 20;
const SEGMENT_FILE = /^(\d{20})(\.log|\.index|\.timeindex|\.txnindex|\.snapshot)(|\.deleted|\.cleaned|\.swap)$/;

export function segmentFileName(baseOffset: Offset, extension: SegmentExtension, suffix: SegmentSuffix = ''): string {
  return `${String(baseOffset).padStart(OFFSET_DIGITS, '0')}${extension}${suffix}`;
}

/** Undefined for files that belong to no segment. */
export function parseSegmentFileName(name: string): SegmentFile | undefined {
  const [, digits, extension, suffix] = SEGMENT_FILE.exec(name) ?? [];
  const baseOffset = parseCount(digits?.replace(/^0+(?=\d)/, ''));
  if (baseOffset === undefined) return undefined;
  return {
    baseOffset: offset(baseOffset),
    extension: extension as SegmentExtension,
    suffix: suffix as SegmentSuffix,
  };
}

/**
 * `-delete` is removed in the background; `-stray` was set aside, because metadata does not know it; `-future` is a replica on its way
 * from another directory: none of them is served.
 */
export type LogDirSuffix = '-delete' | '-stray' | '-future';

export interface LogDirName {
  readonly topic: string;
  readonly partition: number;
  readonly suffix: '' | LogDirSuffix;
}

const NAME_LENGTH_MAX = 255;
const LIVE_LOG = /^([^\s/]+)-(0|[1-9]\d{0,9})$/;
const RENAMED_LOG = /^([^\s/]+)-(0|[1-9]\d{0,9})\.([0-9a-f]{32})(-delete|-stray|-future)$/;

export function logDirName(topic: string, partition: number): string {
  return partitionName(topic, partition);
}

/** `unique` is 32 hex digits: a topic may be made and deleted again. Long topic names are cut to what a folder may be called. */
export function renamedLogDirName(topic: string, partition: number, unique: string, suffix: LogDirSuffix): string {
  assert(/^[0-9a-f]{32}$/.test(unique), `not 32 hex digits: ${unique}`);
  const rest = `-${partition}.${unique}${suffix}`;
  return topic.slice(0, NAME_LENGTH_MAX - rest.length) + rest;
}

/** A topic may hold dashes; the last one is what parts it from the partition. Undefined for folders that are no logs. */
export function parseLogDirName(name: string): LogDirName | undefined {
  const [, topic, digits, , suffix = ''] = RENAMED_LOG.exec(name) ?? LIVE_LOG.exec(name) ?? [];
  if (topic === undefined) return undefined;
  const partition = Number(digits);
  return partition <= 0x7fff_ffff ? { topic, partition, suffix: suffix as LogDirName['suffix'] } : undefined;
}
