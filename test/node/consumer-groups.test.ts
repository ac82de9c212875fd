import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { FaultDisk } from '#faults/fault-disk';
import { ErrorCode } from '#model/errors';
import { parseBrokerConfig } from '#model/parse-broker-config';
import { Node } from '#node/node';
import { createCodecs } from '#platform/codecs';
import { ApiKey } from '#protocol/generated/apis';
import {
  type ConsumerGroupHeartbeatRequestInput,
  writeConsumerGroupHeartbeatRequest,
} from '#protocol/generated/consumer-group-heartbeat-request';
import {
  type ConsumerGroupHeartbeatResponse,
  readConsumerGroupHeartbeatResponse,
} from '#protocol/generated/consumer-group-heartbeat-response';
import { writeCreatePartitionsRequest } from '#protocol/generated/create-partitions-request';
import { readCreatePartitionsResponse } from '#protocol/generated/create-partitions-response';
import { writeCreateTopicsRequest } from '#protocol/generated/create-topics-request';
import { readCreateTopicsResponse } from '#protocol/generated/create-topics-response';
import { writeFindCoordinatorRequest } from '#protocol/generated/find-coordinator-request';
import { readFindCoordinatorResponse } from '#protocol/generated/find-coordinator-response';
import { writeIncrementalAlterConfigsRequest } from '#protocol/generated/incremental-alter-configs-request';
import { readIncrementalAlterConfigsResponse } from '#protocol/generated/incremental-alter-configs-response';
import { SimWorld } from '#sim/ports/sim-world';
import { WireClient } from '../support/wire-client.ts';

/** One node over simulated ports, and consumers of the new protocol. */
class OneNode {
  readonly world = new SimWorld({ seed: 1, codecs: createCodecs() });
  readonly #memory = this.world.disk('d');
  #disk: FaultDisk | undefined;
  #node: Node | undefined;
  #client: WireClient | undefined;
  #lives = 0;

  async start(): Promise<void> {
    this.#lives += 1;
    this.#disk = new FaultDisk(this.world.clock, this.#memory, { ignoreSync: false });
    const parsed = parseBrokerConfig(
      new Map([
        ['listeners', 'PLAINTEXT://n:9092'],
        ['group.consumer.assignment.interval.ms', '0'],
      ]),
    );
    if ('errors' in parsed) throw new Error(parsed.errors.join());
    this.#node = new Node(this.world.ports('n', { disks: [this.#disk] }), parsed);
    await this.world.complete(this.#node.start());
    const ports = this.world.ports(`client-${this.#lives}`, { disks: [] });
    this.#client = WireClient.open(ports.network, { host: 'n', port: 9092 });
  }

  async losePower(): Promise<void> {
    this.world.kill('n');
    if (this.#disk !== undefined) await this.world.complete(this.#disk.crash(this.world.random));
  }

  async stop(): Promise<void> {
    if (this.#node !== undefined) await this.world.complete(this.#node.stop());
  }

  request<Q, A>(...args: Parameters<typeof WireClient.prototype.request<Q, A>>): Promise<A> {
    if (this.#client === undefined) throw new Error('not started');
    return this.world.complete(this.#client.request(...args));
  }

  createTopic(name: string, numPartitions: number) {
    const topics = [{ name, numPartitions, replicationFactor: 1, assignments: [], configs: [] }];
    return this.request(ApiKey.CreateTopics, 7, { topics }, writeCreateTopicsRequest, readCreateTopicsResponse);
  }

  /** Until the group has a coordinator and that has loaded it. */
  async heartbeat(more: Partial<ConsumerGroupHeartbeatRequestInput>): Promise<ConsumerGroupHeartbeatResponse> {
    const request = { groupId: 'g', memberId: 'm1', memberEpoch: 0, ...more };
    for (let tries = 0; tries < 100; tries += 1) {
      const answer = await this.request(
        ApiKey.ConsumerGroupHeartbeat,
        1,
        request,
        writeConsumerGroupHeartbeatRequest,
        readConsumerGroupHeartbeatResponse,
      );
      if (![ErrorCode.NotCoordinator, ErrorCode.CoordinatorLoadInProgress].some((code) => code === answer.errorCode)) {
        return answer;
      }
      const key = { keyType: 0, coordinatorKeys: ['g'] };
      await this.request(ApiKey.FindCoordinator, 4, key, writeFindCoordinatorRequest, readFindCoordinatorResponse);
      await this.pass(100);
    }
    throw new Error('no coordinator');
  }

  pass(ms: number): Promise<void> {
    return this.world.complete(new Promise<void>((resolve) => this.world.clock.timer(() => resolve()).arm(ms)));
  }
}

const joining = { rebalanceTimeoutMs: 60_000, subscribedTopicNames: ['orders'], topicPartitions: [] };

describe('consumer groups of a node', () => {
  let node: OneNode;
  beforeEach(async () => {
    node = new OneNode();
    await node.start();
  });
  afterEach(() => node.stop());

  it('outlive its power cut, follow their topics, and have configs of their own', async () => {
    await node.createTopic('orders', 2);
    const joined = await node.heartbeat(joining);
    expect(joined).toMatchObject({ errorCode: ErrorCode.None, memberEpoch: 1, heartbeatIntervalMs: 5_000 });
    expect(joined.assignment?.topicPartitions).toMatchObject([{ partitions: [0, 1] }]);

    await node.losePower();
    await node.start();
    expect(await node.heartbeat({ memberEpoch: 1 })).toMatchObject({ errorCode: ErrorCode.None, memberEpoch: 1 });

    const grown = { topics: [{ name: 'orders', count: 3, assignments: null }], timeoutMs: 1000, validateOnly: false };
    await node.request(ApiKey.CreatePartitions, 3, grown, writeCreatePartitionsRequest, readCreatePartitionsResponse);
    const more = await node.heartbeat({ memberEpoch: 1 });
    expect(more).toMatchObject({ errorCode: ErrorCode.None, memberEpoch: 2 });
    expect(more.assignment?.topicPartitions).toMatchObject([{ partitions: [0, 1, 2] }]);

    const configs = [{ name: 'consumer.heartbeat.interval.ms', configOperation: 0, value: '9000' }];
    await node.request(
      ApiKey.IncrementalAlterConfigs,
      1,
      { resources: [{ resourceType: 32, resourceName: 'g', configs }], validateOnly: false },
      writeIncrementalAlterConfigsRequest,
      readIncrementalAlterConfigsResponse,
    );
    expect(await node.heartbeat({ memberEpoch: 2 })).toMatchObject({ memberEpoch: 2, heartbeatIntervalMs: 9_000 });
  });

  it('match topics by regex as they come', async () => {
    const byRegex = { ...joining, subscribedTopicNames: [], subscribedTopicRegex: 'pay.*' };
    await node.createTopic('payments', 1);
    const { memberEpoch } = await node.heartbeat(byRegex);
    await node.pass(1_000);
    const first = await node.heartbeat({ memberEpoch });
    expect(first.assignment?.topicPartitions).toMatchObject([{ partitions: [0] }]);
    await node.createTopic('payouts', 2);
    // The first beat after ten seconds asks for the new topics, the next one has them.
    await node.pass(11_000);
    await node.heartbeat({ memberEpoch: first.memberEpoch });
    await node.pass(1_000);
    const second = await node.heartbeat({ memberEpoch: first.memberEpoch });
    const partitions = second.assignment?.topicPartitions.map((topic) => topic.partitions.length) ?? [];
    expect(partitions.toSorted()).toEqual([1, 2]);
  });
});
