import type { Metrics } from '#base/ports';
import type { EndOffsets } from '#runtime/end-offsets';
import type { GroupHost } from '#runtime/group-host';
import { oneOf } from './one.ts';

/** An offset that a group has committed. */
interface Committed {
  readonly group: string;
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
}

/** The consumer groups that this node coordinates, and how far they are behind. `limit`: pairs of group and partition beyond it have no series. */
export function groupMetrics(metrics: Metrics, groups: GroupHost, ends: EndOffsets, limit: number): void {
  const lagOf = ({ topic, partition, offset }: Committed): number | undefined => {
    const end = ends.of(topic, partition);
    return end === undefined ? undefined : Math.max(0, end - offset);
  };
  const lagSecondsOf = ({ topic, partition, offset }: Committed): number | undefined => {
    const presentMs = ends.presentMs(topic, partition, offset);
    return presentMs === undefined ? undefined : presentMs / 1000;
  };
  const offsetOf = ({ offset }: Committed): number => offset;

  for (const [name, label] of [
    ['odradek_group_members', 'group'],
    ['kafka_consumergroup_members', 'consumergroup'],
  ] as const)
    metrics.series(name, 'Members of a consumer group; from its coordinator', 'gauge', function* () {
      let count = 0;
      for (const { groupId, memberCount } of groups.observed()) {
        if (count === limit) return;
        count += 1;
        yield [{ [label]: groupId }, memberCount];
      }
    });
  metrics.series('odradek_groups', 'Groups by type and state; from their coordinator', 'gauge', function* () {
    const counts = new Map<string, { readonly type: string; readonly state: string; count: number }>();
    for (const { type, state } of groups.observed()) {
      const counted = counts.get(`${type} ${state}`);
      if (counted === undefined) counts.set(`${type} ${state}`, { type, state, count: 1 });
      else counted.count += 1;
    }
    for (const { type, state, count } of counts.values()) yield [{ type, state }, count];
  });
  const each = (name: string, label: string, help: string, read: (committed: Committed) => number | undefined): void =>
    metrics.series(name, help, 'gauge', function* () {
      for (const committed of committedHere(groups, limit)) {
        const { group, topic, partition } = committed;
        const value = read(committed);
        if (value !== undefined) yield [{ [label]: group, topic, partition: String(partition) }, value];
      }
    });
  const committedHelp = 'The offset that a consumer group has committed; from its coordinator';
  const lagHelp = 'Records between what a consumer group has committed and the high watermark; from its coordinator';
  each('odradek_group_committed_offset', 'group', committedHelp, offsetOf);
  each('kafka_consumergroup_current_offset', 'consumergroup', committedHelp, offsetOf);
  each('odradek_group_lag_records', 'group', lagHelp, lagOf);
  each('kafka_consumergroup_lag', 'consumergroup', lagHelp, lagOf);
  const lagSecondsHelp =
    'How long the first record has been there that a consumer group has not committed; from its coordinator';
  each('odradek_group_lag_seconds', 'group', lagSecondsHelp, lagSecondsOf);

  const summed = (name: string, help: string, read: (committed: Committed) => number | undefined): void =>
    metrics.series(name, help, 'gauge', function* () {
      for (const { group, topic, sum } of sumsOf(committedHere(groups, limit), read))
        yield [{ consumergroup: group, topic }, sum];
    });
  summed('kafka_consumergroup_current_offset_sum', 'Of all partitions of a topic', offsetOf);
  summed('kafka_consumergroup_lag_sum', 'Of all partitions of a topic', lagOf);

  const one = oneOf(metrics);
  one(
    'odradek_group_end_offsets_age_seconds',
    'Age of the oldest high watermark that a lag is told by',
    'gauge',
    () => {
      return ends.ageMs / 1000;
    },
  );
  one(
    'odradek_metrics_dropped_group_partitions',
    'Committed offsets that have no series, by metrics.partition.limit',
    'gauge',
    () => {
      let total = 0;
      for (const { offsets } of groups.observed())
        for (const [, partitions] of offsets.topics()) total += partitions.size;
      return Math.max(0, total - limit);
    },
  );
}

function* committedHere(groups: GroupHost, limit: number): IterableIterator<Committed> {
  let count = 0;
  for (const { groupId: group, offsets } of groups.observed())
    for (const [topic, partitions] of offsets.topics())
      for (const [partition, { offset }] of partitions) {
        if (count === limit) return;
        count += 1;
        yield { group, topic, partition, offset };
      }
}

/** The offsets of a group and topic come one after another. Where one is not known, the sum is of the others. */
function* sumsOf(
  committed: Iterable<Committed>,
  read: (committed: Committed) => number | undefined,
): IterableIterator<{ readonly group: string; readonly topic: string; readonly sum: number }> {
  let current: { readonly group: string; readonly topic: string; sum: number } | undefined;
  for (const each of committed) {
    if (current === undefined || current.group !== each.group || current.topic !== each.topic) {
      if (current !== undefined) yield current;
      current = { group: each.group, topic: each.topic, sum: 0 };
    }
    current.sum += read(each) ?? 0;
  }
  if (current !== undefined) yield current;
}
