import { beforeEach, describe, expect, test } from 'vitest';
import type { MetadataImage } from '#metadata/image';
import type { Partition } from '#metadata/records';
import { type Uuid, uuid } from '#model/ids';
import { type ReplicaHost, ReplicationChecker } from '#sim/checkers/replication-checker';
import type { ReplicaView } from '#sim/node-view';

const TOPIC_ID = uuid('AAAAAAAAAAAAAAAAAAAAAQ');
const MIN_ISR = 2;

type Mutable<T> = { -readonly [Key in keyof T]: T[Key] };
interface Log {
  logStartOffset: number;
  logEndOffset: number;
  durableOffset: number;
  epochs: { entries: { epoch: number; startOffset: number }[] };
}

/** Three replicas of one partition, as they and the metadata are to be seen. */
class Stage {
  readonly views = [1, 2, 3].map((id) => viewOf(id));
  readonly names = ['n1#1', 'n2#1', 'n3#1'];
  wiped = new Set<number>();
  /** Their replicas have moved away. */
  readonly gone = new Set<number>();
  /** flush.policy=os */
  readonly #isVolatile: boolean;
  flushPolicy: 'os' | 'fsync' = 'os';
  now = 60_000;
  minIsr = MIN_ISR;
  /** By the metadata that the nodes have. */
  knownMinIsr: number | undefined;
  readonly losses: unknown[] = [];
  readonly brokerEpochs = [1, 2, 3];
  /** By broker, where its disk is read. */
  readonly endsOnDisk = new Map<number, number>();
  state: Partition = stateOf({});
  readonly checker = new ReplicationChecker(
    {
      reference: () => this.#reference(),
      isDiskOf: (id) => !this.wiped.has(id),
      now: () => this.now,
      isVolatile: () => this.#isVolatile,
      lost: (...loss) => this.losses.push(loss),
      sometimes: () => {},
    },
    (topic) => topic === 'data',
  );
  readonly #hosts: readonly ReplicaHost[] = [1, 2, 3].map((id) => {
    const { names } = this;
    return {
      id,
      get name() {
        return names[id - 1] ?? '';
      },
      replicas: () => (this.gone.has(id) ? [] : [this.views[id - 1] as ReplicaView]),
      image: () => (this.knownMinIsr === undefined ? undefined : this.#reference(this.knownMinIsr)),
      endOnDisk: () => this.endsOnDisk.get(id),
    };
  });

  constructor(isVolatile: boolean) {
    this.#isVolatile = isVolatile;
  }

  /** Records of an epoch are on the disks of these. */
  write(end: number, ...ids: readonly number[]): void {
    for (const id of ids) {
      const log = this.log(id);
      log.logEndOffset = end;
      log.durableOffset = end;
    }
  }

  view(id: number): Mutable<ReplicaView> {
    return this.views[id - 1] as Mutable<ReplicaView>;
  }

  log(id: number): Log {
    return this.view(id).log as unknown as Log;
  }

  /** Its power goes; a new process finds what is left, and the metadata do not know of it yet. */
  crash(id: number, left: number): void {
    this.checker.crashed(id, () => left);
    this.names[id - 1] = `n${id}#2`;
    this.views[id - 1] = { ...viewOf(id), leads: false, isReady: false };
    this.write(left, id);
  }

  /** It is registered anew. */
  register(id: number): void {
    this.brokerEpochs[id - 1] = 10 + id;
  }

  look(): void {
    this.checker.metadataChanged();
    for (const host of this.#hosts) this.checker.look(host);
  }

  #reference(minIsr = this.minIsr): MetadataImage {
    const topics = () => [{ id: TOPIC_ID, name: 'data', partitions: [this.state] }];
    const configs = () =>
      new Map([
        ['min.insync.replicas', String(minIsr)],
        ['flush.policy', this.flushPolicy],
      ]);
    const brokers = new Map(this.brokerEpochs.map((brokerEpoch, index) => [index + 1, { brokerEpoch }]));
    const partition = () => this.state;
    return { topics, configs, brokers, partition } as unknown as MetadataImage;
  }
}

function viewOf(id: number): Mutable<ReplicaView> {
  const log: Log = {
    logStartOffset: 0,
    logEndOffset: 0,
    durableOffset: 0,
    epochs: { entries: [{ epoch: 0, startOffset: 0 }] },
  };
  return {
    topic: 'data',
    topicId: TOPIC_ID,
    index: 0,
    leaderEpoch: 0,
    leads: id === 1,
    isReady: true,
    isBeingCut: false,
    highWatermark: 0,
    log: log as unknown as NonNullable<ReplicaView['log']>,
  };
}

function stateOf(given: Partial<Record<keyof Partition, unknown>>): Partition {
  const directories = [1, 2, 3].map((id) => `disk ${id}` as Uuid);
  const state = {
    partition: 0,
    replicas: [1, 2, 3],
    isr: [1, 2, 3],
    elr: [],
    adding: [],
    removing: [],
    leader: 1,
    leaderEpoch: 0,
    directories,
  };
  return { ...state, ...given } as unknown as Partition;
}

let stage: Stage;

beforeEach(() => begin(false));

function begin(isVolatile: boolean): void {
  stage = new Stage(isVolatile);
  stage.look();
  stage.now += 60_000;
  stage.write(10, 1, 2, 3);
  stage.look();
  stage.view(1).highWatermark = 10;
  stage.look();
}

const looking = () => stage.look();

describe('the checker of replicated partitions is content with', () => {
  test('a high watermark that is on every disk, a follower behind, and one out of sync without anything', () => {
    stage.state = stateOf({ isr: [1, 2] });
    stage.look();
    stage.write(0, 3);
    stage.write(20, 1, 2);
    stage.look();
    stage.view(1).highWatermark = 20;
    stage.view(2).highWatermark = 15;
    expect(looking).not.toThrow();
  });

  test('a member whose disk was replaced, as long as the metadata speak of the former one', () => {
    stage.wiped.add(3);
    stage.checker.wiped(3);
    stage.names[2] = 'n3#2';
    stage.write(0, 3);
    expect(looking).not.toThrow();
  });

  test('logs of which the first records were deleted, sooner in one than in another, whatever epoch they were of', () => {
    Object.assign(stage.log(2), { logStartOffset: 4, epochs: { entries: [{ epoch: 0, startOffset: 4 }] } });
    stage.write(11, 1, 2, 3);
    expect(looking).not.toThrow();
    Object.assign(stage.log(1), { logStartOffset: 10, epochs: { entries: [{ epoch: 0, startOffset: 10 }] } });
    stage.view(1).highWatermark = 11;
    expect(looking).not.toThrow();
  });

  test('a replica that has moved away, and was deleted, when its machine loses its power', () => {
    stage.state = stateOf({ isr: [1, 2] });
    stage.gone.add(3);
    for (let look = 0; look < 100; look += 1) stage.look();
    expect(() => stage.checker.crashed(3, () => 0)).not.toThrow();
  });

  test('a replica that moves back to a machine which lost its power while it had moved away', () => {
    stage.state = stateOf({ replicas: [1, 2], isr: [1, 2] });
    stage.look();
    stage.checker.crashed(3, () => undefined);
    stage.names[2] = 'n3#2';
    stage.gone.add(3);
    stage.state = stateOf({ isr: [1, 2], adding: [3] });
    stage.look();
    expect(() => stage.checker.crashed(3, () => 0)).not.toThrow();
  });
});

describe('what is on too few disks (I5)', () => {
  beforeEach(() => {
    stage.state = stateOf({ isr: [1] });
    stage.write(20, 1);
  });
  const commit = (): void => {
    stage.look();
    stage.view(1).highWatermark = 20;
    stage.look();
  };

  test('may be committed by a leader that goes by an earlier min.insync.replicas, for a while', () => {
    stage.minIsr = 1;
    stage.now += 60_000;
    stage.look();
    for (const minIsr of [2, 3]) {
      stage.minIsr = minIsr;
      stage.now += 1000;
      stage.look();
    }
    expect(commit).not.toThrow();
    stage.write(30, 1);
    stage.now += 15_000;
    stage.view(1).highWatermark = 30;
    expect(looking).toThrow(/I5/);
  });

  test('may be by one that has not heard of it yet, however long that takes', () => {
    stage.knownMinIsr = 2;
    expect(commit).toThrow(/I5/);
    begin(false);
    stage.state = stateOf({ isr: [1] });
    stage.write(20, 1);
    stage.knownMinIsr = 1;
    expect(commit).not.toThrow();
  });

  test('counts no replica that has moved away, and none whose disk was replaced and has no log', () => {
    stage.write(20, 3);
    stage.look();
    stage.state = stateOf({ replicas: [1, 2], isr: [1] });
    stage.gone.add(3);
    for (let look = 0; look < 100; look += 1) stage.look();
    expect(commit).toThrow(/I5/);
    begin(false);
    stage.state = stateOf({ isr: [1] });
    stage.write(20, 1, 3);
    stage.look();
    stage.wiped.add(3);
    stage.checker.wiped(3);
    stage.names[2] = 'n3#2';
    Object.assign(stage.view(3), { log: undefined });
    expect(commit).toThrow(/I5/);
  });
});

describe('the checker of replicated partitions says', () => {
  test('I3: a high watermark goes back, or is above what is on the disk', () => {
    stage.view(1).highWatermark = 9;
    expect(looking).toThrow(/I3: n1#1 .* goes back from high watermark 10 to 9/);
    stage.view(1).highWatermark = 12;
    expect(looking).toThrow(/I3: .* below 12 for committed, but has only 10/);
  });

  test('I5: a leader takes for committed what is on fewer disks than min.insync.replicas', () => {
    stage.state = stateOf({ isr: [1] });
    stage.write(20, 1);
    stage.look();
    stage.view(1).highWatermark = 20;
    expect(looking).toThrow(/I5: n1#1 .* takes 20 for committed, which is on 1 disks of at least 2/);
  });

  test('I1: an epoch begins elsewhere in a log whose first records were deleted', () => {
    const entries = [
      { epoch: 0, startOffset: 4 },
      { epoch: 1, startOffset: 8 },
    ];
    Object.assign(stage.log(2), { logStartOffset: 4, epochs: { entries } });
    stage.write(11, 2);
    expect(looking).toThrow(/I1: n2#1 .* epoch 1 from 8 where no epoch was committed/);
  });

  test('I6: a member of the ISR, or one that is eligible, has lost what was committed, or never had it', () => {
    stage.write(5, 3);
    expect(looking).toThrow(/I6: n3#1 may lead data-0 with 5 on its disk, but 10 was committed/);
    stage.state = stateOf({ isr: [1, 2], elr: [3] });
    expect(looking).toThrow(/I6: n3#1/);
  });

  test('I1: a member has what was committed from another leader', () => {
    stage.log(2).epochs.entries.push({ epoch: 1, startOffset: 7 });
    stage.write(11, 2);
    expect(looking).toThrow(/I1: n2#1 may lead data-0, but it has epoch 1 from 7 where no epoch was committed/);
  });

  test('I11: a new leader serves before it knows all that was committed', () => {
    Object.assign(stage.view(1), { leads: false });
    Object.assign(stage.view(2), { leads: true, leaderEpoch: 1, highWatermark: 8 });
    stage.state = stateOf({ leader: 2, leaderEpoch: 1 });
    expect(looking).toThrow(/I11: n2#1 leads data-0 in epoch 1 and serves what is below 8, but 10 was committed/);
  });

  test('S1: a replica takes for durable what is not on its disk, but for one that is being cut', () => {
    stage.endsOnDisk.set(2, 12);
    stage.write(12, 2);
    expect(looking).not.toThrow();
    stage.write(13, 2);
    expect(looking).toThrow(/S1: n2#1 .* below 13 for durable, but its disk ends at 12/);
    stage.view(2).isBeingCut = true;
    expect(looking).not.toThrow();
  });

  test('S1: a crash takes what was on the disk', () => {
    expect(() => stage.crash(2, 9)).toThrow(/S1: n2#1 had 10 of data-0 on its disk, and after a crash 9 is there/);
  });
});

describe('with flush.policy=os the checker of replicated partitions', () => {
  beforeEach(() => begin(true));

  test('lets one member lose what it had not synced, until it is registered anew: then it is none any more (I6)', () => {
    stage.crash(3, 4);
    expect(looking).not.toThrow();
    stage.register(3);
    expect(looking).toThrow(/I6: n3#2 may lead data-0 with 4 on its disk, but 10 was committed/);
    stage.state = stateOf({ isr: [1, 2] });
    expect(looking).not.toThrow();
    expect(stage.losses).toEqual([]);
  });

  test('takes records for lost when every member has lost its power, and no more of them than one had not synced', () => {
    stage.crash(1, 8);
    stage.crash(3, 4);
    expect(stage.losses).toEqual([]);
    stage.crash(2, 6);
    expect(stage.losses).toEqual([['data-0', 4, 0]]);
    Object.assign(stage.view(2), { leads: true, isReady: true, leaderEpoch: 1, highWatermark: 5 });
    stage.register(2);
    stage.state = stateOf({ isr: [2], leader: 2, leaderEpoch: 1 });
    expect(looking).not.toThrow();
    stage.view(2).highWatermark = 3;
    expect(looking).toThrow(/I3|I11/);
  });

  test('lets a member that lost it while the topic came to ask for fsync stay one, until it has everything again', () => {
    stage.flushPolicy = 'fsync';
    stage.crash(3, 4);
    stage.register(3);
    expect(looking).not.toThrow();
    stage.write(10, 3);
    expect(looking).not.toThrow();
    stage.write(9, 3);
    expect(looking).toThrow(/I6: n3#2 may lead data-0 with 9 on its disk, but 10 was committed/);
  });

  test('takes for lost what such a member had not synced, when it leads', () => {
    stage.flushPolicy = 'fsync';
    stage.crash(3, 4);
    stage.state = stateOf({ isr: [3], elr: [1], leader: 3, leaderEpoch: 1 });
    stage.look();
    expect(stage.losses).toEqual([['data-0', 4, 1]]);
  });

  test('lets nobody lose by the death of a process alone', () => {
    stage.names[2] = 'n3#2';
    stage.views[2] = { ...viewOf(3), leads: false };
    stage.write(4, 3);
    expect(looking).toThrow(/I6: n3#2/);
  });
});
