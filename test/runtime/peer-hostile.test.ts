import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { nodeId } from '#model/ids';
import { Lane, writeWord } from '#net/peer-frames';
import { PeerDataEncoder } from '#runtime/peer-data';
import { encodeHello, PeerKind } from '#runtime/peer-messages';
import type { PeerHello } from '#runtime/peer-types';
import { Recorder } from '../platform/network-contract.ts';
import { CLUSTER, Stage, type TestNode, testUuid } from './peer-stage.ts';

const encoder = new PeerDataEncoder();

const VISITOR: PeerHello = {
  clusterId: CLUSTER,
  id: nodeId(5),
  directoryId: testUuid(5),
  incarnation: testUuid(77),
  endpoint: { host: 'visitor', port: 9093 },
  roles: ['broker'],
};

function frame(kind: number, payload: Uint8Array): Buffer {
  return Buffer.concat([writeWord(Lane.Urgent, kind, payload.length, false), payload]);
}

function data(kind: number, value: unknown): Buffer {
  return frame(kind, encoder.encode(value, 1 << 20) as Uint8Array);
}

function hello(changes: Partial<PeerHello> = {}, purpose: 'link' | 'probe' = 'link'): Buffer {
  return frame(PeerKind.Hello, encodeHello(encoder, { purpose, wanted: null, hello: { ...VISITOR, ...changes } }));
}

/** Something that connects to the node, says `bytes`, and listens. */
async function visit(stage: Stage, node: TestNode, bytes: Uint8Array): Promise<Recorder> {
  let visitor: Recorder | undefined;
  stage.world.ports(`visitor${visits++}`, { disks: [] }).network.connect(node.endpoint, (connection) => {
    visitor = new Recorder(connection);
    connection.send([bytes]);
    return visitor;
  });
  await stage.pass(100);
  if (visitor === undefined) throw new Error('not connected');
  return visitor;
}

let visits = 0;

/** Something that listens where a peer should, and answers whoever comes with `bytes`. */
async function lure(stage: Stage, bytes: Uint8Array): Promise<void> {
  const ports = stage.world.ports('visitor', { disks: [] });
  await stage.world.complete(
    ports.network.listen(VISITOR.endpoint, (connection) => {
      connection.send([bytes]);
      return new Recorder(connection);
    }),
  );
}

describe('a stranger that connects', () => {
  it.each<[string, Uint8Array, RegExp]>([
    ['announces too much', Uint8Array.of(0, 0xff, 0xff, 0xff), /announced a frame/],
    ['speaks HTTP', Buffer.from('GET /metrics HTTP/1.1\r\n\r\n'), /announced a frame/],
    ['says no hello', data(PeerKind.Request, [1, 'x', null]), /did not begin with a hello/],
    ['begins with a message', frame(PeerKind.Message, Buffer.from('x')), /did not begin with a hello/],
    ['says a hello that is no data', frame(PeerKind.Hello, Uint8Array.of(0xc1)), /unknown form/],
    ['says a hello without a version', data(PeerKind.Hello, ['x']), /begins with its version/],
    ['says a hello of other fields', data(PeerKind.Hello, [1, 'link', null, null, -1]), /other fields/],
    ['says a hello that is too long', writeWord(0, PeerKind.Hello, 9_000, false), /more than 8192 bytes/],
    ['repeats itself as another node', Buffer.concat([hello(), hello({ id: nodeId(6) })]), /another hello/],
    [
      'sends a request that is no data',
      Buffer.concat([hello(), frame(PeerKind.Request, Uint8Array.of(0x91))]),
      /cut off/,
    ],
    ['sends a request of other fields', Buffer.concat([hello(), data(PeerKind.Request, [-1, 'x', 1])]), /other fields/],
    ['sends a response', Buffer.concat([hello(), data(PeerKind.Response, [1, 0, 1])]), /kind 5/],
    ['sends an unknown kind', Buffer.concat([hello(), frame(63, Buffer.from('x'))]), /kind 63/],
    [
      'gives two requests one number',
      Buffer.concat([hello(), data(PeerKind.Request, [1, 'hold', 1]), data(PeerKind.Request, [1, 'hold', 1])]),
      /two requests one number/,
    ],
    [
      'sends messages as a probe',
      Buffer.concat([hello({}, 'probe'), frame(PeerKind.Message, Buffer.from('x'))]),
      /kind 3/,
    ],
  ])('and %s is dropped, with one line', async (_, bytes, sentence) => {
    const stage = new Stage();
    const node = await stage.start(1, { handlers: { hold() {} } });
    const visitor = await visit(stage, node, bytes);
    expect(visitor.causes).toEqual(['reset']);
    expect(node.log.filter((line) => line.includes('peer connection closed'))).toEqual([
      expect.stringMatching(sentence),
    ]);
    expect(node.messages).toEqual([]);
  });

  it('and speaks another version is told so in words', async () => {
    const stage = new Stage();
    const node = await stage.start(1);
    const visitor = await visit(stage, node, data(PeerKind.Hello, [2, 'whatever', 'comes']));
    expect(visitor.text).toContain('it speaks version 2 of the peer protocol, and this node version 1');
    expect(visitor.causes).toEqual(['end']);
    await visit(stage, node, data(PeerKind.Hello, [3]));
    expect(node.log).toHaveLength(2);
  });

  it('and says nothing is dropped after some seconds', async () => {
    const stage = new Stage();
    const node = await stage.start(1);
    const visitor = await visit(stage, node, new Uint8Array(0));
    await stage.pass(4_000);
    expect(visitor.causes).toEqual([]);
    await stage.pass(2_000);
    expect(visitor.causes).toEqual(['reset']);
    expect(node.log).toEqual(['peer connection closed: no hello for 5000 ms']);
  });

  it('is one too many when a thousand are there, until one of them leaves', async () => {
    const stage = new Stage();
    const node = await stage.start(1);
    const ports = stage.world.ports('crowd', { disks: [] });
    const crowd: Recorder[] = [];
    for (let count = 0; count < 1_030; count += 1) {
      ports.network.connect(node.endpoint, (connection) => {
        const visitor = new Recorder(connection, 64);
        crowd.push(visitor);
        return visitor;
      });
    }
    await stage.pass(100);
    expect(crowd.filter(({ causes }) => causes.length > 0)).toHaveLength(6);
    expect(node.log).toEqual(['peer connections are refused: too many are open']);
    for (const visitor of crowd) visitor.connection.reset();
    await stage.pass(100);
    expect((await visit(stage, node, hello())).causes).toEqual([]);
    expect(node.events).toEqual([`connected in 5 by 77`]);
  });

  it('and takes no answers is dropped before they fill the memory', async () => {
    const stage = new Stage();
    const node = await stage.start(1, { handlers: { much: (request) => request.answer('x'.repeat(4_000_000)) } });
    const requests = Array.from({ length: 200 }, (_, index) => data(PeerKind.Request, [index, 'much', null]));
    const ports = stage.world.ports('visitor', { disks: [] });
    let visitor: Recorder | undefined;
    ports.network.connect(node.endpoint, (connection) => {
      visitor = new Recorder(connection);
      connection.pause();
      connection.send([Buffer.concat([hello(), ...requests])]);
      return visitor;
    });
    await stage.world.run(() => node.events.length === 2);
    expect(node.events[1]).toBe('nonsense in 5 by 77');
    expect(node.peers.stats.requestsReceived).toBeLessThan(20);
  });

  it('never does harm, whatever of its bytes are changed, lost or repeated', async () => {
    const whole = Buffer.concat([
      hello(),
      frame(PeerKind.Message, Buffer.from('one')),
      data(PeerKind.Request, [1, 'echo', { a: [1, new Map([[1, 'x']])], b: Uint8Array.of(1, 2) }]),
      frame(PeerKind.Ping, new Uint8Array(0)),
      data(PeerKind.Request, [2, 'hold', null]),
    ]);
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(fc.nat(), fc.integer({ min: 0, max: 255 })), { maxLength: 3 }),
        fc.nat(),
        fc.nat(),
        fc.nat(100),
        async (changes, from, length, seed) => {
          const bytes = Buffer.from(whole);
          for (const [at, byte] of changes) bytes[at % bytes.length] = byte;
          const start = from % bytes.length;
          const mutated = Buffer.concat([bytes.subarray(0, start), bytes.subarray(start + (length % 30))]);
          const stage = new Stage(seed);
          const node = await stage.start(1, {
            handlers: { echo: (request) => request.answer(request.body), hold() {} },
          });
          await visit(stage, node, mutated);
          await stage.pass(7_000);
          // The node lives: a peer that keeps to the protocol is served.
          const peer = await stage.start(2);
          peer.peers.setAddress(node.id, node.endpoint);
          expect(await stage.world.complete(peer.peers.request(node.id, 'echo', 1, 1_000))).toEqual({ body: 1 });
          await stage.world.complete(Promise.all([peer.peers.close(), node.peers.close()]));
        },
      ),
      { numRuns: 150 },
    );
  });
});

describe('a stranger that is dialled', () => {
  it.each<[string, Uint8Array, RegExp]>([
    [
      'speaks another protocol',
      Buffer.from('HTTP/1.1 400 Bad Request\r\n\r\n'),
      /^node 5 is not connected: what listens at visitor:9093 is no peer listener of a node \(it announced a frame of \d+ bytes\): check the addresses of the voters$/,
    ],
    ['answers without a hello', frame(PeerKind.Pong, new Uint8Array(0)), /did not answer with a hello/],
    ['says nonsense for a hello', data(PeerKind.Hello, [1]), /other fields/],
    ['speaks another version', data(PeerKind.Hello, [9]), /speaks version 9/],
    ['is of another cluster', hello({ clusterId: testUuid(201) }), /belongs to cluster/],
    ['is another node', hello({ id: nodeId(6) }), /node 6 listens at visitor:9093, not node 5/],
    ['asks instead of answering', Buffer.concat([hello(), data(PeerKind.Request, [1, 'echo', 1])]), /kind 4/],
    ['answers with no data', Buffer.concat([hello(), frame(PeerKind.Response, Uint8Array.of(0x91))]), /cut off/],
    ['answers with other fields', Buffer.concat([hello(), data(PeerKind.Response, [1, 7, 1])]), /other fields/],
    ['refuses without a sentence', Buffer.concat([hello(), data(PeerKind.Response, [1, 2, 1])]), /is a sentence/],
    ['becomes another node', Buffer.concat([hello(), hello({ incarnation: testUuid(78) })]), /another hello/],
  ])('and %s is dropped; what it was asked is answered', async (_, bytes, sentence) => {
    const stage = new Stage();
    const node = await stage.start(1, { handlers: { echo: (request) => request.answer(request.body) } });
    await lure(stage, bytes);
    node.peers.setAddress(VISITOR.id, VISITOR.endpoint);
    const answer = await stage.world.complete(node.peers.request(VISITOR.id, 'echo', 1, 1_000));
    expect(['unreachable', 'disconnected']).toContain(answer.failure);
    expect(node.log.some((line) => sentence.test(line))).toBe(true);
    expect(node.peers.reached(VISITOR.id)).toBeUndefined();
  });

  it('and speaks another protocol is told of once, however often it is dialled', async () => {
    const stage = new Stage();
    const node = await stage.start(1);
    await lure(stage, Buffer.from('HTTP/1.1 400 Bad Request\r\n\r\n'));
    node.peers.setAddress(VISITOR.id, VISITOR.endpoint);
    node.peers.send(VISITOR.id, Buffer.from('x'));
    await stage.pass(10_000);
    expect(node.peers.stats.dials).toBeGreaterThan(5);
    expect(node.log).toHaveLength(1);
  });

  it('and answers what nobody asked is let be', async () => {
    const stage = new Stage();
    const node = await stage.start(1);
    await lure(stage, Buffer.concat([hello(), data(PeerKind.Response, [400, 0, 1])]));
    node.peers.setAddress(VISITOR.id, VISITOR.endpoint);
    node.peers.send(VISITOR.id, Buffer.from('x'));
    await stage.pass(100);
    expect(node.events).toEqual(['connected out 5 by 77']);
  });

  it('and takes connections but says nothing is given up after two seconds', async () => {
    const stage = new Stage();
    const node = await stage.start(1);
    await lure(stage, new Uint8Array(0));
    node.peers.setAddress(VISITOR.id, VISITOR.endpoint);
    node.peers.send(VISITOR.id, Buffer.from('x'));
    await stage.pass(1_900);
    expect(node.log).toEqual([]);
    await stage.pass(200);
    expect(node.log).toEqual([
      'node 5 is not connected: what listens at visitor:9093 says no hello: it stands still, or is no peer listener of a node',
    ]);
  });
});
