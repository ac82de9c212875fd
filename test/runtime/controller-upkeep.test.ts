import { expect, test } from 'vitest';
import type { MetadataDelta } from '#metadata/delta';
import { ResourceType } from '#metadata/records';
import { ControllerUpkeep } from '#runtime/controller-upkeep';
import { FakeClock } from './fake-clock.ts';

const NOTHING: MetadataDelta = {
  index: 1,
  topicsCreated: [],
  topicsDeleted: [],
  partitions: [],
  electedOutOfSync: [],
  configs: [],
  brokers: [],
  fenced: [],
  cluster: false,
};

test.each([true, false])(
  'what has no leader is looked at soon after a config has changed, whether leaders are balanced (%s) or not',
  async (balancesLeaders) => {
    const clock = new FakeClock();
    const decided: unknown[] = [];
    let publish: (delta: MetadataDelta) => void = () => {};
    const quorum = {
      isActive: true,
      onRole: () => {},
      publisher: {
        subscribe: (run: (delta: MetadataDelta) => void) => {
          publish = run;
        },
      },
    };
    const controller = {
      submit: (operation: string, command: object) => {
        if (operation === 'balanceLeaders') decided.push(command);
        return Promise.resolve({ response: { moving: 0, isPartial: false } });
      },
    };
    const sessions = { fullDirectories: () => [] };
    const parts = { quorum, controller, sessions } as never;
    const upkeep = new ControllerUpkeep(clock, parts, { balancesLeaders, checkMs: 300_000 });
    const pass = async (ms: number): Promise<void> => {
      clock.advance(ms);
      for (let turns = 0; turns < 20; turns += 1) await undefined;
    };
    publish(NOTHING);
    await pass(10_000);
    expect(decided).toEqual([]);
    publish({ ...NOTHING, configs: [{ type: ResourceType.Topic, name: 't' }] });
    await pass(10_000);
    expect(decided).toMatchObject([{ leaderlessOnly: !balancesLeaders }]);
    upkeep.stop();
  },
);
