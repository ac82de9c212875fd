import { expect, test } from 'vitest';
import type { MetadataImage } from '#metadata/image';
import { ErrorCode } from '#model/errors';
import { uuid } from '#model/ids';
import { DirectoryReports } from '#runtime/directory-reports';
import { FakeClock } from './fake-clock.ts';
import { ledPartition, ME } from './replica-stage.ts';
import { StubLog } from './stub-log.ts';

const T = uuid('AAAAAAAAAAAAAAAAAAAAAQ');
const [GOOD, FAILED] = [uuid('AAAAAAAAAAAAAAAAAAAAAg'), uuid('AAAAAAAAAAAAAAAAAAAAAw')];

test('what the controller refuses, because this node has just registered anew, is told again', async () => {
  const clock = new FakeClock();
  const told: string[] = [];
  const registered = { brokerEpoch: 3, directories: [GOOD, FAILED] };
  let errorCode: ErrorCode = ErrorCode.StaleBrokerEpoch;
  const reports = new DirectoryReports(clock, {
    id: ME,
    image: {
      topicById: () => ({ partitions: [{ replicas: [ME], directories: [FAILED] }] }),
    } as unknown as MetadataImage,
    store: { directoryIds: [GOOD], directoryIdOf: () => GOOD } as never,
    link: {
      submit: (operation: string, command: { brokerEpoch: number }) => {
        told.push(`${operation} in ${command.brokerEpoch}`);
        if (errorCode === ErrorCode.None && operation === 'failDirectories') registered.directories = [GOOD];
        return Promise.resolve({ errorCode });
      },
    } as never,
    lifecycle: {
      registered,
      get brokerEpoch() {
        return registered.brokerEpoch;
      },
    } as never,
  });
  const pass = async (ms: number): Promise<void> => {
    clock.advance(ms);
    for (let turns = 0; turns < 20; turns += 1) await undefined;
  };
  reports.directoryFailed();
  await pass(0);
  expect(told).toEqual(['failDirectories in 3']);
  registered.brokerEpoch = 4;
  errorCode = ErrorCode.None;
  await pass(1_000);
  expect(told.slice(1)).toEqual(['failDirectories in 4']);
  errorCode = ErrorCode.StaleBrokerEpoch;
  reports.opened(ledPartition(new StubLog('t', 0, T).asLog, 0, T));
  await pass(50);
  expect(told.slice(2)).toEqual(['assignReplicas in 4']);
  registered.brokerEpoch = 5;
  errorCode = ErrorCode.None;
  await pass(1_000);
  expect(told.slice(3)).toEqual(['assignReplicas in 5']);
  await pass(10_000);
  expect(told).toHaveLength(4);
});
