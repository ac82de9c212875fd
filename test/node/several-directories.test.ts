import { afterEach, describe, expect, it } from 'vitest';
import { FaultDisk } from '#faults/fault-disk';
import type { Partition } from '#metadata/records';
import { parseBrokerConfig } from '#model/parse-broker-config';
import { Node } from '#node/node';
import { createCodecs } from '#platform/codecs';
import { ApiKey } from '#protocol/generated/apis';
import { writeCreateTopicsRequest } from '#protocol/generated/create-topics-request';
import { readCreateTopicsResponse } from '#protocol/generated/create-topics-response';
import { SimWorld } from '#sim/ports/sim-world';
import { WireClient } from '../support/wire-client.ts';

describe('a node with two data directories', () => {
  let world: SimWorld;
  let node: Node;
  let isBroken = false;

  async function start(): Promise<void> {
    isBroken = false;
    world = new SimWorld({ seed: 5, codecs: createCodecs() });
    const first = new FaultDisk(world.clock, world.disk('a'), { ignoreSync: false });
    const second = new FaultDisk(world.clock, world.disk('b'), {
      ignoreSync: false,
      strike: () => (isBroken ? { fail: 'EIO' } : undefined),
    });
    const parsed = parseBrokerConfig(new Map([['listeners', 'PLAINTEXT://n:9092']]));
    if ('errors' in parsed) throw new Error(parsed.errors.join());
    node = new Node(world.ports('n', { disks: [first, second] }), parsed);
    await world.complete(node.start());
  }

  async function create(name: string): Promise<void> {
    const client = WireClient.open(world.ports(`client of ${name}`, { disks: [] }).network, { host: 'n', port: 9092 });
    const topics = [{ name, numPartitions: 4, replicationFactor: 1, assignments: [], configs: [] }];
    const request = { topics, timeoutMs: 5000, validateOnly: false };
    await world.complete(
      client.request(ApiKey.CreateTopics, 5, request, writeCreateTopicsRequest, readCreateTopicsResponse),
    );
  }

  const partitions = (): readonly Partition[] => node.view()?.image.topic('t')?.partitions ?? [];
  const directories = () => node.view()?.image.brokers.get(node.id)?.directories ?? [];

  afterEach(async () => {
    await world.complete(node.stop());
  });

  it('records in which of them each replica is', async () => {
    await start();
    await create('t');
    await world.run(() =>
      partitions().every(({ directories: [at] }) => at !== undefined && directories().includes(at)),
    );
    const counts = directories().map((id) => partitions().filter(({ directories: [at] }) => at === id).length);
    expect(counts).toEqual([2, 2]);
  });

  it('records that one has failed: nothing in it is led any more', async () => {
    await start();
    await create('t');
    const both = directories();
    await world.run(() => partitions().every(({ directories: [at] }) => at !== undefined && both.includes(at)));
    isBroken = true;
    await create('u');
    await world.run(() => directories().length === 1);
    const led = partitions().map(({ leader, directories: [at] }) => [leader !== null, at === both[0]]);
    expect(led.every(([isLed, isInFirst]) => isLed === isInFirst)).toBe(true);
  });
});
