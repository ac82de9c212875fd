import { unreachable } from '#base/assert';
import type { Timestamp } from '#base/ports';
import type { PlantedBugs } from '#model/planted-bugs';
import type { GroupMetadataValue } from '#protocol/generated/group-metadata-value';
import { ClassicGroup } from './classic-group.ts';
import { ConsumerGroup } from './consumer-group.ts';
import type { ConsumerChange } from './consumer-records.ts';
import type { CoordinatorRecord } from './effects.ts';
import { GroupType } from './group-commands.ts';
import type { GroupConfig } from './group-config.ts';
import { type GroupRecord, readGroupRecord } from './group-records.ts';
import type { GroupTable } from './group-table.ts';

/** What the log does to a shard's groups: nothing else changes what is logged of them. */
export class GroupReplay {
  readonly #table: GroupTable;
  readonly #config: GroupConfig;
  readonly #planted: PlantedBugs;
  /** What comes now was decided here: groups are due, and parked requests wait for it. */
  #isLoaded = false;

  constructor(table: GroupTable, config: GroupConfig, planted: PlantedBugs) {
    this.#table = table;
    this.#config = config;
    this.#planted = planted;
  }

  loaded(): void {
    this.#isLoaded = true;
  }

  /** See GroupShard.replay. */
  record(record: CoordinatorRecord, writtenAt: Timestamp, producerId: number | undefined): string | undefined {
    const read = readGroupRecord(record);
    switch (read.kind) {
      case 'offset':
        this.#offset(read, producerId);
        return read.groupId;
      case 'group':
        this.#classic(read.groupId, read.value);
        return read.groupId;
      case 'consumer':
        this.#consumer(read.groupId, read.change, writtenAt);
        return read.groupId;
      case 'unknown':
        return undefined;
      default:
        return unreachable(read);
    }
  }

  /** See GroupShard.replayMarker. */
  marker(producerId: number, aborted: boolean): readonly string[] {
    const ended = this.#table.pending.end(producerId, aborted);
    for (const { groupId, topic, partition, value, counts } of ended) {
      const entry = this.#table.getOrMake(groupId);
      // PLANTED BUG aborted-offsets-count: whatever the marker says.
      if (counts || this.#planted.has('aborted-offsets-count')) entry.offsets.replay(topic, partition, value);
      this.#table.touched(entry);
    }
    return ended.map(({ groupId }) => groupId);
  }

  #offset(
    { groupId, topic, partition, value }: GroupRecord & { kind: 'offset' },
    producerId: number | undefined,
  ): void {
    const { pending } = this.#table;
    const entry = value === undefined ? this.#table.get(groupId) : this.#table.getOrMake(groupId);
    if (value !== undefined && producerId !== undefined) {
      pending.replay(producerId, groupId, topic, partition, value);
      return;
    }
    if (value === undefined) pending.delete(groupId, topic, partition);
    else pending.overtake(groupId, topic, partition);
    entry?.offsets.replay(topic, partition, value);
  }

  #classic(groupId: string, value: GroupMetadataValue | undefined): void {
    const entry = this.#table.get(groupId);
    if (value === undefined) {
      if (entry?.group.kind === GroupType.Classic) this.#table.end(entry);
      return;
    }
    const present = entry?.group;
    if (this.#isLoaded && present?.kind === GroupType.Classic && !present.isTrace) {
      present.replayed(value);
      return;
    }
    const restored = this.#table.getOrMake(groupId);
    // PLANTED BUG generation-forgotten-at-load: generations begin anew with each coordinator.
    const generation = this.#planted.has('generation-forgotten-at-load') ? 0 : value.generation;
    const group = ClassicGroup.restored(groupId, { ...value, generation }, this.#config);
    restored.group = group;
    if (!this.#isLoaded) return;
    group.converted();
    this.#table.schedule(restored);
  }

  #consumer(groupId: string, change: ConsumerChange, writtenAt: Timestamp): void {
    const entry = this.#table.get(groupId);
    const isTombstone = !('value' in change) || change.value === undefined;
    if (entry?.group.kind === GroupType.Consumer) {
      if (isTombstone && change.of === 'group') {
        this.#table.end(entry);
        return;
      }
      entry.group.replay(change, writtenAt);
      this.#table.schedule(entry);
    } else if (!isTombstone) {
      const made = this.#table.getOrMake(groupId);
      const group = new ConsumerGroup(groupId);
      made.group = group;
      group.replay(change, writtenAt);
      this.#table.schedule(made);
    }
  }
}
