import { describe, expect, test } from 'vitest';
import { createTopic } from '../support/fresh-client.ts';
import { until } from '../support/process.ts';
import { threeNodes } from './support.ts';

/** For a machine with more to do: `make trials` measures. */
const SOON_MS = 10_000;

describe('three processes', () => {
  test('elect another controller when theirs is killed, and it comes back as a follower', async () => {
    const cluster = await threeNodes();
    await createTopic([cluster.portOf(1)], 'before', SOON_MS);
    const first = await cluster.controller();
    await cluster.kill(first);
    const others = cluster.awake.map((id) => cluster.portOf(id));
    await createTopic(others, 'after', SOON_MS);
    const second = await cluster.controller();
    expect(second).not.toBe(first);
    cluster.spawn(first);
    await cluster.allRegistered();
    expect(await cluster.controller()).toBe(second);
    expect([...((await cluster.seenAt(first))?.topics.keys() ?? [])].sort()).toEqual(['after', 'before']);
  });

  test('elect another controller when theirs stands still, and it follows when it goes on', async () => {
    const cluster = await threeNodes();
    const first = await cluster.controller();
    cluster.pause(first);
    const others = cluster.awake.map((id) => cluster.portOf(id));
    await createTopic(others, 'meanwhile', SOON_MS);
    const second = await cluster.controller();
    cluster.resume(first);
    await cluster.allRegistered();
    expect(await cluster.controller()).toBe(second);
    await until('the topic at the former controller', SOON_MS, async () =>
      (await cluster.seenAt(first))?.topics.has('meanwhile') ? true : undefined,
    );
  });

  test('fence a killed broker soon, and let it in again when it is back', async () => {
    const cluster = await threeNodes();
    const controller = await cluster.controller();
    const [victim = 0, witness = 0] = cluster.ids.filter((id) => id !== controller);
    await cluster.kill(victim);
    await until('the killed broker is fenced', SOON_MS, async () =>
      (await cluster.seenAt(witness))?.brokers.some(({ id }) => id === victim) === false ? true : undefined,
    );
    cluster.spawn(victim);
    await cluster.allRegistered();
    expect(await cluster.controller()).toBe(controller);
  });

  test('lose nothing when all are killed at once and started again', async () => {
    const cluster = await threeNodes();
    const names = Array.from({ length: 20 }, (_, index) => `topic-${index}`);
    for (const [index, name] of names.entries()) {
      await createTopic([cluster.portOf((index % 3) + 1)], name, SOON_MS);
    }
    const before = await cluster.seenAt(1);
    await cluster.killAll();
    for (const id of cluster.ids) cluster.spawn(id);
    await cluster.allRegistered();
    for (const id of cluster.ids) {
      const after = await cluster.seenAt(id);
      expect(after?.clusterId).toBe(before?.clusterId);
      expect([...(after?.topics.keys() ?? [])].sort()).toEqual([...names].sort());
    }
    await createTopic([cluster.portOf(3)], 'afterwards', SOON_MS);
  });

  test('lose nothing while they are restarted one after the other, and serve all the time', async () => {
    const cluster = await threeNodes();
    for (const id of cluster.ids) {
      const restarted = cluster.restart(id);
      const others = cluster.ids.filter((other) => other !== id).map((other) => cluster.portOf(other));
      await createTopic(others, `while-${id}-restarts`, SOON_MS);
      await restarted;
    }
    await cluster.allRegistered();
    for (const id of cluster.ids) {
      const topics = (await cluster.seenAt(id))?.topics.keys() ?? [];
      expect([...topics].sort()).toEqual(['while-1-restarts', 'while-2-restarts', 'while-3-restarts']);
    }
  });
});
