import { expect, test } from 'vitest';
import type { MetadataImage } from '#metadata/image';
import { ErrorCode } from '#model/errors';
import { type Uuid, uuid } from '#model/ids';
import { DirectoryReports } from '#runtime/directory-reports';
import { FakeClock } from './fake-clock.ts';
import { ledPartition, ME } from './replica-stage.ts';
import { StubLog } from './stub-log.ts';

const T = uuid('AAAAAAAAAAAAAAAAAAAAAQ');
const [GOOD, FAILED] = [uuid('AAAAAAAAAAAAAAAAAAAAAg'), uuid('AAAAAAAAAAAAAAAAAAAAAw')];
const OTHER = uuid('AAAAAAAAAAAAAAAAAAAABA');

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
        return Promise.resolve({ errorCode, replicas: [] });
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

/** Its reports, and a controller that answers them when the test says so. */
class Stage {
  readonly clock = new FakeClock();
  readonly told: string[] = [];
  readonly online = [GOOD, FAILED];
  /** Where the replica is. */
  directory = GOOD;
  readonly partition = ledPartition(new StubLog('t', 0, T).asLog, 0, T);
  readonly reports: DirectoryReports;
  #answer: (outcome: ErrorCode) => void = () => {};

  constructor() {
    const submit = (operation: string, { replicas }: { readonly replicas?: readonly { directory: Uuid }[] }) => {
      this.told.push(replicas === undefined ? operation : `${operation} ${replicas.map(({ directory }) => directory)}`);
      return new Promise((resolve) => {
        this.#answer = (errorCode) => resolve({ errorCode: ErrorCode.None, replicas: [{ errorCode }] });
      });
    };
    this.reports = new DirectoryReports(this.clock, {
      id: ME,
      image: {
        topicById: () => ({ partitions: [{ replicas: [ME], directories: [FAILED] }] }),
      } as unknown as MetadataImage,
      store: { directoryIds: this.online, directoryIdOf: () => this.directory } as never,
      link: { submit } as never,
      lifecycle: { registered: { brokerEpoch: 3, directories: [GOOD, FAILED] }, brokerEpoch: 3 } as never,
    });
  }

  async pass(ms = 0): Promise<void> {
    this.clock.advance(ms);
    for (let turns = 0; turns < 20; turns += 1) await undefined;
  }

  /** What is under way is answered. */
  async answer(outcome: ErrorCode = ErrorCode.None): Promise<void> {
    this.#answer(outcome);
    await this.pass();
  }
}

test('a directory that fails while a report is under way is told of as soon as that has ended', async () => {
  const stage = new Stage();
  stage.reports.opened(stage.partition);
  await stage.pass(50);
  stage.online.pop();
  stage.reports.directoryFailed();
  await stage.pass();
  await stage.answer();
  await stage.pass();
  expect(stage.told).toEqual([`assignReplicas ${GOOD}`, 'failDirectories']);
});

test('a replica that moves while its report is under way is told of again', async () => {
  const stage = new Stage();
  stage.reports.opened(stage.partition);
  await stage.pass(50);
  stage.directory = OTHER;
  stage.reports.opened(stage.partition);
  await stage.answer();
  await stage.pass(50);
  expect(stage.told).toEqual([`assignReplicas ${GOOD}`, `assignReplicas ${OTHER}`]);
});

test('a replica that alone had everything, in a directory that is gone, is told of until another leads', async () => {
  const stage = new Stage();
  const report = `assignReplicas ${GOOD}`;
  stage.reports.opened(stage.partition);
  await stage.pass(50);
  await stage.answer(ErrorCode.IneligibleReplica);
  await stage.pass(4_000);
  expect(stage.told).toEqual([report]);
  await stage.pass(1_000);
  await stage.answer();
  await stage.pass(60_000);
  expect(stage.told).toEqual([report, report]);
});
