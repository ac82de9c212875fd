import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { IoError, IoErrorCode, Ports } from '#base/ports';
import { type DiskOperation, FaultDisk } from '#faults/fault-disk';
import type { MetadataDelta } from '#metadata/delta';
import { type MetadataRecord, ResourceType } from '#metadata/records';
import { ErrorCode } from '#model/errors';
import { nodeId, type Uuid, uuid } from '#model/ids';
import { NO_PLANTED_BUGS } from '#model/planted-bugs';
import { createCodecs } from '#platform/codecs';
import { MetadataController } from '#runtime/metadata-controller';
import { MetadataQuorum, type MetadataQuorumOptions } from '#runtime/metadata-quorum';
import type { MemoryDisk } from '#sim/ports/memory-disk';
import { SimWorld } from '#sim/ports/sim-world';
import { RaftLog } from '#storage/raft-log';

const DIRECTORY: Uuid = uuid('BwcHBwcHBwcHBwcHBwcHBw');
const codecs = createCodecs();

/** One node's metadata, over a disk that survives power cuts. */
class Node {
  readonly world: SimWorld;
  readonly failures: string[] = [];
  /** Set while the disk shall fail. */
  broken: { readonly operation: DiskOperation; readonly code: IoErrorCode; readonly path?: RegExp } | undefined;
  /** What was logged of the log's disk. */
  readonly saidOfDisk: string[] = [];
  readonly operations: DiskOperation[] = [];
  readonly #inner: MemoryDisk;
  disk!: FaultDisk;
  ports!: Ports;

  constructor(seed: number) {
    const keep = (_fields: object, message: string): void => {
      if (message.includes('disk of the metadata log')) this.saidOfDisk.push(message);
    };
    this.world = new SimWorld({ seed, codecs, logger: { debug: keep, info: keep, warn: keep, error: keep } });
    this.#inner = this.world.disk('disk');
    this.#boot();
  }

  #boot(): void {
    this.disk = new FaultDisk(this.world.clock, this.#inner, {
      ignoreSync: false,
      strike: (operation, path) => {
        this.operations.push(operation);
        const { broken } = this;
        return broken?.operation === operation && broken.path?.test(path) !== false ? { fail: broken.code } : undefined;
      },
    });
    this.ports = this.world.ports('node', { disks: [this.disk] });
  }

  /** The only voter: it is the active controller when it has found its log whole. */
  async open(options: Partial<MetadataQuorumOptions> = {}): Promise<MetadataQuorum> {
    const self = { id: nodeId(1), directoryId: DIRECTORY, host: 'localhost', port: 9093 };
    const quorum = await this.world.complete(
      MetadataQuorum.open(this.ports, this.disk, {
        self,
        voters: [self],
        targetSize: 1,
        snapshotBytes: 1e9,
        snapshotIntervalMs: 0,
        electionTimeoutMs: 1000,
        heartbeatMs: 100,
        planted: NO_PLANTED_BUGS,
        send: () => {},
        joined: () => {},
        onFailed: (failure) => this.failures.push((failure as IoError).code),
        ...options,
      }),
    );
    quorum.start();
    await this.world.run(() => quorum.isActive || this.failures.length > 0);
    return quorum;
  }

  async crash(): Promise<void> {
    this.world.kill('node');
    await this.world.complete(this.disk.crash(this.world.random.fork('crash')));
    this.#inner.kill();
    this.#boot();
  }
}

function topic(name: string, seed: number): MetadataRecord {
  return { kind: 'topic', name, id: uuid(`${String(seed).padStart(21, 'A')}A`) };
}

function propose(node: Node, quorum: MetadataQuorum, records: readonly MetadataRecord[]) {
  return node.world.complete(
    new Promise<{ readonly index: number } | string>((resolve) => quorum.propose(records, resolve)),
  );
}

describe('opening the quorum', () => {
  test('makes a new cluster on an empty disk, and finds it again after a power cut', async () => {
    const node = new Node(1);
    const first = await node.open({ targetSize: 3 });
    const { cluster } = first.image;
    expect(cluster).toMatchObject({ targetSize: 3, voters: [{ id: 1, directoryId: DIRECTORY }] });
    expect([first.epoch, first.lastIndex]).toEqual([1, 2]);
    await node.crash();
    const second = await node.open({ targetSize: 5 });
    expect(second.image.cluster).toEqual(cluster);
    expect([second.epoch, second.lastIndex]).toEqual([2, 3]);
  });

  test('leads in a new epoch at every start', async () => {
    const node = new Node(2);
    const epochs: number[] = [];
    for (let start = 0; start < 4; start += 1) {
      epochs.push((await node.open()).epoch);
      await node.crash();
    }
    expect(epochs).toEqual([1, 2, 3, 4]);
  });

  test('refuses a log whose records it does not know, and lets go of the disk', async () => {
    const node = new Node(3);
    const crc32c = codecs.crc32c.bind(codecs);
    const opened = RaftLog.open(node.disk, { crc32c, folder: 'metadata', directoryId: DIRECTORY });
    const { log } = await node.world.complete(opened);
    const entry = { index: 1, epoch: 1, payload: Uint8Array.of(0x91, 0x92, 99, 0) };
    await node.world.complete(new Promise((resolve) => log.append([entry], resolve)));
    await node.world.complete(log.close());
    await expect(node.open()).rejects.toMatchObject({
      code: 'MALFORMED_RECORD',
      message: expect.stringContaining('type 99'),
    });
  });
});

describe('a proposal', () => {
  test('is confirmed in a later turn, when it is on disk, replayed and published', async () => {
    const node = new Node(10);
    const quorum = await node.open();
    const seen: string[] = [];
    quorum.publisher.subscribe((delta, image) => {
      for (const { name } of delta.topicsCreated) seen.push(`published ${name} at ${delta.index} of ${image.index}`);
    });
    for (const [at, name] of ['a', 'b', 'c'].entries()) {
      quorum.propose([topic(name, at)], () => seen.push(`confirmed ${name}`));
    }
    expect(seen).toEqual([]);
    await node.world.run(() => seen.length === 6);
    expect(seen).toEqual([
      'published a at 3 of 3',
      'confirmed a',
      'published b at 4 of 4',
      'confirmed b',
      'published c at 5 of 5',
      'confirmed c',
    ]);
  });

  test('shares its write and sync with those that arrive during a write', async () => {
    const node = new Node(11);
    const quorum = await node.open();
    node.operations.length = 0;
    let confirmed = 0;
    for (let count = 0; count < 50; count += 1) {
      quorum.propose([topic(`t${count}`, count)], () => {
        confirmed += 1;
      });
    }
    await node.world.run(() => confirmed === 50);
    expect(node.operations).toEqual(['write', 'sync', 'write', 'sync']);
  });

  test('is one atomic entry', async () => {
    const node = new Node(12);
    const quorum = await node.open();
    const indexes: number[] = [];
    quorum.publisher.subscribe((delta) => indexes.push(delta.topicsCreated.length));
    await propose(node, quorum, [topic('a', 1), topic('b', 2)]);
    expect(indexes).toEqual([0, 2]);
  });

  test.each<readonly [DiskOperation, IoErrorCode]>([
    ['sync', 'EIO'],
    ['write', 'EIO'],
  ])('that fails to be on disk (%s) stops the quorum, which says so once', async (operation, code) => {
    const node = new Node(13);
    const quorum = await node.open();
    node.broken = { operation, code };
    const results: unknown[] = [];
    for (const [at, name] of ['a', 'b'].entries()) quorum.propose([topic(name, at)], (result) => results.push(result));
    await node.world.run(() => results.length === 2);
    quorum.propose([topic('c', 3)], (result) => results.push(result));
    await node.world.run(() => results.length === 3);
    expect([results, node.failures]).toEqual([['unknown', 'unknown', 'unknown'], [code]]);
    expect(quorum.image.topicCount).toBe(0);
  });

  test('of more than a message to another node can hold is refused, and the next one goes through', async () => {
    const node = new Node(15);
    const quorum = await node.open();
    const config = (at: number): MetadataRecord => {
      return {
        kind: 'config',
        resourceType: ResourceType.Topic,
        resourceName: `t${at}`,
        key: 'k',
        value: 'v'.repeat(30_000),
      };
    };
    const many = Array.from({ length: 600 }, (_, at) => config(at));
    expect(await propose(node, quorum, many)).toBe('tooLarge');
    expect(await propose(node, quorum, many.slice(0, 500))).toMatchObject({ index: 3 });
    expect(node.failures).toEqual([]);
  });

  test('without room on the disk changes nothing, and the next one with room goes through', async () => {
    const node = new Node(14);
    const quorum = await node.open();
    node.broken = { operation: 'write', code: 'ENOSPC' };
    expect(await propose(node, quorum, [topic('a', 1)])).toBe('full');
    node.broken = undefined;
    await node.world.run(() => quorum.isActive);
    expect(await propose(node, quorum, [topic('b', 2)])).toEqual({ index: 4 });
    expect([quorum.image.topic('a'), node.failures]).toEqual([undefined, []]);
    await node.crash();
    expect((await node.open()).image.topic('b')).toBeDefined();
  });

  test('without room is tried again and again, which is said once, and that there is room again', async () => {
    const node = new Node(16);
    const quorum = await node.open();
    node.broken = { operation: 'write', code: 'ENOSPC', path: /\.raft$/ };
    const before = node.operations.length;
    expect(await propose(node, quorum, [topic('a', 1)])).toBe('full');
    await node.world.run(node.world.clock.now() + 60_000);
    expect(node.operations.slice(before).filter((operation) => operation === 'write').length).toBeGreaterThan(10);
    expect(node.saidOfDisk).toEqual(['no room on the disk of the metadata log: nothing is appended to it']);
    node.broken = undefined;
    await node.world.run(() => quorum.isActive);
    expect(await propose(node, quorum, [topic('b', 2)])).toBeTypeOf('object');
    expect(node.saidOfDisk.slice(1)).toEqual(['the disk of the metadata log has room again']);
  });

  test('is answered when the quorum closes before it is on disk', async () => {
    const node = new Node(15);
    const quorum = await node.open();
    const results: unknown[] = [];
    for (const [at, name] of ['a', 'b'].entries()) quorum.propose([topic(name, at)], (result) => results.push(result));
    await node.world.complete(quorum.close());
    expect([results, node.failures]).toEqual([['unknown', 'unknown'], []]);
  });
});

describe('a snapshot', () => {
  test('takes the place of the log after so many bytes, while proposals go on', async () => {
    const node = new Node(20);
    const quorum = await node.open({ snapshotBytes: 20_000 });
    let confirmed = 0;
    const next = () => {
      confirmed += 1;
      if (confirmed < 1500) quorum.propose([topic(`t${confirmed}`, confirmed)], next);
    };
    quorum.propose([topic('t0', 0)], next);
    await node.world.run(() => confirmed === 1500);
    expect(quorum.snapshotIndex).toBeGreaterThan(500);
    expect(quorum.snapshotIndex).toBeLessThan(1501);
    const before = [...quorum.image.snapshot()];
    await node.crash();
    const again = await node.open();
    expect([...again.image.snapshot()]).toEqual(before);
  });

  test('is written some time after the first record that it lacks, and not while there is none', async () => {
    const node = new Node(21);
    const quorum = await node.open({ snapshotIntervalMs: 1000 });
    await node.world.run(node.world.clock.now() + 1100);
    expect(quorum.snapshotIndex).toBe(2);
    await node.world.run(node.world.clock.now() + 5000);
    await propose(node, quorum, [topic('a', 1)]);
    await node.world.run(node.world.clock.now() + 900);
    expect(quorum.snapshotIndex).toBe(2);
    await node.world.run(node.world.clock.now() + 200);
    expect(quorum.snapshotIndex).toBe(3);
  });

  test('without room is tried again later, and stops nothing', async () => {
    const node = new Node(22);
    const quorum = await node.open({ snapshotIntervalMs: 1000 });
    node.broken = { operation: 'write', code: 'ENOSPC' };
    await node.world.run(node.world.clock.now() + 1100);
    node.broken = undefined;
    expect([quorum.snapshotIndex, node.failures]).toEqual([0, []]);
    await propose(node, quorum, [topic('a', 1)]);
    await node.world.run(node.world.clock.now() + 1100);
    expect(quorum.snapshotIndex).toBe(3);
  });

  /** Its head and its records are written; its end is missing. */
  async function almostWritten(node: Node): Promise<MetadataQuorum> {
    const quorum = await node.open({ snapshotIntervalMs: 1000 });
    const written = () => node.operations.filter((operation) => operation === 'write').length;
    const before = written();
    await node.world.run(() => written() === before + 2);
    return quorum;
  }

  test('whose very end finds no room is tried again later, too', async () => {
    const node = new Node(26);
    const quorum = await almostWritten(node);
    node.broken = { operation: 'write', code: 'ENOSPC' };
    await node.world.run(node.world.clock.now() + 100);
    node.broken = undefined;
    expect([quorum.snapshotIndex, node.failures]).toEqual([0, []]);
    await propose(node, quorum, [topic('a', 1)]);
    await node.world.run(node.world.clock.now() + 1100);
    expect(quorum.snapshotIndex).toBe(3);
  });

  test('under way when the log fails does not keep the quorum from closing', async () => {
    const node = new Node(27);
    const quorum = await almostWritten(node);
    node.broken = { operation: 'sync', code: 'EIO', path: /\.raft$/ };
    expect(await propose(node, quorum, [topic('a', 1)])).toBe('unknown');
    expect(node.failures).toEqual(['EIO']);
    await node.world.complete(quorum.close());
  });

  test('under way is given up by a close', async () => {
    const node = new Node(23);
    const quorum = await node.open({ snapshotBytes: 1 });
    await propose(node, quorum, [topic('a', 1)]);
    await node.world.complete(quorum.close());
    expect((await node.open()).image.topic('a')).toBeDefined();
  });
});

describe('a node that stood still', () => {
  test('for longer than an election takes says so, and one that did for less does not', async () => {
    const node = new Node(25);
    const quorum = await node.open();
    node.world.stall('node', 900);
    await node.world.run(node.world.clock.now() + 2000);
    expect(quorum.stallCount).toBe(0);
    node.world.stall('node', 1500);
    await node.world.run(node.world.clock.now() + 3000);
    expect(quorum.stallCount).toBe(1);
  });
});

describe('the publisher', () => {
  test('gives a late subscriber everything at once, then the changes', async () => {
    const node = new Node(30);
    const quorum = await node.open();
    await propose(node, quorum, [topic('a', 1)]);
    const deltas: MetadataDelta[] = [];
    quorum.publisher.subscribe((delta) => deltas.push(delta));
    await propose(node, quorum, [topic('b', 2)]);
    expect(deltas.map(({ topicsCreated, cluster }) => [topicsCreated.map(({ name }) => name), cluster])).toEqual([
      [['a'], true],
      [['b'], false],
    ]);
  });
});

describe('the controller', () => {
  const newTopic = (name: string) => ({
    name,
    partitionCount: 1,
    replicationFactor: 1,
    assignments: [],
    configs: new Map(),
  });

  async function controllerOf(node: Node) {
    const quorum = await node.open();
    const controller = new MetadataController(quorum, node.ports.random, new Map(), NO_PLANTED_BUGS);
    const clusterId = quorum.image.cluster?.id ?? DIRECTORY;
    const broker = {
      id: nodeId(1),
      incarnation: DIRECTORY,
      rack: null,
      listeners: [],
      directories: [DIRECTORY],
      features: [...quorum.image.features.values()].map(({ name, level }) => ({ name, min: 0, max: level })),
    };
    await node.world.complete(controller.submit('registerBroker', { clusterId, broker }));
    const brokerEpoch = quorum.image.brokers.get(nodeId(1))?.brokerEpoch ?? 0;
    await node.world.complete(controller.submit('unfenceBroker', { id: nodeId(1), brokerEpoch }));
    return { quorum, controller, brokerEpoch };
  }

  test('decides each command with the records of all before it', async () => {
    const node = new Node(40);
    const { controller } = await controllerOf(node);
    const twice = Promise.all(
      ['t', 't'].map((name) => controller.submit('createTopics', { topics: [newTopic(name)], validateOnly: false })),
    );
    const results = await node.world.complete(twice);
    expect(results).toMatchObject([
      { response: [{ errorCode: ErrorCode.None }] },
      { response: [{ errorCode: ErrorCode.TopicAlreadyExists }] },
    ]);
  });

  test('answers when the change can be seen', async () => {
    const node = new Node(41);
    const { controller, quorum } = await controllerOf(node);
    const created = controller
      .submit('createTopics', { topics: [newTopic('t')], validateOnly: false })
      .then(() => quorum.image.topic('t')?.partitions[0]?.leader);
    expect(quorum.image.topic('t')).toBeUndefined();
    expect(await node.world.complete(created)).toBe(1);
  });

  test('bounds what waits', async () => {
    const node = new Node(42);
    const { controller } = await controllerOf(node);
    const many = Array.from({ length: 1010 }, (_, at) =>
      controller.submit('createTopics', { topics: [newTopic(`t${at}`)], validateOnly: false }),
    );
    const results = await node.world.complete(Promise.all(many));
    expect(results.filter((result) => result === 'busy')).toHaveLength(9);
  });

  test('takes what partitions wait for in turns with what users ask for, and has room for it', async () => {
    const node = new Node(44);
    const { controller, brokerEpoch } = await controllerOf(node);
    const decided: string[] = [];
    for (let at = 0; at < 1001; at += 1) {
      const command = { topics: [newTopic(`t${at}`)], validateOnly: false };
      void controller.submit('createTopics', command).then(() => decided.push(`t${at}`));
    }
    const broker = { id: nodeId(1), brokerEpoch };
    const drained = controller.submit('drainBroker', broker).then((outcome) => {
      decided.push(typeof outcome === 'object' ? 'drained' : outcome);
    });
    const fenced = controller.submit('fenceBrokers', { brokers: [broker] }).then((outcome) => {
      decided.push(typeof outcome === 'object' ? 'fenced' : outcome);
    });
    await node.world.complete(Promise.all([drained, fenced]));
    expect(decided.slice(0, 4)).toEqual(['t0', 'drained', 't1', 'fenced']);
  });

  test('says what became of a command when the disk is full, when there is no controller, and when it stops', async () => {
    const node = new Node(43);
    const { controller, quorum } = await controllerOf(node);
    const create = (name: string) =>
      controller.submit('createTopics', { topics: [newTopic(name)], validateOnly: false });
    node.broken = { operation: 'write', code: 'ENOSPC' };
    expect(await node.world.complete(create('a'))).toBe('full');
    expect(await node.world.complete(create('a'))).toBe('notController');
    node.broken = undefined;
    await node.world.run(() => quorum.isActive);
    expect(await node.world.complete(create('a'))).toMatchObject({ response: [{ errorCode: ErrorCode.None }] });
    const pending = Promise.all([create('b'), create('c')]);
    const closed = quorum.close();
    expect(await node.world.complete(pending)).toEqual(['unknown', 'notController']);
    await node.world.complete(closed);
  });

  test('never gives a producer id twice, over any power cuts', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.nat(),
        fc.array(fc.double({ min: 0, max: 2, noNaN: true }), { maxLength: 6 }),
        async (seed, lives) => {
          const node = new Node(seed);
          const given: number[] = [];
          for (const lifeMs of lives) {
            const { controller, brokerEpoch } = await controllerOf(node);
            const allocate = () => {
              void controller.submit('allocateProducerIds', { id: nodeId(1), brokerEpoch }).then((block) => {
                if (typeof block === 'string') return;
                given.push(block.response.first);
                allocate();
              });
            };
            allocate();
            await node.world.run(node.world.clock.now() + lifeMs);
            await node.crash();
          }
          expect(new Set(given).size).toBe(given.length);
        },
      ),
      { numRuns: 60 },
    );
  }, 30_000);
});
