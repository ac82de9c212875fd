import { afterAll, expect, it } from 'vitest';
import { ErrorCode } from '#model/errors';
import { batchOfValues, produce } from '../support/produce.ts';
import { ThreeNodes } from './three-nodes.ts';

const TOPIC = 't';
const cluster = new ThreeNodes();
afterAll(() => cluster.stop());

function write(sequence: number): Promise<ErrorCode | 'closed'> {
  const batch = batchOfValues([`${sequence}`], { producerId: 1000, producerEpoch: 0, baseSequence: sequence });
  return produce(cluster.client(1), { topic: TOPIC }, batch).then(
    (answer) => answer?.errorCode as ErrorCode,
    () => 'closed',
  );
}

function changeLinks(hosts: readonly string[], change: 'cut' | 'heal'): void {
  const { network, clock } = cluster.world;
  for (const host of hosts) {
    network.link('n1', host)[change](clock.now());
    network.link(host, 'n1')[change](clock.now());
  }
}

it('what was sent to a leader while it was cut off does not come to it when it leads again: the connection has ended', async () => {
  await cluster.start([1, 2, 3]);
  await cluster.createTopic(TOPIC, [[1, 2, 3]]);
  expect(await cluster.world.complete(write(0))).toBe(ErrorCode.None);

  changeLinks(['n2', 'n3', 'client-1'], 'cut');
  // The second of two batches, of which the first has been refused and was sent elsewhere since.
  const late = write(2);
  await cluster.runFor(10_000);
  expect(cluster.leaderOf(TOPIC, 0)).toBe(1);
  expect(cluster.node(2).view()?.image.partition(TOPIC, 0)?.leader).not.toBe(1);
  changeLinks(['n2', 'n3'], 'heal');
  await cluster.world.run(() => cluster.node(2).view()?.image.partition(TOPIC, 0)?.leader === 1);
  await cluster.runFor(1_000);
  changeLinks(['client-1'], 'heal');
  expect(await cluster.world.complete(late)).toBe('closed');
});
