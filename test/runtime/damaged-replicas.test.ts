import { expect, test } from 'vitest';
import type { LoseReplicasCommand } from '#metadata/lost-replicas';
import { ErrorCode } from '#model/errors';
import { uuid } from '#model/ids';
import { DamagedReplicas } from '#runtime/damaged-replicas';
import { Partition } from '#runtime/partition';
import { FakeClock } from './fake-clock.ts';
import { homeOf, ME } from './replica-stage.ts';

const T = uuid('AAAAAAAAAAAAAAAAAAAAAQ');

/** Two damaged replicas, t-0 and t-1, and what the controller says of each. */
function setUp(outcomes: () => unknown) {
  const clock = new FakeClock();
  const asked: (readonly number[])[] = [];
  const replaced: number[] = [];
  const damaged = new DamagedReplicas({
    clock,
    self: ME,
    store: { isDamaged: () => true },
    link: {
      submit: (_operation: string, command: unknown) => {
        asked.push((command as LoseReplicasCommand).replicas.map(({ partition }) => partition));
        return Promise.resolve(outcomes());
      },
    } as never,
    table: () => ({
      replaceDamaged: async ({ index }) => {
        replaced.push(index);
        return true;
      },
    }),
    brokerEpoch: () => 3,
  });
  for (const index of [0, 1]) damaged.opened(new Partition(homeOf(), 't', T, index, undefined));
  const pass = async (ms: number): Promise<void> => {
    clock.advance(ms);
    for (let turns = 0; turns < 20; turns += 1) await undefined;
  };
  return { damaged, asked, replaced, pass };
}

test('a damaged replica begins anew only when others have everything; the last one stays, and is asked about again', async () => {
  let second: ErrorCode = ErrorCode.EligibleLeadersNotAvailable;
  const { damaged, asked, replaced, pass } = setUp(() => ({
    errorCode: ErrorCode.None,
    replicas: asked.at(-1)?.map((index) => ({ errorCode: index === 0 ? ErrorCode.None : second })),
  }));
  await pass(0);
  expect([asked, replaced, damaged.count]).toEqual([[[0, 1]], [0], 1]);
  second = ErrorCode.None;
  await pass(5_000);
  expect([asked.at(-1), replaced, damaged.count]).toEqual([[1], [0, 1], 0]);
});

test.each(['timeout', { errorCode: ErrorCode.StaleBrokerEpoch, replicas: [] }])(
  'without a decision (%j) every damaged replica stays as it is',
  async (answer) => {
    const { damaged, asked, replaced, pass } = setUp(() => answer);
    await pass(0);
    await pass(5_000);
    expect([asked.length, replaced, damaged.count]).toEqual([2, [], 2]);
  },
);
