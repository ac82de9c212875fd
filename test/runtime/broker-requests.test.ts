import { describe, expect, test } from 'vitest';
import { Deadlines } from '#base/deadlines';
import type { Endpoint } from '#base/ports';
import { nodeId } from '#model/ids';
import type { Exchange } from '#net/exchange';
import { KafkaListener } from '#net/kafka-listener';
import { createCodecs } from '#platform/codecs';
import { readHeartbeatRequest, writeHeartbeatRequest } from '#protocol/generated/heartbeat-request';
import { readHeartbeatResponse, writeHeartbeatResponse } from '#protocol/generated/heartbeat-response';
import { readRequestHeader, writeResponseHeader } from '#protocol/headers';
import { Reader } from '#protocol/reader';
import { Writer } from '#protocol/writer';
import { BrokerConnections, type WireApi } from '#runtime/broker-requests';
import { SimWorld } from '#sim/ports/sim-world';

const HERE = nodeId(1);
const THERE = nodeId(2);
const VERSION = 4;
const HEARTBEAT: WireApi<Parameters<typeof writeHeartbeatRequest>[1], { readonly throttleTimeMs: number }> = {
  key: 12,
  write: writeHeartbeatRequest,
  read: readHeartbeatResponse,
};
/** As if it were another API's: the header alone says so. */
const OTHER: typeof HEARTBEAT = { ...HEARTBEAT, key: 13 };

/** Two brokers in a simulated world; the test plays the one that answers. */
class Stage {
  readonly world = new SimWorld({ seed: 7, codecs: createCodecs() });
  readonly ports = this.world.ports('here', { disks: [] });
  readonly requests = new BrokerConnections(this.ports, new Deadlines(this.ports.clock), {
    self: HERE,
    endpointOf: () => this.endpoint,
  });
  endpoint: Endpoint | undefined;
  /** What has come to the other broker and has no answer yet. */
  readonly arrived: Exchange[] = [];
  #listener: KafkaListener | undefined;

  async serve(port = 9092): Promise<void> {
    const there = this.world.isAlive('there') ? undefined : this.world.ports('there', { disks: [] });
    if (there === undefined) throw new Error('one process at a time');
    this.#listener = new KafkaListener(
      there,
      {
        maxRequestBytes: 1 << 20,
        requestMemoryBytes: 1 << 20,
        responseMemoryBytes: 1 << 20,
        maxConnections: 10,
        maxConnectionsPerIp: 10,
        maxIdleMs: Number.POSITIVE_INFINITY,
      },
      (exchange) => this.arrived.push(exchange),
    );
    this.endpoint = await this.world.complete(this.#listener.bind(there.network, 'INTERNAL', { host: 'there', port }));
    this.#listener.serve();
  }

  ask(number: number, timeoutMs = 1_000, api = HEARTBEAT): Promise<number | undefined> {
    const request = { groupId: 'g', generationId: number, memberId: '' };
    return this.requests.send(THERE, api, VERSION, request, timeoutMs).then((answer) => answer?.throttleTimeMs);
  }

  async untilArrived(count: number): Promise<void> {
    await this.world.run(() => this.arrived.length >= count);
  }

  /** With the number that was asked, so that answers can be told apart. */
  answer(exchange = this.arrived.shift()): void {
    if (exchange === undefined) throw new Error('nothing was asked');
    const reader = new Reader(exchange.frame);
    const { apiKey, correlationId } = readRequestHeader(reader);
    const { generationId } = readHeartbeatRequest(reader, VERSION);
    const writer = new Writer();
    writer.int32(0);
    writeResponseHeader(writer, apiKey, VERSION, correlationId);
    writeHeartbeatResponse(writer, { throttleTimeMs: generationId, errorCode: 0 }, VERSION);
    writer.patchInt32(0, writer.sizeBytes - 4);
    exchange.respond(writer.chunks(), writer.sizeBytes);
  }
}

describe('requests to another broker', () => {
  test('each gets its own answer, over one connection', async () => {
    const stage = new Stage();
    await stage.serve();
    const answers = Promise.all([stage.ask(1), stage.ask(2), stage.ask(3)]);
    for (let count = 0; count < 3; count += 1) {
      await stage.untilArrived(1);
      stage.answer();
    }
    expect(await stage.world.complete(answers)).toEqual([1, 2, 3]);
  });

  test('one that waits long holds up no request of another API', async () => {
    const stage = new Stage();
    await stage.serve();
    const slow = stage.ask(1);
    await stage.untilArrived(1);
    const held = stage.arrived.shift();
    const quick = stage.ask(2, 1_000, OTHER);
    await stage.untilArrived(1);
    stage.answer();
    expect(await stage.world.complete(quick)).toBe(2);
    stage.answer(held);
    expect(await stage.world.complete(slow)).toBe(1);
  });

  test('an answer that is late is none, and what stands behind it goes over a new connection', async () => {
    const stage = new Stage();
    await stage.serve();
    const late = stage.ask(1, 100);
    await stage.untilArrived(1);
    expect(await stage.world.complete(late)).toBeUndefined();
    const next = stage.ask(2);
    await stage.untilArrived(2);
    stage.answer(stage.arrived[1]);
    expect(await stage.world.complete(next)).toBe(2);
  });

  test('a broker that dies before it has answered leaves the fate unknown; the next request finds the one that comes in its place', async () => {
    const stage = new Stage();
    await stage.serve();
    const lost = stage.ask(1, 60_000);
    await stage.untilArrived(1);
    stage.world.kill('there');
    expect(await stage.world.complete(lost)).toBeUndefined();
    stage.arrived.length = 0;
    expect(await stage.world.complete(stage.ask(2, 60_000))).toBeUndefined();
    await stage.serve(9093);
    const next = stage.ask(3);
    await stage.untilArrived(1);
    stage.answer();
    expect(await stage.world.complete(next)).toBe(3);
  });

  test('a broker that is not registered is not waited for; who asks again and again is slowed down', async () => {
    const stage = new Stage();
    expect(await stage.world.complete(stage.ask(1, 60_000))).toBeUndefined();
    const before = stage.ports.clock.now();
    expect(await stage.world.complete(stage.ask(2, 60_000))).toBeUndefined();
    expect(stage.ports.clock.now() - before).toBeGreaterThanOrEqual(20);
  });

  test('more than can wait are not sent, and are told so at once', async () => {
    const stage = new Stage();
    await stage.serve();
    const asked = Array.from({ length: 1025 }, (_, number) => stage.ask(number, 60_000));
    expect(await asked[1024]).toBeUndefined();
    stage.requests.close();
    expect(new Set(await stage.world.complete(Promise.all(asked)))).toEqual(new Set([undefined]));
  });

  test('nothing is sent once the node is stopping', async () => {
    const stage = new Stage();
    await stage.serve();
    stage.requests.close();
    expect(await stage.ask(1)).toBeUndefined();
    await stage.world.run(stage.world.clock.now() + 1_000);
    expect(stage.arrived).toHaveLength(0);
  });
});
