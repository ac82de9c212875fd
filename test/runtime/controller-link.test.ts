import { describe, expect, test } from 'vitest';
import { Deadlines } from '#base/deadlines';
import { ErrorCode } from '#model/errors';
import { nodeId } from '#model/ids';
import { ControllerLink } from '#runtime/controller-link';
import { DECIDE, type DecideRequest, HEARTBEAT } from '#runtime/controller-protocol';
import { REQUESTS_MAX } from '#runtime/peer-requests';
import type { PeerAnswer } from '#runtime/peer-types';
import { FakeClock } from './fake-clock.ts';

const LONG_MS = 60_000;

/** A node and the active controller, which is another one and decides when the test says so. */
class Stage {
  readonly clock = new FakeClock();
  readonly link: ControllerLink;
  /** What the controller was asked to decide, in its order. */
  readonly asked: string[] = [];
  readonly #underWay: ((answer: PeerAnswer) => void)[] = [];

  constructor() {
    const quorum = { self: { id: nodeId(1) }, leaderId: nodeId(2), epoch: 1, appliedIndex: 100, onRole: () => {} };
    const peers = {
      request: (_to: number, operation: string, body: unknown): Promise<PeerAnswer> => {
        if (this.#underWay.length >= REQUESTS_MAX) return Promise.resolve({ failure: 'busy', reason: 'too many' });
        if (operation !== DECIDE) return Promise.resolve({ body: { errorCode: ErrorCode.None } });
        this.asked.push((body as DecideRequest).operation);
        return new Promise((answer) => this.#underWay.push(answer));
      },
    };
    const deadlines = new Deadlines(this.clock);
    this.link = new ControllerLink(this.clock, deadlines, quorum as never, {} as never, peers as never);
  }

  create(): Promise<unknown> {
    return this.link.submit('createTopics', { topics: [], validateOnly: false }, LONG_MS);
  }

  async settle(ms = 0): Promise<void> {
    for (let turns = 0; turns < 20; turns += 1) await undefined;
    this.clock.advance(ms);
    for (let turns = 0; turns < 20; turns += 1) await undefined;
  }

  /** Everything that it has been asked by now. */
  async decide(): Promise<void> {
    for (const answer of this.#underWay.splice(0)) answer({ body: { index: 1, response: [] } });
    await this.settle();
  }
}

describe('however many topics are being created', () => {
  test('a heartbeat finds room, and so does a change of what is in sync', async () => {
    const stage = new Stage();
    for (let count = 0; count < 1000; count += 1) void stage.create();
    await stage.settle();
    expect(await stage.link.ask(HEARTBEAT, {}, LONG_MS)).toEqual({ errorCode: ErrorCode.None });
    void stage.link.submit('alterPartition', { id: nodeId(1), brokerEpoch: 1, partitions: [] }, LONG_MS);
    await stage.settle();
    expect(stage.asked.at(-1)).toBe('alterPartition');
  });

  test('all of them are, in their turn', async () => {
    const stage = new Stage();
    let created = 0;
    for (let count = 0; count < 1000; count += 1)
      void stage.create().then(() => {
        created += 1;
      });
    await stage.settle();
    for (let round = 0; created < 1000 && round < 20; round += 1) await stage.decide();
    expect([created, stage.asked.length]).toEqual([1000, 1000]);
  });

  test('those whose time is up before their turn are not asked for any more', async () => {
    const stage = new Stage();
    const answers: unknown[] = [];
    for (let count = 0; count < 1000; count += 1) void stage.create().then((answer) => answers.push(answer));
    await stage.settle();
    const before = stage.asked.length;
    await stage.settle(LONG_MS);
    expect(answers).toEqual(Array(1000).fill('timeout'));
    await stage.decide();
    expect(stage.asked.length).toBe(before);
  });
});

test('a link that stops lets nobody wait for a turn', async () => {
  const stage = new Stage();
  const answers: unknown[] = [];
  for (let count = 0; count < 1000; count += 1) void stage.create().then((answer) => answers.push(answer));
  await stage.settle();
  const waiting = 1000 - stage.asked.length;
  stage.link.stop();
  await stage.settle();
  expect(answers).toEqual(Array(waiting).fill('stopped'));
});
