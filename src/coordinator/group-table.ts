import type { Mono } from '#base/ports';
import { ClassicGroup } from './classic-group.ts';
import type { ConsumerGroup } from './consumer-group.ts';
import { GROUPS_MAX, type GroupConfig } from './group-config.ts';
import { GroupOffsets } from './offsets.ts';
import { Schedule, type Scheduled } from './schedule.ts';
import { TransactionalOffsets } from './transactional-offsets.ts';

/** A group, whatever its kind, with what stays when the kind changes. */
export interface GroupEntry extends Scheduled {
  group: ClassicGroup | ConsumerGroup;
  readonly offsets: GroupOffsets;
}

/** The groups of a shard, what they have committed, and when each of them has something to do. */
export class GroupTable {
  /** What open transactions have stored, to count from their markers on. */
  readonly pending = new TransactionalOffsets();
  readonly #config: GroupConfig;
  /** Bounded by GROUPS_MAX: decisions that would make a group more are refused. */
  readonly #byId = new Map<string, GroupEntry>();
  readonly #schedule = new Schedule<GroupEntry>();

  constructor(config: GroupConfig) {
    this.#config = config;
  }

  get byId(): ReadonlyMap<string, GroupEntry> {
    return this.#byId;
  }

  get isFull(): boolean {
    return this.#byId.size >= GROUPS_MAX;
  }

  get(groupId: string): GroupEntry | undefined {
    return this.#byId.get(groupId);
  }

  /** Simple consumers may commit to the group without a name; there is nothing else to do in it. */
  named(groupId: string): GroupEntry | undefined {
    return groupId === '' ? undefined : this.#byId.get(groupId);
  }

  /** A new one is a trace of a classic group, until something more becomes of it. */
  getOrMake(groupId: string): GroupEntry {
    const present = this.#byId.get(groupId);
    if (present !== undefined) return present;
    const entry: GroupEntry = {
      group: new ClassicGroup(groupId, this.#config),
      offsets: new GroupOffsets(),
      dueAt: Number.POSITIVE_INFINITY,
      place: -1,
    };
    this.#byId.set(groupId, entry);
    return entry;
  }

  *groups(): Generator<ClassicGroup | ConsumerGroup> {
    for (const { group } of this.#byId.values()) yield group;
  }

  /** When the next group has something to do; Infinity if none ever has. */
  get nextDueAt(): Mono {
    return this.#schedule.nextDueAt;
  }

  /** Takes the entry out of those that are due: `touched` is to follow. */
  takeDue(now: Mono): GroupEntry | undefined {
    return this.#schedule.take(now);
  }

  /** The group is due when it says so. */
  schedule(entry: GroupEntry): void {
    this.#schedule.set(entry, entry.group.wakeAt);
  }

  /** After whatever may have changed the group: it goes if nothing is left of it. */
  touched(entry: GroupEntry): void {
    const { group, offsets } = entry;
    if (group.isTrace && offsets.isEmpty && !this.pending.hasPending(group.groupId)) this.#drop(entry);
    else this.schedule(entry);
  }

  /** The group is gone; what it has committed has tombstones of its own, and stays when it becomes one of another kind. */
  end(entry: GroupEntry): void {
    if (entry.offsets.isEmpty) return this.#drop(entry);
    entry.group = new ClassicGroup(entry.group.groupId, this.#config);
    this.#schedule.set(entry, Number.POSITIVE_INFINITY);
  }

  clear(): void {
    this.#byId.clear();
  }

  #drop(entry: GroupEntry): void {
    this.#schedule.set(entry, Number.POSITIVE_INFINITY);
    this.#byId.delete(entry.group.groupId);
  }
}
