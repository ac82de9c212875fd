import { describe, expect, test } from 'vitest';
import { Deadlines } from '#base/deadlines';
import type { MetadataDelta, PartitionDelta } from '#metadata/delta';
import type { MetadataImage } from '#metadata/image';
import type { Partition as PartitionState } from '#metadata/records';
import type { BrokerLayers } from '#model/config-layers';
import { ErrorCode } from '#model/errors';
import { leaderEpoch, nodeId, offset, type Uuid, uuid } from '#model/ids';
import { DIRECTORY_UNASSIGNED } from '#model/uuids';
import { DelayedDelete, type DeletionOutcome } from '#runtime/delayed-delete';
import type { Partition } from '#runtime/partition';
import { PartitionTable } from '#runtime/partition-table';
import { appended, batch, Harness, headersOf } from '../storage/support.ts';
import { homeOf, ME } from './replica-stage.ts';

const [OLD, NEW] = [uuid('AAAAAAAAAAAAAAAAAAAAAQ'), uuid('AAAAAAAAAAAAAAAAAAAAAg')];
const OTHER = nodeId(2);

function stateOf(given: Partial<PartitionState> = {}): PartitionState {
  return {
    partition: 0,
    replicas: [ME, OTHER],
    directories: [DIRECTORY_UNASSIGNED, DIRECTORY_UNASSIGNED],
    isr: [OTHER],
    elr: [],
    removing: [],
    adding: [],
    leader: OTHER,
    leaderEpoch: leaderEpoch(3),
    partitionEpoch: 1,
    ...given,
  };
}

/** The table of a node that has replicas of topics named t. */
class Stage {
  readonly harness: Harness;
  readonly table: PartitionTable;
  /** What the followers are told, the oldest first. */
  readonly told: string[] = [];
  layers: BrokerLayers = { perBroker: new Map(), clusterWide: new Map(), given: new Map(), targetSize: 1 };

  constructor(harness: Harness) {
    this.harness = harness;
    const { store } = harness;
    this.table = new PartitionTable({
      home: {
        ...homeOf({ failing: (partition) => this.table.failing(partition) }),
        restart: (log, startOffset) => store.restart(log, startOffset),
      },
      image: { configs: () => new Map(), partition: () => undefined } as unknown as MetadataImage,
      store,
      logger: harness.ports.logger,
      followers: {
        follow: ({ log }, leader) => this.told.push(`follow ${leader} from ${log?.logEndOffset}`),
        unfollow: () => this.told.push('unfollow'),
      },
      layers: () => this.layers,
      clock: harness.ports.clock,
      moveBytesPerSecond: () => Number.POSITIVE_INFINITY,
    });
  }

  apply(delta: Partial<MetadataDelta>): void {
    const nothing = {
      topicsCreated: [],
      topicsDeleted: [],
      partitions: [],
      electedOutOfSync: [],
      configs: [],
      brokers: [],
      fenced: [],
    };
    this.table.apply({ index: 1, cluster: false, ...nothing, ...delta });
  }

  change(topicId: Uuid, after: PartitionState, topic = 't'): PartitionDelta {
    return { topic, topicId, partition: 0, before: undefined, after };
  }

  async settled(): Promise<void> {
    await this.harness.world.complete(this.table.settled());
  }

  get replica(): Partition {
    return this.replicaOf('t');
  }

  replicaOf(topic: string): Partition {
    const found = this.table.replicaByName(topic, 0);
    if (typeof found === 'number') throw new Error(`error ${found}`);
    return found;
  }

  /** A follower with a record, whose log is about to begin anew at 5. */
  static async restarting(): Promise<Stage> {
    const stage = new Stage(await Harness.open());
    stage.apply({ partitions: [stage.change(OLD, stateOf())] });
    await stage.settled();
    const { log } = stage.replica;
    if (log === undefined) throw new Error('no log');
    appended(log, batch());
    await stage.harness.settle();
    stage.replica.restartAt(offset(5));
    return stage;
  }
}

describe('a replica that goes while its log begins anew', () => {
  test('leaves nothing that a later topic of the name would be given', async () => {
    const stage = await Stage.restarting();
    stage.apply({ topicsDeleted: [{ id: OLD, name: 't', partitions: [stateOf()] }] });
    stage.apply({ partitions: [stage.change(NEW, stateOf())] });
    await stage.settled();
    await stage.harness.settle();
    expect(stage.replica.topicId).toBe(NEW);
    expect([stage.replica.log?.topicId, stage.replica.log?.logStartOffset]).toEqual([NEW, 0]);
    expect(stage.harness.store.get('t', 0)).toBe(stage.replica.log);
  });

  test('is there from its start again when it comes back', async () => {
    const stage = await Stage.restarting();
    stage.apply({ partitions: [stage.change(OLD, stateOf({ replicas: [OTHER] }))] });
    stage.apply({ partitions: [stage.change(OLD, stateOf())] });
    await stage.settled();
    await stage.harness.settle();
    const { log } = stage.replica;
    expect(log?.logStartOffset).toBe(0);
    expect(stage.harness.store.get('t', 0)).toBe(log);
    if (log === undefined) return expect.unreachable();
    appended(log, batch());
    await stage.harness.settle();
    expect([log.durableOffset, stage.harness.store.offlineDirectoryCount]).toEqual([1, 0]);
    const folders = await stage.harness.world.complete(stage.harness.faults[0]?.list('') ?? Promise.resolve([]));
    expect(folders.filter((name) => name === 't-0')).toHaveLength(1);
  });
});

describe('a leader that moves to another data directory', () => {
  test('does not while it is undecided who is in sync: both count until then', async () => {
    const stage = new Stage(await Harness.open({ disks: 2 }));
    const { harness, table } = stage;
    const view = { leader: ME, isr: [ME] };
    stage.apply({ partitions: [stage.change(OLD, stateOf(view))] });
    await stage.settled();
    const { replica } = stage;
    const from = replica.log?.directory;
    const other = harness.store.directories.find((directory) => directory !== from);
    const append = async (): Promise<void> => {
      const bytes = batch();
      expect(stage.replica.append(bytes, headersOf(bytes))).toHaveProperty('baseOffset');
      await harness.settle();
    };
    await append();
    replica.fetchedBy(OTHER, { brokerEpoch: 7, fetchOffset: offset(1), durableOffset: offset(1), logStartOffset: 0 });
    expect(replica.proposeIsr(() => 7, 1000)?.isr.map(({ id }) => id)).toEqual([ME, OTHER]);
    if (other === undefined) return expect.unreachable();
    table.moves.begin(replica, other);
    await harness.settle(2000);
    await append();
    expect([stage.replica.log?.logEndOffset, stage.replica.highWatermark]).toEqual([2, 1]);
    stage.apply({ partitions: [stage.change(OLD, stateOf({ ...view, isr: [ME, OTHER], partitionEpoch: 2 }))] });
    await stage.settled();
    await harness.settle(2000);
    expect(stage.replica.log?.directory).toBe(other);
    expect([stage.replica.log?.logEndOffset, stage.replica.highWatermark]).toEqual([2, 1]);
  });
});

describe('a follower that comes to lead while its log is being cut', () => {
  const led = stateOf({ leader: ME, isr: [ME], leaderEpoch: leaderEpoch(4), partitionEpoch: 2 });

  /** Two records of which the second goes; t and u are here. */
  async function cutting(strike?: Harness['strike']): Promise<Stage> {
    const stage = new Stage(await Harness.open({ disks: 2 }));
    stage.apply({ partitions: [stage.change(OLD, stateOf()), stage.change(NEW, stateOf(), 'u')] });
    await stage.settled();
    const { replica } = stage;
    if (replica.log === undefined) throw new Error('no log');
    appended(replica.log, batch());
    appended(replica.log, batch());
    await stage.harness.settle();
    stage.harness.strike = strike;
    replica.truncateTo(offset(1));
    expect(replica.isBeingCut).toBe(true);
    return stage;
  }

  test('leads with what is left', async () => {
    const stage = await cutting();
    const { replica } = stage;
    stage.apply({ partitions: [stage.change(OLD, led)] });
    await stage.harness.settle();
    expect([replica.leads, replica.log?.logEndOffset, replica.isReady]).toEqual([true, 1, true]);
    expect(replica.log?.epochs.latest()).toEqual({ epoch: 4, startOffset: 1 });
  });

  describe('which waits for room', () => {
    const full: Harness['strike'] = (_operation, path) =>
      path.startsWith('recovery-point') ? { fail: 'ENOSPC' } : undefined;

    test('holds no other partition up, and leads when there is room', async () => {
      const stage = await cutting(full);
      stage.apply({ partitions: [stage.change(OLD, led)] });
      stage.apply({ partitions: [stage.change(NEW, led, 'u')] });
      await stage.harness.settle(1000);
      expect([stage.replica.isBeingCut, stage.replica.leads, stage.replicaOf('u').leads]).toEqual([true, false, true]);
      stage.apply({ partitions: [stage.change(OLD, { ...led, isr: [ME, OTHER], partitionEpoch: 3 })] });
      stage.harness.strike = undefined;
      await stage.harness.settle(6000);
      expect([stage.replica.leads, stage.replica.log?.logEndOffset]).toEqual([true, 1]);
      expect(stage.replica.leadership?.view.isr).toEqual([ME, OTHER]);
    });

    test('does not lead if another one does by then', async () => {
      const stage = await cutting(full);
      const next = stateOf({ leaderEpoch: leaderEpoch(5), partitionEpoch: 3 });
      for (const state of [led, next]) stage.apply({ partitions: [stage.change(OLD, state)] });
      await stage.harness.settle(1000);
      stage.harness.strike = undefined;
      await stage.harness.settle(6000);
      expect([stage.replica.isBeingCut, stage.replica.leads, stage.replica.leaderEpoch]).toEqual([false, false, 5]);
    });

    test('moves to another data directory no sooner than there is room, and holds nothing up meanwhile', async () => {
      const stage = await cutting(full);
      const { replica, harness } = stage;
      const other = harness.store.directories.find((directory) => directory !== replica.log?.directory);
      if (other === undefined) return expect.unreachable();
      stage.table.moves.begin(replica, other);
      await harness.settle(1000);
      stage.apply({ partitions: [stage.change(NEW, led, 'u')] });
      await harness.settle(1000);
      expect([stage.replica.isBeingCut, stage.replicaOf('u').leads]).toEqual([true, true]);
      harness.strike = undefined;
      await harness.settle(6000);
      expect([stage.replica.log?.directory, stage.replica.log?.logEndOffset]).toEqual([other, 1]);
    });
  });
});

describe('a replica for whose log there is no room', () => {
  async function onFullDisk(state: PartitionState): Promise<Stage> {
    const stage = new Stage(await Harness.open());
    stage.harness.store.directories[0]?.refuse('a test');
    stage.apply({ partitions: [stage.change(OLD, state)] });
    await stage.settled();
    expect(stage.replica.log).toBeUndefined();
    return stage;
  }

  test('leads with an empty log when there is room', async () => {
    const stage = await onFullDisk(stateOf({ leader: ME, isr: [ME] }));
    const opened: Partition[] = [];
    stage.table.observeReplicas({ opened: (partition) => opened.push(partition), closing: () => {} });
    await stage.harness.settle(5000);
    const { replica } = stage;
    expect([replica.leads, replica.leaderEpoch, opened]).toEqual([true, 3, [replica]]);
    const bytes = batch();
    expect(replica.append(bytes, headersOf(bytes))).toMatchObject({ baseOffset: 0 });
    expect(stage.harness.store.get('t', 0)).toBe(replica.log);
  });

  test('gets none when it has gone by then', async () => {
    const stage = await onFullDisk(stateOf());
    stage.apply({ partitions: [stage.change(OLD, stateOf({ replicas: [OTHER] }))] });
    await stage.harness.settle(5000);
    expect(stage.harness.store.get('t', 0)).toBeUndefined();
  });

  test('follows again where it was to begin anew, if that found no room', async () => {
    const stage = await Stage.restarting();
    stage.harness.strike = (operation) => (operation === 'makeDir' ? { fail: 'ENOSPC' } : undefined);
    await stage.harness.settle();
    expect([stage.replica.log, stage.replica.isBeingCut]).toEqual([undefined, false]);
    stage.harness.strike = undefined;
    stage.told.length = 0;
    await stage.harness.settle(5000);
    expect([stage.replica.log?.logStartOffset, stage.replica.highWatermark]).toEqual([5, 5]);
    expect(stage.told).toEqual(['unfollow', 'follow 2 from 5']);
  });

  test('stays without one if its directory has failed: that log is there', async () => {
    const stage = new Stage(await Harness.open({ disks: 2 }));
    stage.apply({ partitions: [stage.change(OLD, stateOf())] });
    await stage.settled();
    const { directories } = stage.harness.store;
    const failed = stage.replica.log?.directory;
    failed?.fail('a test');
    directories.find((directory) => directory !== failed)?.refuse('a test');
    await stage.harness.settle(5000);
    expect([stage.replica.log, directories.filter(({ isFull }) => isFull)]).toEqual([undefined, []]);
  });
});

describe('a node that has started without one of its data directories', () => {
  async function opened(given: Partial<PartitionState>): Promise<Stage> {
    const harness = await Harness.open({ disks: 2 });
    await harness.stop();
    harness.failAll = (disk) => disk === harness.disks[1];
    await harness.start();
    const stage = new Stage(harness);
    stage.apply({ partitions: [stage.change(OLD, stateOf(given))] });
    await stage.settled();
    return stage;
  }

  test.each<readonly [string, Partial<PartitionState>]>([
    ['that was made since', { partitionEpoch: 0, leader: ME, isr: [ME, OTHER] }],
    ['that is to come to it', { adding: [ME] }],
  ])('has a log for a partition %s', async (_, given) => {
    const stage = await opened(given);
    expect(stage.replica.log?.logEndOffset).toBe(0);
  });

  test('serves none of a directory that has failed since', async () => {
    const stage = new Stage(await Harness.open({ disks: 2 }));
    const log = await stage.harness.create('t', 0);
    log.directory.fail('a test');
    stage.apply({ partitions: [stage.change(log.topicId, stateOf())] });
    await stage.settled();
    expect(stage.replica.log).toBeUndefined();
    expect(stage.told).toEqual(['follow 2 from undefined']);
  });

  test.each<readonly [string, Partial<PartitionState>]>([
    ['that it may have had', {}],
    ['of which it is the last in sync', { leader: ME, isr: [ME] }],
    ['that has come to it', { adding: [ME], isr: [ME, OTHER] }],
    ['that had come to it, and that it may lead', { adding: [ME], elr: [ME] }],
  ])('has none for a partition %s: it may be on the directory that is missing', async (_, given) => {
    const stage = await opened(given);
    expect(stage.replica.log).toBeUndefined();
  });
});

describe('a cluster that grows', () => {
  const replicas = [ME, OTHER, nodeId(3)];

  async function leading(isr: readonly number[]): Promise<Stage> {
    const stage = new Stage(await Harness.open());
    stage.apply({ partitions: [stage.change(OLD, stateOf({ leader: ME, isr: isr.map(nodeId), replicas }))] });
    await stage.settled();
    stage.layers = { ...stage.layers, targetSize: 3 };
    return stage;
  }

  test('asks for as many replicas in sync as its controller does, also of partitions that were open', async () => {
    const stage = await leading([ME]);
    expect(stage.replica.leadership?.isUnderMinIsr).toBe(false);
    stage.apply({ cluster: true });
    await stage.settled();
    expect(stage.replica.leadership?.isUnderMinIsr).toBe(true);
  });

  test('does so before it knows of a member that has left since: that one is eligible, and lacks what comes', async () => {
    const stage = await leading([ME, OTHER]);
    const bytes = batch();
    expect(stage.replica.append(bytes, headersOf(bytes))).toHaveProperty('baseOffset');
    await stage.harness.settle();
    const left = stateOf({ leader: ME, isr: [ME], elr: [OTHER], replicas, partitionEpoch: 2 });
    stage.apply({ cluster: true, partitions: [stage.change(OLD, left)] });
    await stage.settled();
    expect([stage.replica.leadership?.isUnderMinIsr, stage.replica.highWatermark]).toEqual([true, 0]);
  });
});

describe('a directory that fails', () => {
  test('resigns what led in it at once: observers are told, and not again with the next leader', async () => {
    const stage = new Stage(await Harness.open());
    const resigned: boolean[] = [];
    stage.table.observeLeadership({ ready: () => {}, resigning: ({ leads }) => resigned.push(leads) });
    stage.apply({ partitions: [stage.change(OLD, stateOf({ leader: ME, isr: [ME] }))] });
    await stage.settled();
    stage.replica.log?.listener?.failed();
    expect([resigned, stage.replica.leads]).toEqual([[true], false]);
    stage.apply({ partitions: [stage.change(OLD, stateOf({ leaderEpoch: leaderEpoch(4), partitionEpoch: 2 }))] });
    await stage.settled();
    expect(resigned).toEqual([true]);
  });

  test('tells them nothing of a follower', async () => {
    const stage = new Stage(await Harness.open());
    const resigned: Partition[] = [];
    stage.table.observeLeadership({ ready: () => {}, resigning: (partition) => resigned.push(partition) });
    stage.apply({ partitions: [stage.change(OLD, stateOf())] });
    await stage.settled();
    stage.replica.log?.listener?.failed();
    expect(resigned).toEqual([]);
  });
});

describe('a leader whose log turns out to be damaged', () => {
  const inSync = (isr: readonly (typeof ME)[]) => stateOf({ leader: ME, isr: [...isr] });

  async function leading(isr: readonly (typeof ME)[], meanwhile = (_: Stage): void => {}): Promise<Stage> {
    const stage = new Stage(await Harness.open());
    stage.apply({ partitions: [stage.change(OLD, inSync(isr))] });
    await stage.settled();
    meanwhile(stage);
    await stage.harness.world.complete(stage.table.quarantine(stage.replica, 'the checksum does not match'));
    return stage;
  }

  test('is offline where another one is in sync, and begins anew when that one leads', async () => {
    const stage = await leading([ME, OTHER]);
    const { harness, table, replica } = stage;
    expect([replica.log, harness.store.isDamaged('t', OLD, 0)]).toEqual([undefined, true]);
    const replaced = (): Promise<boolean> => harness.world.complete(table.replaceDamaged(replica));
    expect([await replaced(), replica.log]).toEqual([false, undefined]);
    stage.apply({ partitions: [stage.change(OLD, stateOf({ leaderEpoch: leaderEpoch(4), partitionEpoch: 2 }))] });
    expect([await replaced(), replica.log?.logEndOffset, replica.leads]).toEqual([true, 0, false]);
  });

  test('stays what it is where nobody else is in sync', async () => {
    const { replica } = await leading([ME]);
    expect([replica.leads, replica.log?.logEndOffset]).toEqual([true, 0]);
  });

  test('stays what it is where the last other one leaves before its turn', async () => {
    const { replica } = await leading([ME, OTHER], (stage) => {
      stage.apply({ partitions: [stage.change(OLD, { ...inSync([ME]), partitionEpoch: 2 })] });
    });
    expect(replica.leads).toBe(true);
  });

  test('does not wait for the decision on a newcomer that it has proposed', async () => {
    const third = nodeId(3);
    const state = { ...inSync([ME, OTHER]), replicas: [ME, OTHER, third] };
    const { replica } = await leading([ME, OTHER], (stage) => {
      stage.apply({ partitions: [stage.change(OLD, { ...state, partitionEpoch: 2 })] });
      void stage.table.settled().then(() => {
        const fetch = { brokerEpoch: 7, fetchOffset: offset(0), durableOffset: offset(0), logStartOffset: 0 };
        stage.replica.fetchedBy(third, fetch);
        expect(stage.replica.proposeIsr(() => 7, 10_000)?.isr).toHaveLength(3);
      });
    });
    expect([replica.leads, replica.log]).toEqual([false, undefined]);
  });

  test('stays what it is while it proposes to go on without the last other one', async () => {
    const { replica } = await leading([ME, OTHER], ({ replica }) => {
      expect(replica.proposeIsr(() => 7, -1)?.isr).toHaveLength(1);
    });
    expect(replica.leads).toBe(true);
  });
});

describe('a deletion of records', () => {
  test('waits no longer for a broker that goes, also where nothing else of the partition changes', async () => {
    const stage = new Stage(await Harness.open());
    stage.apply({ partitions: [stage.change(OLD, stateOf({ leader: ME, isr: [ME] }))] });
    await stage.settled();
    let lives = true;
    let outcomes: readonly DeletionOutcome[] | undefined;
    const deleted = [{ partition: stage.replica, before: 0 }];
    const deadlines = new Deadlines(stage.harness.ports.clock);
    new DelayedDelete(
      deleted,
      () => lives,
      deadlines,
      (found) => {
        outcomes = found;
      },
    ).start(30_000);
    expect(outcomes).toBeUndefined();
    lives = false;
    stage.apply({ brokers: [OTHER] });
    await stage.settled();
    expect(outcomes).toEqual([{ error: ErrorCode.None, lowWatermark: 0 }]);
  });
});

describe('observers of replicas', () => {
  test('are told again of one that the metadata have come to place in another directory', async () => {
    const stage = new Stage(await Harness.open());
    const told: string[] = [];
    stage.table.observeReplicas({ opened: ({ topic }) => told.push(topic), closing: () => {} });
    const placed = (directory: Uuid, given: Partial<PartitionState> = {}): void => {
      const directories = [directory, DIRECTORY_UNASSIGNED];
      stage.apply({ partitions: [stage.change(OLD, stateOf({ directories, ...given }))] });
    };
    placed(NEW);
    placed(NEW, { isr: [OTHER, ME], partitionEpoch: 2 });
    await stage.settled();
    expect(told).toEqual(['t']);
    // It has gone and come back within one delta: the metadata do not know any more where it is.
    placed(DIRECTORY_UNASSIGNED, { partitionEpoch: 4 });
    await stage.settled();
    expect(told).toEqual(['t', 't']);
  });
});

describe('a follower that is asked for what only a leader tells', () => {
  test('says whose leader epoch is behind, if the client names one (KIP-320)', async () => {
    const stage = new Stage(await Harness.open());
    stage.apply({ partitions: [stage.change(OLD, stateOf())] });
    await stage.settled();
    const { table } = stage;
    const asked = [-1, 2, 3, 4].map((epoch) => table.findByName('t', 0, epoch));
    const { NotLeaderOrFollower, FencedLeaderEpoch, UnknownLeaderEpoch } = ErrorCode;
    expect(asked).toEqual([NotLeaderOrFollower, FencedLeaderEpoch, NotLeaderOrFollower, UnknownLeaderEpoch]);
    expect([-1, 2, 3, 4].map((epoch) => table.findById(OLD, 0, epoch))).toEqual(asked);
  });
});
