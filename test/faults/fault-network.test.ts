import { describe, expect, it } from 'vitest';
import type { Connection, Network } from '#base/ports';
import type { LineFault } from '#faults/fault-line';
import { FaultNetwork } from '#faults/fault-network';
import { createCodecs } from '#platform/codecs';
import { NodeClock } from '#platform/node-clock';
import { NodeNetwork } from '#platform/node-network';
import { SimWorld } from '#sim/ports/sim-world';
import { describeNetwork, type NetworkHarness, Recorder } from '../platform/network-contract.ts';

const PORT = 9000;
const codecs = createCodecs();

/** All that is dialled is node 2, and all who come in are clients: every connection goes through a line. */
const everything = { nodeAt: () => 2, isForClients: () => true };

function overSim(seed: number): NetworkHarness & { readonly world: SimWorld; readonly nearFaults: FaultNetwork } {
  const world = new SimWorld({ seed, codecs });
  const ports = { near: world.ports('near', { disks: [] }), far: world.ports('far', { disks: [] }) };
  const near = new FaultNetwork(ports.near, everything);
  const far = new FaultNetwork(ports.far, everything);
  return {
    world,
    near,
    nearFaults: near,
    far,
    at: { host: 'far', port: PORT },
    settle: (promise) => world.complete(promise),
    quiet: () => new Promise((resolve) => world.clock.timer(() => resolve()).arm(100)),
  };
}

describeNetwork('FaultNetwork over the simulated one', async () => overSim(1));

describeNetwork('FaultNetwork over a delay of 2 ms', async () => {
  const harness = overSim(2);
  harness.nearFaults.set(2, { kind: 'delay', ms: 2 });
  return harness;
});

describeNetwork('FaultNetwork over real sockets', async () => ({
  near: new FaultNetwork({ clock: new NodeClock(), network: new NodeNetwork() }, everything),
  far: new FaultNetwork({ clock: new NodeClock(), network: new NodeNetwork() }, everything),
  at: { host: '127.0.0.1', port: 0 },
  settle: (promise) => promise,
  quiet: async () => {
    for (let turn = 0; turn < 50; turn++) await new Promise((resolve) => setImmediate(resolve));
  },
}));

/** Node 1, whose line to node 2 and to its clients are struck; node 2 and a client, both without faults. */
class Stage {
  readonly world = new SimWorld({ seed: 7, codecs });
  readonly #ports = ['one', 'two', 'client'].map((name) => this.world.ports(name, { disks: [] }));
  readonly one: FaultNetwork;
  readonly two: Network;
  readonly client: Network;
  /** What node 2 and node 1 have accepted, in order. */
  readonly atTwo: Recorder[] = [];
  readonly atOne: Recorder[] = [];

  constructor() {
    const [one, two, client] = this.#ports;
    if (one === undefined || two === undefined || client === undefined) throw new Error('three have ports');
    this.one = new FaultNetwork(one, {
      nodeAt: ({ host }) => (host === 'two' ? 2 : undefined),
      isForClients: ({ port }) => port === PORT,
    });
    this.two = two.network;
    this.client = client.network;
  }

  async open(): Promise<this> {
    const listen = (network: Network, host: string, port: number, into: Recorder[]) =>
      this.world.complete(
        network.listen({ host, port }, (connection) => {
          const recorder = new Recorder(connection);
          into.push(recorder);
          return recorder;
        }),
      );
    await listen(this.two, 'two', PORT, this.atTwo);
    await listen(this.one, 'one', PORT, this.atOne);
    await listen(this.one, 'one', PORT + 1, this.atOne);
    return this;
  }

  dial(network: Network, host: string, port = PORT): { recorder: Recorder | undefined } {
    const dialled: { recorder: Recorder | undefined } = { recorder: undefined };
    network.connect({ host, port }, (connection: Connection) => {
      dialled.recorder = new Recorder(connection);
      return dialled.recorder;
    });
    return dialled;
  }

  /** Both ends of a connection from node 1 to node 2. */
  async pair(): Promise<{ near: Recorder; far: Recorder }> {
    const dialled = this.dial(this.one, 'two');
    await this.world.run(() => this.atTwo.length > 0 && dialled.recorder !== undefined);
    return { near: dialled.recorder as Recorder, far: this.atTwo[0] as Recorder };
  }

  wait(ms: number): Promise<void> {
    return this.world.run(this.world.clock.now() + ms);
  }
}

const cut = (way: 'sent' | 'received' | 'both'): LineFault => ({ kind: 'cut', way });
const say = ({ connection }: Recorder, text: string): void => connection.send([Buffer.from(text)]);

describe('a line that is cut', () => {
  it('is silent both ways, and carries what was sent meanwhile when it is healed', async () => {
    const stage = await new Stage().open();
    const { near, far } = await stage.pair();
    stage.one.set(2, cut('both'));
    say(near, 'asked');
    say(far, 'told');
    await stage.wait(5_000);
    expect([near.text, far.text, near.causes, far.causes]).toEqual(['', '', [], []]);
    expect(near.connection.queuedBytes).toBe(5);
    expect(near.flushes).toEqual([]);
    stage.one.set(2, undefined);
    await stage.wait(5_000);
    expect([near.text, far.text, near.connection.queuedBytes]).toEqual(['told', 'asked', 0]);
  });

  it.each([
    ['sent', 'told', ''],
    ['received', '', 'asked'],
  ] as const)('one way, that of what is %s, carries the other', async (way, atNear, atFar) => {
    const stage = await new Stage().open();
    const { near, far } = await stage.pair();
    stage.one.set(2, cut(way));
    await stage.wait(10);
    say(near, 'asked');
    say(far, 'told');
    await stage.wait(5_000);
    expect([near.text, far.text]).toEqual([atNear, atFar]);
  });

  it.each(['sent', 'received', 'both'] as const)(
    'lets no dial through, cut for what is %s, until it is healed',
    async (way) => {
      const stage = await new Stage().open();
      stage.one.set(2, cut(way));
      const dialled = stage.dial(stage.one, 'two');
      await stage.wait(10);
      say(dialled.recorder as Recorder, 'hello');
      await stage.wait(5_000);
      expect([stage.atTwo.length, dialled.recorder?.causes]).toEqual([0, []]);
      stage.one.healAll();
      await stage.wait(5_000);
      expect(stage.atTwo[0]?.text).toBe('hello');
    },
  );

  it('keeps from the peer that a connection was given up, and from the owner that the peer did so', async () => {
    const stage = await new Stage().open();
    const { near, far } = await stage.pair();
    const second = stage.dial(stage.one, 'two');
    await stage.world.run(() => stage.atTwo.length === 2);
    stage.one.set(2, cut('both'));
    await stage.wait(10);
    near.connection.reset();
    stage.atTwo[1]?.connection.reset();
    await stage.wait(5_000);
    expect([near.causes, far.causes, second.recorder?.causes]).toEqual([['reset'], [], []]);
    stage.one.healAll();
    await stage.wait(5_000);
    expect([near.causes, far.causes, second.recorder?.causes]).toEqual([['reset'], ['reset'], ['reset']]);
  });

  it('gives a connection up half a minute after its owner has ended it, and the peer hears of that when it is healed', async () => {
    const stage = await new Stage().open();
    const { near, far } = await stage.pair();
    stage.one.set(2, cut('both'));
    await stage.wait(10);
    say(near, 'the last');
    near.connection.end();
    await stage.wait(29_000);
    expect([near.causes, far.causes]).toEqual([[], []]);
    await stage.wait(2_000);
    expect([near.causes, far.causes]).toEqual([['reset'], []]);
    stage.one.healAll();
    await stage.wait(5_000);
    expect([far.text, far.causes]).toEqual(['', ['reset']]);
  });

  it('gives an attempt up that its owner resets: nothing is dialled after it is healed', async () => {
    const stage = await new Stage().open();
    stage.one.set(2, cut('both'));
    const dialled = stage.dial(stage.one, 'two');
    await stage.wait(10);
    dialled.recorder?.connection.reset();
    await stage.wait(10);
    stage.one.healAll();
    await stage.wait(5_000);
    expect([dialled.recorder?.causes, stage.atTwo.length]).toEqual([['reset'], 0]);
  });

  it('for clients leaves other nodes alone, at the listener that is theirs and where they are dialled', async () => {
    const stage = await new Stage().open();
    stage.one.set('clients', cut('both'));
    const client = stage.dial(stage.client, 'one');
    const node = stage.dial(stage.two, 'one', PORT + 1);
    const { near, far } = await stage.pair();
    await stage.world.run(() => stage.atOne.length === 2);
    for (const { recorder } of [client, node]) say(recorder as Recorder, 'hello');
    say(near, 'hello');
    await stage.wait(5_000);
    expect([...stage.atOne.map(({ text }) => text).sort(), far.text]).toEqual(['', 'hello', 'hello']);
    expect([...stage.one.faults]).toEqual([['clients', cut('both')]]);
    stage.one.healAll();
    await stage.wait(5_000);
    expect(stage.atOne.map(({ text }) => text)).toEqual(['hello', 'hello']);
    expect([...stage.one.faults]).toEqual([]);
  });
});

describe('a line that refuses', () => {
  it('breaks what is open, and every new connection, until it is healed', async () => {
    const stage = await new Stage().open();
    const { near, far } = await stage.pair();
    stage.one.set(2, { kind: 'refuse' });
    const refused = stage.dial(stage.one, 'two');
    await stage.wait(1_000);
    expect([near.causes, far.causes, refused.recorder?.causes]).toEqual([['reset'], ['reset'], ['refused']]);
    expect(stage.atTwo).toHaveLength(1);
    stage.one.set(2, undefined);
    const again = stage.dial(stage.one, 'two');
    await stage.world.run(() => stage.atTwo.length === 2);
    say(again.recorder as Recorder, 'here');
    await stage.wait(1_000);
    expect(stage.atTwo[1]?.text).toBe('here');
  });
});

describe('a line with a delay', () => {
  it('carries each way so much later, and in order', async () => {
    const stage = await new Stage().open();
    const { near, far } = await stage.pair();
    stage.one.set(2, { kind: 'delay', ms: 300 });
    await stage.wait(10);
    say(near, 'as');
    say(near, 'ked');
    say(far, 'told');
    await stage.wait(290);
    expect([near.text, far.text]).toEqual(['', '']);
    await stage.wait(20);
    expect([near.text, far.text]).toEqual(['told', 'asked']);
  });

  it('ends a connection behind what was sent on it', async () => {
    const stage = await new Stage().open();
    const { near, far } = await stage.pair();
    stage.one.set(2, { kind: 'delay', ms: 300 });
    say(near, 'the last');
    near.connection.end();
    await stage.wait(290);
    expect(far.causes).toEqual([]);
    await stage.wait(1_000);
    expect([far.text, far.causes, near.causes]).toEqual(['the last', ['end'], ['end']]);
  });

  it('has what is under way arrive at once when it is healed', async () => {
    const stage = await new Stage().open();
    const { near, far } = await stage.pair();
    stage.one.set(2, { kind: 'delay', ms: 60_000 });
    say(near, 'slow');
    await stage.wait(1_000);
    expect(far.text).toBe('');
    stage.one.set(2, undefined);
    await stage.wait(10);
    expect(far.text).toBe('slow');
  });

  it('stops taking from a peer beyond what it may hold, and loses nothing of it', async () => {
    const stage = await new Stage().open();
    const { near, far } = await stage.pair();
    stage.one.set(2, { kind: 'delay', ms: 1_000 });
    await stage.wait(10);
    const bytes = Buffer.alloc(8 * 1024 * 1024, 'x');
    far.connection.send([bytes]);
    await stage.wait(500);
    expect(far.connection.queuedBytes).toBeGreaterThan(0);
    await stage.world.run(() => near.receivedBytes === bytes.length);
  });
});
