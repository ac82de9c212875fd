import { describe, expect, it } from 'vitest';
import { FaultDisk } from '#faults/fault-disk';
import { ErrorCode } from '#model/errors';
import { parseBrokerConfig } from '#model/parse-broker-config';
import { Node } from '#node/node';
import { createCodecs } from '#platform/codecs';
import { writeAlterReplicaLogDirsRequest } from '#protocol/generated/alter-replica-log-dirs-request';
import { readAlterReplicaLogDirsResponse } from '#protocol/generated/alter-replica-log-dirs-response';
import { ApiKey } from '#protocol/generated/apis';
import { writeCreateTopicsRequest } from '#protocol/generated/create-topics-request';
import { readCreateTopicsResponse } from '#protocol/generated/create-topics-response';
import { writeFetchRequest } from '#protocol/generated/fetch-request';
import { readFetchResponse } from '#protocol/generated/fetch-response';
import { readBatchHeader } from '#protocol/record-batch';
import { iterateRecords } from '#protocol/records';
import { SimWorld } from '#sim/ports/sim-world';
import { batchOfValues, produce } from '../support/produce.ts';
import { WireClient } from '../support/wire-client.ts';

const codecs = createCodecs();
const AT = { host: 'n', port: 9092 };

/** A node with two data directories, and its only topic 't' of one partition. */
class TwoDirectories {
  readonly world: SimWorld;
  readonly disks;
  node!: Node;
  readonly #clients: WireClient[] = [];

  constructor(seed: number) {
    this.world = new SimWorld({ seed, codecs });
    this.disks = ['a', 'b'].map(
      (name) => new FaultDisk(this.world.clock, this.world.disk(name), { ignoreSync: false, outlivesUsers: true }),
    );
  }

  async start(config: Readonly<Record<string, string>> = {}): Promise<void> {
    const entries = { listeners: `PLAINTEXT://${AT.host}:${AT.port}`, ...config };
    const parsed = parseBrokerConfig(new Map(Object.entries(entries)));
    if ('errors' in parsed) throw new Error(parsed.errors.join());
    this.node = new Node(this.world.ports('n', { disks: this.disks }), parsed);
    await this.world.complete(this.node.start());
    const topics = [{ name: 't', numPartitions: 1, replicationFactor: 1, assignments: [], configs: [] }];
    const request = { topics, timeoutMs: 5000 };
    await this.world.complete(
      this.client().request(ApiKey.CreateTopics, 5, request, writeCreateTopicsRequest, readCreateTopicsResponse),
    );
  }

  client(): WireClient {
    const { network } = this.world.ports(`client ${this.#clients.length}`, { disks: [] });
    const client = WireClient.open(network, AT);
    this.#clients.push(client);
    return client;
  }

  /** Which of the node's directories has the replica, by the metadata. */
  get place(): number {
    const image = this.node.view()?.image;
    const [at] = image?.topic('t')?.partitions[0]?.directories ?? [];
    return at === undefined ? -1 : (image?.brokers.get(this.node.id)?.directories ?? []).indexOf(at);
  }

  async moveTo(path: string): Promise<ErrorCode | undefined> {
    const dirs = [{ path, topics: [{ name: 't', partitions: [0] }] }];
    const answer = await this.world.complete(
      this.client().request(
        ApiKey.AlterReplicaLogDirs,
        2,
        { dirs },
        writeAlterReplicaLogDirsRequest,
        readAlterReplicaLogDirsResponse,
      ),
    );
    return answer.results[0]?.partitions[0]?.errorCode as ErrorCode | undefined;
  }

  async produce(client: WireClient, value: string): Promise<ErrorCode> {
    const answer = await produce(client, { topic: 't', timeoutMs: 1000 }, batchOfValues([value]));
    return answer?.errorCode as ErrorCode;
  }

  async values(): Promise<string[]> {
    const partitions = [{ partition: 0, fetchOffset: 0, partitionMaxBytes: 1 << 24 }];
    const request = { maxWaitMs: 0, minBytes: 0, maxBytes: 1 << 24, topics: [{ topic: 't', partitions }] };
    const answer = await this.world.complete(
      this.client().request(ApiKey.Fetch, 12, request, writeFetchRequest, readFetchResponse),
    );
    const bytes = Buffer.concat(answer.responses[0]?.partitions[0]?.records ?? []);
    const values: string[] = [];
    for (let at = 0; at < bytes.length; ) {
      const header = readBatchHeader(bytes, at);
      if (typeof header === 'string') throw new Error(header);
      for (const record of iterateRecords(bytes, header, codecs, 1 << 20)) {
        if (typeof record === 'string') throw new Error(record);
        values.push(Buffer.from(record.value ?? []).toString());
      }
      at += header.sizeBytes;
    }
    return values;
  }
}

describe('a leader whose replica moves to another data directory', () => {
  it.each([1, 2, 3, 4, 5])(
    'goes on leading: whatever was acknowledged is read there, in order (seed %i)',
    async (seed) => {
      const stage = new TwoDirectories(seed);
      const { world } = stage;
      await stage.start();
      await world.run(() => stage.place >= 0);
      const before = stage.place;
      const epoch = stage.node.view()?.image.topic('t')?.partitions[0]?.leaderEpoch;
      const acked: string[] = [];
      let refusals = 0;
      let goesOn = true;
      const producer = stage.client();
      const produceAll = async (): Promise<void> => {
        for (let made = 0; goesOn; ) {
          const error = await stage.produce(producer, `value ${made}`);
          if (error === ErrorCode.None) acked.push(`value ${made++}`);
          else {
            // What a client takes for a reason to ask who leads, and try again.
            expect(error).toBe(ErrorCode.NotLeaderOrFollower);
            refusals += 1;
          }
        }
      };
      const producing = produceAll();
      await world.run(() => acked.length > 50);
      const asked = acked.length;
      expect(await stage.moveTo(stage.disks[1 - before]?.path ?? '')).toBe(ErrorCode.None);
      await world.run(() => stage.place === 1 - before);
      const moved = acked.length;
      await world.run(() => acked.length > moved + 50);
      goesOn = false;
      await world.complete(producing);
      expect(moved).toBeGreaterThan(asked);
      expect(refusals).toBeLessThan(1000);
      const values = await stage.values();
      // One that was refused may have been written even so, and is sent again.
      expect(values.filter((value, index) => value !== values[index - 1])).toEqual(acked);
      expect(stage.node.view()?.image.topic('t')?.partitions[0]?.leaderEpoch).toBe(epoch);
      await world.complete(stage.node.stop());
    },
  );
});

describe('a node that is stopped while a replica moves to another data directory', () => {
  it('moves it on when it is back', async () => {
    const stage = new TwoDirectories(1);
    const { world } = stage;
    await stage.start({ 'replica.alter.log.dirs.io.max.bytes.per.second': '1000' });
    await world.run(() => stage.place >= 0);
    const before = stage.place;
    const producer = stage.client();
    const written = Array.from({ length: 6 }, (_, made) => `${made} ${'v'.repeat(300_000)}`);
    for (const value of written) expect(await world.complete(stage.produce(producer, value))).toBe(ErrorCode.None);
    expect(await stage.moveTo(stage.disks[1 - before]?.path ?? '')).toBe(ErrorCode.None);
    await world.run(world.clock.now() + 5_000);
    expect(stage.place).toBe(before);
    await world.complete(stage.node.stop());
    world.kill('n');
    await stage.start();
    await world.run(() => stage.place === 1 - before);
    expect(await stage.values()).toEqual(written);
    await world.complete(stage.node.stop());
  });
});
