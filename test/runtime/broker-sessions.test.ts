import { describe, expect, test } from 'vitest';
import type { Endpoint } from '#base/ports';
import type { BrokerListener } from '#metadata/records';
import { ErrorCode } from '#model/errors';
import { type NodeId, nodeId, uuidFromBytes } from '#model/ids';
import { NO_PLANTED_BUGS } from '#model/planted-bugs';
import { BrokerSessions } from '#runtime/broker-sessions';
import type { PeerHello } from '#runtime/peer-types';
import { FakeClock } from './fake-clock.ts';

const SESSION_MS = 2_000;
const HEARTBEAT_MS = 200;
/** On three racks: those of one are found gone together. */
const BROKERS = [1, 2, 3, 4, 5, 6, 7, 8, 9].map(nodeId);
const RACK = [7, 8, 9].map(nodeId);

const incarnationOf = (id: NodeId) => uuidFromBytes(Uint8Array.from({ length: 16 }, () => id));
const epochOf = (id: NodeId) => 100 + id;

interface Entry {
  readonly brokers: readonly number[];
  answer(decided: object | string): void;
}

/** The active controller's sessions; the test decides what comes of its commands, and who answers probes. */
class Stage {
  readonly clock = new FakeClock();
  readonly entries: Entry[] = [];
  readonly dead = new Set<NodeId>();
  /** They have not greeted this node yet. */
  readonly strangers = new Set<NodeId>();
  readonly sessions: BrokerSessions;
  readonly quorum: { isActive: boolean; leaderId: NodeId | undefined; leaderHeardAt: number };
  #roleChanged: () => void = () => {};

  constructor(replicasOfEach = 100) {
    const brokers = new Map(
      BROKERS.map((id) => [
        id,
        {
          id,
          brokerEpoch: epochOf(id),
          incarnation: incarnationOf(id),
          fenced: false,
          directories: [],
          listeners: [{ host: '', port: id }],
        },
      ]),
    );
    const self = { id: nodeId(1) };
    const quorum = {
      self,
      isActive: true,
      leaderId: self.id as NodeId | undefined,
      leaderHeardAt: 0,
      mayChangeVoters: false,
      image: { brokers, replicaCountOf: () => replicasOfEach },
      publisher: { subscribe: () => {} },
      onRole: (run: () => void) => {
        this.#roleChanged = run;
      },
    };
    this.quorum = quorum;
    const controller = {
      submit: (_operation: string, command: { readonly brokers: readonly { readonly id: NodeId }[] }) =>
        new Promise((answer) => this.entries.push({ brokers: command.brokers.map(({ id }) => id), answer })),
    };
    const peers = {
      addressOf: (id: NodeId) => (this.strangers.has(id) ? undefined : { id }),
      knock: async ({ port }: Endpoint) => (this.dead.has(nodeId(port)) ? 'refused' : 'error'),
      probe: async ({ id }: { readonly id: NodeId }) =>
        this.dead.has(id) ? 'refused' : { hello: { id, incarnation: incarnationOf(id) } },
    };
    const endpointOf = ([first]: readonly BrokerListener[]) => first;
    const options = { sessionMs: SESSION_MS, heartbeatMs: HEARTBEAT_MS, planted: NO_PLANTED_BUGS, endpointOf };
    this.sessions = new BrokerSessions(this.clock, { quorum, controller, peers } as never, options);
  }

  async start(): Promise<this> {
    this.#roleChanged();
    await this.settle();
    return this;
  }

  /** undefined: nobody, as far as this node knows. */
  async leads(id: NodeId | undefined): Promise<void> {
    Object.assign(this.quorum, { isActive: id === nodeId(1), leaderId: id });
    await this.start();
  }

  async settle(ms = 0): Promise<void> {
    for (let turns = 0; turns < 20; turns += 1) await undefined;
    this.clock.advance(ms);
    for (let turns = 0; turns < 20; turns += 1) await undefined;
  }

  /** Its process is gone, and its connections break; found by two probes. */
  die(id: NodeId): void {
    this.dead.add(id);
    this.sessions.lost({ id, incarnation: incarnationOf(id) } as PeerHello);
  }

  hear(id: NodeId): void {
    const heartbeat = { id, brokerEpoch: epochOf(id), incarnation: incarnationOf(id), appliedIndex: 1000 };
    expect(this.sessions.heard({ ...heartbeat, wantsWork: true }).errorCode).toBe(ErrorCode.None);
  }

  /** The oldest entry is committed, or is not. */
  async answer(place: number, decided: object | string = {}): Promise<void> {
    this.entries[place]?.answer(decided);
    await this.settle();
  }

  get fenced(): readonly (readonly number[])[] {
    return this.entries.map(({ brokers }) => brokers);
  }
}

describe('a broker that was the controller', () => {
  test('is given less time by the next one, but not once that has led itself, and led again', async () => {
    const stage = new Stage();
    const former = nodeId(2);
    await stage.leads(former);
    stage.quorum.leaderHeardAt = stage.clock.now();
    await stage.settle(SESSION_MS);
    await stage.leads(nodeId(1));
    for (const id of BROKERS) stage.hear(id);
    await stage.settle(SESSION_MS / 4);
    await stage.leads(undefined);
    await stage.leads(nodeId(1));
    for (const id of BROKERS) if (id !== former) stage.hear(id);
    await stage.settle(SESSION_MS / 2);
    expect(stage.fenced).toEqual([]);
  });
});

describe('brokers that are found gone', () => {
  test('in the same turn are fenced in one entry, as those of a rack whose connections break together', async () => {
    const stage = await new Stage().start();
    for (const id of RACK) stage.die(id);
    for (let tries = 0; tries < 5; tries += 1) await stage.settle(20);
    expect(stage.fenced).toEqual([[7, 8, 9]]);
  });

  test('in the same turn by their silence, too', async () => {
    const stage = await new Stage().start();
    for (let ms = 0; ms < SESSION_MS; ms += HEARTBEAT_MS) {
      for (const id of BROKERS) if (!RACK.includes(id)) stage.hear(id);
      await stage.settle(HEARTBEAT_MS);
    }
    await stage.settle();
    expect(stage.fenced).toEqual([[7, 8, 9]]);
  });

  test('while an entry is on its way share the next one', async () => {
    const stage = await new Stage().start();
    for (const id of RACK) {
      stage.die(id);
      for (let tries = 0; tries < 5; tries += 1) await stage.settle(20);
    }
    expect(stage.fenced).toEqual([[7]]);
    await stage.answer(0);
    expect(stage.fenced).toEqual([[7], [8, 9]]);
    await stage.answer(1);
    expect(stage.fenced).toHaveLength(2);
  });

  test('before they have ever met this node, where nobody listens at their Kafka address either', async () => {
    const stage = new Stage();
    const [dead, living] = [nodeId(8), nodeId(9)];
    stage.strangers.add(dead).add(living);
    stage.dead.add(dead);
    await stage.start();
    for (let tries = 0; tries < 5; tries += 1) await stage.settle(20);
    expect(stage.fenced).toEqual([[8]]);
  });

  test('are more entries if there is much to decide: this node must not lose its place over it', async () => {
    const stage = await new Stage(4_000).start();
    for (const id of RACK) stage.die(id);
    for (let tries = 0; tries < 5; tries += 1) await stage.settle(20);
    expect(stage.fenced).toEqual([[7, 8]]);
    await stage.answer(0);
    expect(stage.fenced).toEqual([[7, 8], [9]]);
  });

  test('are fenced later if it comes to nothing, unless they are heard of', async () => {
    const stage = await new Stage().start();
    for (const id of RACK) stage.die(id);
    for (let tries = 0; tries < 5; tries += 1) await stage.settle(20);
    await stage.answer(0, 'busy');
    stage.hear(nodeId(8));
    await stage.settle(HEARTBEAT_MS);
    expect(stage.fenced).toEqual([
      [7, 8, 9],
      [7, 9],
    ]);
  });
});
