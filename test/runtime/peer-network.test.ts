import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { nodeId } from '#model/ids';
import type { PeerRequest } from '#runtime/peer-types';
import { CLUSTER, Stage, type TestNode, testUuid } from './peer-stage.ts';

async function pair(seed = 1, options = {}): Promise<{ stage: Stage; a: TestNode; b: TestNode }> {
  const stage = new Stage(seed);
  const [a, b] = (await stage.cluster(2, options)) as [TestNode, TestNode];
  return { stage, a, b };
}

const count = (lines: readonly string[], pattern: RegExp): number => lines.filter((line) => pattern.test(line)).length;

describe('one-way messages', () => {
  it('arrive whole and in order, those from before the connection too, however the network cuts them', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.nat(1000),
        fc.array(fc.integer({ min: 0, max: 200_000 }), { minLength: 1, maxLength: 6 }),
        async (seed, sizes) => {
          const { stage, a, b } = await pair(seed);
          const texts = sizes.map((size, index) => `${index}`.repeat(size));
          for (const text of texts) expect(a.send(b, text)).toBe(true);
          await stage.world.run(() => b.messages.length === texts.length);
          expect(b.messages.every((message, index) => message === `1: ${texts[index]}`)).toBe(true);
          expect(a.events).toEqual(['connected out 2 by 2']);
          expect(b.events).toEqual(['connected in 1 by 1']);
        },
      ),
      { numRuns: 25 },
    );
  });

  it('have the same history for the same seed', async () => {
    const history = async (): Promise<string[]> => {
      const { stage, a, b } = await pair(5);
      const times: string[] = [];
      for (let round = 0; round < 20; round += 1) {
        a.send(b, 'x'.repeat(100 * round));
        await stage.world.run(() => b.messages.length === round + 1);
        times.push(`${stage.world.clock.now()}`);
      }
      return times;
    };
    expect(await history()).toEqual(await history());
  });

  it('go to a node whose address nobody told, once it has said hello', async () => {
    const stage = new Stage();
    const a = await stage.start(1);
    const b = await stage.start(2);
    expect(a.send(b, 'too early')).toBe(false);
    b.peers.setAddress(a.id, a.endpoint);
    b.send(a, 'hello');
    await stage.world.run(() => a.messages.length === 1);
    expect(a.peers.addressOf(b.id)).toEqual(b.endpoint);
    expect(a.send(b, 'there you are')).toBe(true);
    await stage.world.run(() => b.messages.length === 1);
  });

  it('are dropped beyond a bound while the peer takes nothing, and flow again when it is back', async () => {
    const { stage, a, b } = await pair();
    a.send(b, 'first');
    await stage.world.run(() => b.messages.length === 1);
    b.cable.cut = true;
    const payload = Buffer.alloc(100_000);
    for (let sent = 0; sent < 1_000; sent += 1) a.peers.send(b.id, payload);
    expect(a.peers.stats.messagesDropped).toBeGreaterThan(500);
    expect(a.peers.stats.messagesSent).toBeLessThan(200);
    await stage.pass(6_500);
    expect(a.events).toEqual(['connected out 2 by 2', 'silence out 2 by 2']);
    expect(b.events).toEqual(['connected in 1 by 1', 'silence in 1 by 1']);
    for (let sent = 0; sent < 1_000; sent += 1) a.peers.send(b.id, payload);
    expect(a.peers.stats.messagesSent).toBeLessThan(220);
    b.cable.cut = false;
    await stage.pass(3_500);
    a.send(b, 'again');
    await stage.world.run(() => b.messages.at(-1) === '1: again');
  });
});

describe('a connection', () => {
  it('is dialled again after a kill, and tells which incarnation was lost and which has come', async () => {
    const { stage, a, b } = await pair();
    a.send(b, 'one');
    b.send(a, 'one');
    await stage.world.run(() => a.messages.length + b.messages.length === 2);
    a.events.length = 0;
    stage.kill(b);
    await stage.pass(5);
    expect(a.events.toSorted()).toEqual(['reset in 2 by 2', 'reset out 2 by 2']);
    await stage.pass(2_000);
    expect(a.events).toHaveLength(2);
    const restarted = await stage.start(2);
    await stage.pass(1_100);
    expect(a.events.slice(2)).toEqual(['connected out 2 by 3']);
    expect(a.peers.reached(b.id)?.incarnation).toBe(testUuid(3));
    a.send(b, 'two');
    await stage.world.run(() => restarted.messages.length === 1);
    expect(count(a.log, /nobody listens/)).toBe(1);
  });

  it('is dialled at once when the peer is heard of, whatever the back-off', async () => {
    const { stage, a, b } = await pair();
    a.send(b, 'one');
    await stage.world.run(() => b.messages.length === 1);
    stage.kill(b);
    await stage.pass(5_000);
    const restarted = await stage.start(2);
    restarted.peers.setAddress(a.id, a.endpoint);
    const from = stage.world.clock.now();
    restarted.send(a, 'I am back');
    await stage.world.run(() => a.messages.length === 1 && a.peers.reached(b.id) !== undefined);
    expect(stage.world.clock.now() - from).toBeLessThan(30);
  });

  it('is dialled with a back-off that doubles from 20 ms to a second', async () => {
    const { stage, a, b } = await pair();
    stage.kill(b);
    a.send(b, 'x');
    await stage.pass(150);
    expect(a.peers.stats.dials).toBeGreaterThanOrEqual(4);
    expect(a.peers.stats.dials).toBeLessThanOrEqual(6);
    await stage.pass(10_000);
    expect(a.peers.stats.dials).toBeGreaterThan(15);
    expect(a.peers.stats.dials).toBeLessThan(30);
  });

  it('that has held for a while begins the back-off anew', async () => {
    const { stage, a, b } = await pair();
    stage.kill(b);
    a.send(b, 'x');
    await stage.pass(10_000);
    const restarted = await stage.start(2);
    await stage.pass(3_000);
    a.send(restarted, 'y');
    const { dials } = a.peers.stats;
    stage.kill(restarted);
    await stage.pass(150);
    expect(a.peers.stats.dials - dials).toBeGreaterThanOrEqual(3);
  });

  it('is not dialled for ever for a node to which nothing is sent', async () => {
    const { stage, a, b } = await pair();
    stage.kill(b);
    a.send(b, 'x');
    await stage.pass(35_000);
    const { dials } = a.peers.stats;
    await stage.pass(60_000);
    expect(a.peers.stats.dials).toBe(dials);
    a.send(b, 'x');
    await stage.pass(1);
    expect(a.peers.stats.dials).toBe(dials + 1);
  });

  it('stays while nothing is sent over it', async () => {
    const { stage, a, b } = await pair();
    a.send(b, 'one');
    await stage.pass(120_000);
    expect(a.events).toEqual(['connected out 2 by 2']);
    expect(b.events).toEqual(['connected in 1 by 1']);
  });

  it('is found dead within seconds when the other host goes silent, and comes back within seconds', async () => {
    const { stage, a, b } = await pair();
    a.send(b, 'one');
    b.send(a, 'one');
    await stage.pass(1_000);
    a.events.length = 0;
    b.cable.cut = true;
    await stage.pass(7_500);
    expect(a.events.toSorted()).toEqual(['silence in 2 by 2', 'silence out 2 by 2']);
    expect(count(a.log, /nothing was heard/)).toBe(2);
    await stage.pass(10_000);
    b.cable.cut = false;
    await stage.pass(4_000);
    expect(a.peers.reached(b.id)).toBeDefined();
    expect(a.peers.heard(b.id)).toBeDefined();
  });

  it('follows the peer to another address, and stays where it is when told the same again', async () => {
    const { stage, a, b } = await pair();
    a.send(b, 'one');
    await stage.pass(10);
    a.peers.setAddress(b.id, b.endpoint);
    await stage.pass(10);
    expect(a.events).toEqual(['connected out 2 by 2']);
    stage.kill(b);
    const moved = await stage.start(2, { host: 'elsewhere' });
    a.peers.setAddress(b.id, moved.endpoint);
    a.send(b, 'two');
    await stage.world.run(() => moved.messages.length > 0);
  });

  it('to another address carries what was sent since the change; what was asked before is answered', async () => {
    const { stage, a, b } = await pair(1, { handlers: { hold() {} } });
    const moved = await stage.start(2, { host: 'elsewhere' });
    const asked = a.peers.request(b.id, 'hold', 1, 60_000);
    await stage.pass(10);
    a.peers.setAddress(b.id, moved.endpoint);
    expect(a.send(b, 'two')).toBe(true);
    expect(await stage.world.complete(asked)).toMatchObject({ failure: 'disconnected' });
    await stage.world.run(() => moved.messages.length === 1);
    expect(a.events).toEqual(['connected out 2 by 2', 'replaced out 2 by 2', 'connected out 2 by 3']);
  });

  it('is ended by forget, and no other is dialled', async () => {
    const { stage, a, b } = await pair();
    a.send(b, 'one');
    await stage.pass(10);
    a.send(b, 'last');
    a.peers.forget(b.id);
    expect(a.send(b, 'too late')).toBe(false);
    await stage.pass(2_000);
    expect(b.messages).toEqual(['1: one', '1: last']);
    expect(a.events).toEqual(['connected out 2 by 2', 'forgotten out 2 by 2']);
    expect(b.events).toEqual(['connected in 1 by 1', 'end in 1 by 1']);
    expect(a.peers.stats.dials).toBe(1);
  });
});

describe('a greeting', () => {
  it('is refused for another cluster, and both logs say so once', async () => {
    const stage = new Stage();
    const a = await stage.start(1);
    const b = await stage.start(2, { clusterId: testUuid(201) });
    a.peers.setAddress(b.id, b.endpoint);
    for (let second = 0; second < 10; second += 1) {
      a.send(b, 'x');
      await stage.pass(1_000);
    }
    expect([...a.events, ...b.events, ...b.messages]).toEqual([]);
    expect(a.peers.stats.dials).toBeGreaterThan(5);
    for (const { log } of [a, b]) {
      expect(log).toHaveLength(1);
      expect(log[0]).toContain(`node 1 at node1:9093 belongs to cluster ${CLUSTER}`);
    }
  });

  it('is accepted from a node without a cluster, which is told apart once it joins another', async () => {
    const stage = new Stage();
    const a = await stage.start(1);
    const b = await stage.start(2, { clusterId: null });
    b.peers.setAddress(a.id, a.endpoint);
    b.send(a, 'x');
    await stage.world.run(() => a.messages.length === 1);
    b.peers.joined(CLUSTER);
    b.send(a, 'y');
    await stage.world.run(() => a.messages.length === 2);
    expect(a.peers.heard(b.id)?.clusterId).toBe(CLUSTER);
    b.peers.joined(testUuid(201));
    await stage.pass(20);
    expect(a.events.filter((event) => event.includes(' in '))).toEqual(['connected in 2 by 2', 'error in 2 by 2']);
    expect(count(b.log, /belongs to cluster/)).toBe(1);
  });

  it('is refused for a node id that another node holds, as long as that one is connected', async () => {
    const stage = new Stage();
    const a = await stage.start(1);
    const b = await stage.start(2);
    const impostor = await stage.start(2, { host: 'impostor', directory: 99 });
    for (const node of [b, impostor]) node.peers.setAddress(a.id, a.endpoint);
    b.send(a, 'first');
    await stage.world.run(() => a.messages.length === 1);
    impostor.send(a, 'second');
    await stage.pass(3_000);
    expect(impostor.log).toEqual([expect.stringContaining('node id 2 is in use by the node at node2:9093')]);
    expect(count(a.log, /turned away: node id 2 is in use/)).toBe(1);
    stage.kill(b);
    impostor.send(a, 'third');
    await stage.pass(1_500);
    expect(a.messages.at(-1)).toBe('2: third');
  });

  it("is refused for the listener's own node id, and from itself", async () => {
    const stage = new Stage();
    const a = await stage.start(1);
    const twin = await stage.start(1, { host: 'twin', directory: 50 });
    twin.peers.setAddress(nodeId(7), a.endpoint);
    a.peers.setAddress(nodeId(8), a.endpoint);
    twin.peers.send(nodeId(7), Buffer.from('x'));
    a.peers.send(nodeId(8), Buffer.from('x'));
    await stage.pass(1_000);
    expect(twin.log).toEqual([expect.stringContaining('node 1 listens at node1:9093, not node 7')]);
    expect([...a.events, ...twin.events]).toEqual([]);
  });

  it('is said again when the node has joined a cluster while it was on its way', async () => {
    const stage = new Stage();
    const a = await stage.start(1);
    const b = await stage.start(2, { clusterId: null });
    b.peers.setAddress(a.id, a.endpoint);
    b.send(a, 'x');
    await stage.world.run(() => a.events.length === 1);
    expect(b.events).toEqual([]);
    b.peers.joined(CLUSTER);
    await stage.pass(10);
    expect(a.peers.heard(b.id)?.clusterId).toBe(CLUSTER);
  });

  it('of a new incarnation shows that the connection to the old one is dead', async () => {
    const { stage, a, b } = await pair();
    b.send(a, 'one');
    await stage.pass(10);
    a.cable.cut = true;
    const restarted = await stage.start(1, { host: 'node1b', directory: 1 });
    restarted.peers.setAddress(b.id, b.endpoint);
    restarted.send(b, 'back');
    await stage.world.run(() => b.messages.length === 1);
    await stage.pass(30);
    expect(b.events.filter((event) => event.includes(' out '))).toEqual([
      'connected out 1 by 1',
      'replaced out 1 by 1',
      'connected out 1 by 3',
    ]);
    b.send(a, 'two');
    await stage.world.run(() => restarted.messages.length === 1);
  });

  it('with a newer connection takes the place of the older one of the same node', async () => {
    const { stage, a, b } = await pair();
    a.send(b, 'one');
    await stage.pass(10);
    // The process is replaced while its host keeps the old connection open.
    a.cable.cut = true;
    const restarted = await stage.start(1, { host: 'node1b', directory: 1 });
    restarted.peers.setAddress(b.id, b.endpoint);
    restarted.send(b, 'two');
    await stage.world.run(() => b.messages.length === 2);
    expect(b.events.filter((event) => event.includes(' in '))).toEqual([
      'connected in 1 by 1',
      'replaced in 1 by 1',
      'connected in 1 by 3',
    ]);
  });
});

describe('a request', () => {
  const echo = { echo: (request: PeerRequest) => request.answer(request.body) };

  it('is answered with plain data of any size, over the connection that it came by', async () => {
    const { stage, a, b } = await pair(1, { handlers: echo });
    for (const body of [null, [1, 'two', new Map([[3, Uint8Array.of(4)]])], 'x'.repeat(300_000)]) {
      expect(await stage.world.complete(a.peers.request(b.id, 'echo', body, 5_000))).toEqual({ body });
    }
    expect(b.peers.stats.dials).toBe(0);
  });

  it('of some size lets one-way messages pass', async () => {
    const { stage, a, b } = await pair(1, { handlers: echo });
    a.send(b, 'first');
    await stage.pass(10);
    let answeredAt = 0;
    const answer = a.peers.request(b.id, 'echo', 'x'.repeat(2_000_000), 60_000).then(() => {
      answeredAt = stage.world.clock.now();
    });
    await stage.pass(1);
    a.send(b, 'urgent');
    await stage.world.run(() => b.messages.length === 2);
    const arrivedAt = stage.world.clock.now();
    await stage.world.complete(answer);
    expect(arrivedAt).toBeLessThan(answeredAt / 2);
  });

  it('times out, and its late answer is nobody’s', async () => {
    const held: PeerRequest[] = [];
    const { stage, a, b } = await pair(1, {
      handlers: { ...echo, hold: (request: PeerRequest) => held.push(request) },
    });
    const answer = await stage.world.complete(a.peers.request(b.id, 'hold', 1, 300));
    expect(answer).toEqual({ failure: 'timeout', reason: 'no answer within 300 ms' });
    held[0]?.answer('late');
    expect(await stage.world.complete(a.peers.request(b.id, 'echo', 2, 300))).toEqual({ body: 2 });
  });

  it('is answered "disconnected" when the peer dies, and its handler’s side is told of the end of the asker', async () => {
    const held: PeerRequest[] = [];
    const { stage, a, b } = await pair(1, { handlers: { hold: (request: PeerRequest) => held.push(request) } });
    const answer = a.peers.request(b.id, 'hold', 1, 60_000);
    await stage.world.run(() => held.length === 1);
    stage.kill(b);
    expect(await stage.world.complete(answer)).toMatchObject({ failure: 'disconnected' });

    const other = await pair(2, { handlers: { hold: (request: PeerRequest) => held.push(request) } });
    void other.a.peers.request(other.b.id, 'hold', 1, 60_000);
    await other.stage.world.run(() => held.length === 2);
    let gone = 0;
    held[1]?.whenGone(() => {
      gone += 1;
    });
    other.stage.kill(other.a);
    await other.stage.pass(10);
    expect(gone).toBe(1);
    held[1]?.answer('to nobody');
    held[1]?.whenGone(() => {
      gone += 1;
    });
    expect(gone).toBe(1);
  });

  it('is answered "unreachable" when nothing left this node', async () => {
    const { stage, a, b } = await pair(1, { handlers: echo });
    expect(await a.peers.request(nodeId(9), 'echo', 1, 1_000)).toMatchObject({ failure: 'unreachable' });
    stage.kill(b);
    expect(await stage.world.complete(a.peers.request(b.id, 'echo', 1, 5_000))).toEqual({
      failure: 'unreachable',
      reason: 'nobody listens at node2:9093',
    });
    expect(await a.peers.request(b.id, 'echo', 1, 5_000)).toMatchObject({ failure: 'unreachable' });
    const silent = await pair(2, { handlers: echo });
    silent.b.cable.cut = true;
    const from = silent.stage.world.clock.now();
    const answer = await silent.stage.world.complete(silent.a.peers.request(silent.b.id, 'echo', 1, 500));
    expect(answer).toMatchObject({ failure: 'unreachable' });
    expect(silent.stage.world.clock.now() - from).toBeLessThan(510);
  });

  it('is refused by its handler, for want of one, or for its size or that of its answer', async () => {
    const huge = 'x'.repeat(17 * 1024 * 1024);
    const handlers = {
      ...echo,
      no: (request: PeerRequest) => request.refuse('never on a Sunday'),
      huge: (request: PeerRequest) => request.answer(huge),
    };
    const { stage, a, b } = await pair(1, { handlers });
    const ask = (operation: string, body: unknown) =>
      stage.world.complete(a.peers.request(b.id, operation, body, 5_000));
    expect(await ask('no', 1)).toEqual({ failure: 'refused', reason: 'never on a Sunday' });
    expect(await ask('unknown', 1)).toEqual({ failure: 'refused', reason: 'there is no operation unknown' });
    expect(await ask('huge', 1)).toEqual({ failure: 'refused', reason: 'the answer is larger than 16777216 bytes' });
    expect(await ask('echo', huge)).toEqual({ failure: 'refused', reason: 'a request is larger than 16777216 bytes' });
    expect(await ask('echo', 1)).toEqual({ body: 1 });
  });

  it('is answered "busy" beyond a number on their way, or bytes that the peer does not take', async () => {
    const held: PeerRequest[] = [];
    const { stage, a, b } = await pair(1, { handlers: { hold: (request: PeerRequest) => held.push(request) } });
    const failures: (string | undefined)[] = [];
    const ask = (body: unknown): void => {
      void a.peers.request(b.id, 'hold', body, 60_000).then(({ failure }) => failures.push(failure));
    };
    for (let index = 0; index < 300; index += 1) ask(index);
    await stage.world.run(() => held.length === 256);
    expect(failures).toEqual(Array.from({ length: 44 }, () => 'busy'));
    for (const request of held) request.answer(null);
    await stage.world.run(() => failures.length === 300);

    b.cable.cut = true;
    const large = new Uint8Array(10 * 1024 * 1024);
    for (let index = 0; index < 6; index += 1) ask(large);
    await stage.pass(1);
    expect(failures.slice(300)).toEqual(['busy', 'busy']);
  });

  it('is answered "busy" by a peer that has too many bytes of requests in hand, unless it is small', async () => {
    const held: PeerRequest[] = [];
    const { stage, a, b } = await pair(1, { handlers: { hold: (request: PeerRequest) => held.push(request) } });
    const large = new Uint8Array(15 * 1024 * 1024);
    const outcomes: (string | undefined)[] = [];
    for (let index = 0; index < 6; index += 1) {
      void a.peers.request(b.id, 'hold', large, 600_000).then(({ failure }) => outcomes.push(failure));
      await stage.world.run(() => held.length + outcomes.length === index + 1);
    }
    expect(held).toHaveLength(5);
    expect(outcomes).toEqual(['busy']);
    // A small one, as a heartbeat is, waits for none of them.
    void a.peers.request(b.id, 'hold', 1, 600_000);
    await stage.world.run(() => held.length + outcomes.length === 7);
    expect(held).toHaveLength(6);
    for (const request of held.splice(0)) request.answer(null);
    void a.peers.request(b.id, 'hold', 1, 600_000);
    await stage.world.run(() => held.length === 1);
  });

  it('that no plain data is, is a broken invariant', async () => {
    const { a, b } = await pair();
    expect(() => a.peers.request(b.id, 'x', new Date(0), 100)).toThrow(/plain data/);
  });
});

describe('a probe', () => {
  it('tells who is at an address, and is no coming or going there', async () => {
    const { stage, a, b } = await pair();
    const result = await stage.world.complete(a.peers.probe(b.endpoint, 1_000));
    expect(result).toMatchObject({
      hello: { id: 2, incarnation: testUuid(2), endpoint: b.endpoint, roles: ['broker', 'controller'] },
    });
    await stage.pass(100);
    expect(b.events).toEqual([]);
    a.send(b, 'x');
    await stage.world.run(() => b.messages.length === 1);
    await stage.world.complete(a.peers.probe(b.endpoint, 1_000));
    await stage.pass(100);
    expect(b.events).toEqual(['connected in 1 by 1']);
  });

  it('is refused where nobody listens, and times out where nobody answers', async () => {
    const { stage, a, b } = await pair();
    expect(await stage.world.complete(a.peers.probe({ host: 'node2', port: 1 }, 1_000))).toBe('refused');
    b.cable.cut = true;
    const from = stage.world.clock.now();
    expect(await stage.world.complete(a.peers.probe(b.endpoint, 200))).toBe('timeout');
    expect(stage.world.clock.now() - from).toBeLessThan(210);
  });

  it('is an error where a node of another cluster answers, or none', async () => {
    const stage = new Stage();
    const a = await stage.start(1);
    const b = await stage.start(2, { clusterId: testUuid(201) });
    expect(await stage.world.complete(a.peers.probe(b.endpoint, 1_000))).toBe('error');
    a.peers.setAddress(b.id, b.endpoint);
    const probe = a.peers.probe(b.endpoint, 1_000);
    await stage.world.complete(a.peers.close());
    expect(await probe).toBe('error');
  });
});

describe('a network that is closed', () => {
  it('has answered everything, says nothing more, and lets what was sent leave', async () => {
    const { stage, a, b } = await pair(1, { handlers: { hold() {} } });
    a.send(b, 'one');
    await stage.pass(10);
    const answers = [
      a.peers.request(b.id, 'hold', 1, 60_000),
      a.peers.request(nodeId(9), 'hold', 1, 60_000),
      a.peers.probe(b.endpoint, 9_000),
    ];
    a.send(b, 'last');
    await stage.world.complete(a.peers.close());
    expect(await stage.world.complete(Promise.all(answers))).toMatchObject([
      { failure: 'disconnected' },
      { failure: 'unreachable' },
      'error',
    ]);
    expect(a.send(b, 'x')).toBe(false);
    expect(await a.peers.request(b.id, 'hold', 1, 10)).toMatchObject({ failure: 'unreachable' });
    expect(await a.peers.probe(b.endpoint, 10)).toBe('error');
    await stage.pass(100);
    expect(b.messages).toEqual(['1: one', '1: last']);
    expect(b.events).toEqual(['connected in 1 by 1', 'end in 1 by 1']);
    expect(a.events).toEqual(['connected out 2 by 2']);
    const { dials } = a.peers.stats;
    await stage.pass(5_000);
    expect(a.peers.stats.dials).toBe(dials);
  });

  it('leaves nothing to happen in the world', async () => {
    const { stage, a, b } = await pair(1, { handlers: { hold() {} } });
    a.send(b, 'one');
    b.send(a, 'one');
    void a.peers.request(b.id, 'hold', 1, 60_000);
    await stage.pass(50);
    await stage.world.complete(Promise.all([a.peers.close(), b.peers.close()]));
    await expect(stage.world.run(() => stage.world.clock.now() > 120_000)).rejects.toThrow('nothing is left to happen');
  });
});
