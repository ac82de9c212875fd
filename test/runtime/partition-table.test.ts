import { describe, expect, test } from 'vitest';
import type { MetadataDelta, PartitionDelta } from '#metadata/delta';
import type { MetadataImage } from '#metadata/image';
import type { Partition as PartitionState } from '#metadata/records';
import { leaderEpoch, nodeId, offset, type Uuid, uuid } from '#model/ids';
import { DIRECTORY_UNASSIGNED } from '#model/uuids';
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

  constructor(harness: Harness) {
    this.harness = harness;
    const { store } = harness;
    const layers = { perBroker: new Map(), clusterWide: new Map(), given: new Map(), targetSize: 1 };
    this.table = new PartitionTable({
      home: { ...homeOf(), restart: (log, startOffset) => store.restart(log, startOffset) },
      image: { configs: () => new Map(), partition: () => undefined } as unknown as MetadataImage,
      store,
      logger: harness.ports.logger,
      followers: { follow: () => {}, unfollow: () => {} },
      layers: () => layers,
      clock: harness.ports.clock,
      moveBytesPerSecond: () => Number.POSITIVE_INFINITY,
    });
  }

  apply(delta: Partial<MetadataDelta>): void {
    const nothing = { topicsCreated: [], topicsDeleted: [], partitions: [], configs: [], brokers: [] };
    this.table.apply({ index: 1, cluster: false, ...nothing, ...delta });
  }

  change(topicId: Uuid, after: PartitionState): PartitionDelta {
    return { topic: 't', topicId, partition: 0, before: undefined, after };
  }

  async settled(): Promise<void> {
    await this.harness.world.complete(this.table.settled());
  }

  get replica(): Partition {
    const found = this.table.replicaByName('t', 0);
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
  test('leads with what is left', async () => {
    const stage = new Stage(await Harness.open());
    stage.apply({ partitions: [stage.change(OLD, stateOf())] });
    await stage.settled();
    const { replica } = stage;
    if (replica.log === undefined) return expect.unreachable();
    appended(replica.log, batch());
    appended(replica.log, batch());
    await stage.harness.settle();
    replica.truncateTo(offset(1));
    expect(replica.isBeingCut).toBe(true);
    const led = { leader: ME, isr: [ME], leaderEpoch: leaderEpoch(4), partitionEpoch: 2 };
    stage.apply({ partitions: [stage.change(OLD, stateOf(led))] });
    await stage.settled();
    expect([replica.leads, replica.log?.logEndOffset, replica.isReady]).toEqual([true, 1, true]);
    expect(replica.log?.epochs.latest()).toEqual({ epoch: 4, startOffset: 1 });
  });
});

describe('a leader whose log turns out to be damaged', () => {
  async function leading(isr: readonly (typeof ME)[]): Promise<Stage> {
    const stage = new Stage(await Harness.open());
    stage.apply({ partitions: [stage.change(OLD, stateOf({ leader: ME, isr: [...isr] }))] });
    await stage.settled();
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
});
