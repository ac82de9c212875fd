import { describe, expect, it } from 'vitest';
import { createCodecs } from '#platform/codecs';
import { SimWorld } from '#sim/ports/sim-world';
import { HEARTBEAT } from '#sim/workload/groups/group-calls';
import { KafkaClient } from '#sim/workload/kafka-client';
import { Recorder } from '../platform/network-contract.ts';

/** A client is given these bytes, behind their length, as the answer to its first request. */
function answered(body: Uint8Array): Promise<unknown> {
  const world = new SimWorld({ seed: 1, codecs: createCodecs() });
  const at = { host: 'n1', port: 9092 };
  const server = world.ports('n1', { disks: [] });
  const listening = server.network.listen(at, (connection) => {
    const node = new Recorder(connection);
    let isAsked = false;
    node.received = () => {
      if (isAsked) return;
      isAsked = true;
      const frame = Buffer.alloc(4 + body.length);
      frame.writeInt32BE(body.length);
      frame.set(body, 4);
      connection.send([frame]);
    };
    return node;
  });
  const client = KafkaClient.open(world.ports('c1', { disks: [] }), at);
  return world.complete(
    listening.then(() => client.request(HEARTBEAT, { groupId: 'g', memberId: 'm', generationId: 1 }, 1000)),
  );
}

describe('a simulated client', () => {
  /** A whole answer without an error, and so many bytes more. */
  const answer = (correlationId: number, more = 0): Buffer => {
    const bytes = Buffer.alloc(12 + more);
    bytes.writeInt32BE(correlationId);
    return bytes;
  };

  it('takes the answer to what it has asked', async () => {
    expect(await answered(answer(1))).toMatchObject({ response: { errorCode: 0 } });
  });

  it('fails the run if it is answered what it has not asked', async () => {
    await expect(answered(answer(2))).rejects.toThrow('an answer is to what was asked');
  });

  it('fails the run if an answer ends early, or goes on behind its end', async () => {
    await expect(answered(answer(1, -2))).rejects.toThrow(/bytes/);
    await expect(answered(answer(1, 1))).rejects.toThrow('1 bytes after the message');
  });
});
