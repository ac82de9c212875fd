import { afterAll, expect, it } from 'vitest';
import { ErrorCode } from '#model/errors';
import { batchOfValues, produce } from '../support/produce.ts';
import { ThreeNodes } from './three-nodes.ts';

const TOPIC = 't';
const cluster = new ThreeNodes();
afterAll(() => cluster.stop());

/** By a producer whose sequences are counted by hand. */
async function write(at: number, sequence: number, timeoutMs: number): Promise<ErrorCode | undefined> {
  const batch = batchOfValues([`${sequence}`], { producerId: 1000, producerEpoch: 0, baseSequence: sequence });
  const answer = await cluster.world.complete(produce(cluster.client(at), { topic: TOPIC, timeoutMs }, batch));
  return answer?.errorCode as ErrorCode | undefined;
}

function changeLinks(change: 'cut' | 'heal'): void {
  const { network, clock } = cluster.world;
  for (const other of ['n2', 'n3']) {
    network.link('n1', other)[change](clock.now());
    network.link(other, 'n1')[change](clock.now());
  }
}

it('a leader that was deposed without hearing of it tells no producer that records are missing', async () => {
  await cluster.start([1, 2, 3]);
  await cluster.createTopic(TOPIC, [[1, 2, 3]]);
  expect(await write(1, 0, 10_000)).toBe(ErrorCode.None);
  expect(await write(1, 2, 10_000)).toBe(ErrorCode.OutOfOrderSequenceNumber);

  changeLinks('cut');
  await cluster.runFor(20_000);
  const successor = cluster.node(2).view()?.image.partition(TOPIC, 0)?.leader ?? 0;
  expect([2, 3]).toContain(successor);
  expect(await write(successor, 1, 10_000)).toBe(ErrorCode.None);
  expect(cluster.node(1).view()?.image.partition(TOPIC, 0)?.leader).toBe(1);
  expect(await write(1, 2, 1_000)).toBe(ErrorCode.RequestTimedOut);

  // Nor while it is about to hear of it: it was fenced, and ends its connections.
  const late = write(1, 2, 10_000).catch((failure: Error) => failure.message);
  changeLinks('heal');
  expect(await late).toBe('connection closed: end');
  expect(await write(successor, 2, 10_000)).toBe(ErrorCode.None);
});
