import { describe, expect, test } from 'vitest';
import { Deadlines } from '#base/deadlines';
import type { CoordinatorRecord } from '#coordinator/effects';
import { ErrorCode } from '#model/errors';
import { nodeId } from '#model/ids';
import { createCodecs } from '#platform/codecs';
import { CoordinatorDriver } from '#runtime/coordinator-driver';
import { Partition } from '#runtime/partition';
import { FakeClock } from './fake-clock.ts';
import { FakeLog } from './fake-log.ts';
import { homeOf, ME, viewOf } from './replica-stage.ts';

const OTHER = nodeId(2);
const BOTH = { replicas: [ME, OTHER], isr: [ME, OTHER] };

interface Effects {
  readonly records: readonly CoordinatorRecord[];
  readonly aloud?: string;
  readonly failure?: unknown;
}

/** Remembers the words of its log, and wants each said aloud when it is committed. Its keys are the words. */
class Words {
  readonly replayed: string[] = [];
  readonly times: number[] = [];

  replay({ key }: CoordinatorRecord, writtenAt: number): string {
    const replayed = Buffer.from(key).toString();
    this.replayed.push(replayed);
    this.times.push(writtenAt);
    return replayed;
  }

  loaded(): Effects {
    return { records: [], aloud: this.replayed.join('+') };
  }

  nextDeadline(): number {
    return Number.POSITIVE_INFINITY;
  }

  tick(): Effects {
    return { records: [] };
  }

  refused(): Effects {
    return { records: [] };
  }
}

function word(text: string): Effects & { readonly response: ErrorCode } {
  return { records: [{ key: Buffer.from(text), value: null }], aloud: text, response: ErrorCode.None };
}

/** A partition of two replicas, both needed, whose follower answers when the test says so. */
class Stage {
  readonly clock = new FakeClock();
  readonly log: FakeLog;
  readonly partition: Partition;
  readonly said: string[] = [];
  readonly lost: ErrorCode[] = [];
  readonly errors: object[] = [];
  readonly damages: string[] = [];
  readonly driver: CoordinatorDriver<Words, Effects>;

  constructor() {
    this.log = new FakeLog('words', 0, this.clock);
    this.log.immediate = true;
    this.partition = new Partition(homeOf(), 'words', this.log.topicId, 0, this.log.asLog);
    this.partition.lead(viewOf(0, BOTH), 2);
    this.driver = this.open();
    this.clock.turn();
    this.said.length = 0;
  }

  /** Loads what the log has. */
  open(): CoordinatorDriver<Words, Effects> {
    const quiet = () => {};
    const driver = new CoordinatorDriver<Words, Effects>(
      this.partition,
      {
        clock: this.clock,
        codecs: createCodecs(),
        logger: { debug: quiet, info: quiet, warn: quiet, error: (fields) => this.errors.push(fields) },
        deadlines: new Deadlines(this.clock),
        commitTimeoutMs: () => 500,
        batchBytesMax: () => 1_000_000,
        damaged: (reason) => this.damages.push(reason),
      },
      {
        what: 'words',
        newShard: () => new Words(),
        sends: () => [],
        follows: ({ aloud }) => (aloud === undefined ? undefined : () => this.said.push(aloud)),
        loaded: () => {},
        resigned: (_, error) => this.lost.push(error),
      },
    );
    driver.open();
    return driver;
  }

  ask(text: string): Promise<ErrorCode> {
    return this.driver.ask(
      () => word(text),
      (error) => error,
    );
  }

  /** What rests on the records of these words, or on all. */
  read(words?: readonly string[]): Promise<ErrorCode> {
    return this.driver.read(
      () => ErrorCode.None,
      (error) => error,
      words,
    );
  }

  /** The follower has everything. */
  fetched(): void {
    const end = this.log.logEndOffset;
    this.partition.fetchedBy(OTHER, { brokerEpoch: 1, fetchOffset: end, durableOffset: end, logStartOffset: 0 });
    this.clock.turn();
  }

  /** The follower falls out of the in-sync replicas, or comes back. */
  isr(isr: readonly (typeof ME)[], partitionEpoch: number): void {
    this.partition.changed(viewOf(0, { ...BOTH, isr, partitionEpoch }), 2);
    this.clock.turn();
  }
}

test('why a decision failed is logged, and whoever asked is answered', async () => {
  const stage = new Stage();
  const failure = new Error('no such word');
  const answer = stage.driver.ask(
    () => ({ records: [], failure, response: ErrorCode.UnknownServerError }),
    (error) => error,
  );
  expect(await answer).toBe(ErrorCode.UnknownServerError);
  expect(stage.errors).toEqual([{ topic: 'words', partition: 0, error: failure.stack }]);
});

test('records come with when they were written, to those who decide on them and to those who load them later', () => {
  const stage = new Stage();
  void stage.ask('a');
  stage.clock.advance(7);
  void stage.ask('b');
  const times = [1_700_000_001_000, 1_700_000_001_007];
  expect(stage.driver.shard.times).toEqual(times);
  stage.clock.advance(60_000);
  const later = stage.open();
  stage.clock.turn();
  expect(later.shard.times).toEqual(times);
});

describe('what follows a decision', () => {
  test('is done when the decision is committed, once', async () => {
    const stage = new Stage();
    const answer = stage.ask('a');
    stage.clock.turn();
    expect(stage.said).toEqual([]);
    stage.fetched();
    expect([await answer, stage.said]).toEqual([ErrorCode.None, ['a']]);
  });

  test('is done though its answer was given up long before', async () => {
    const stage = new Stage();
    const answer = stage.ask('a');
    stage.clock.advance(500);
    expect(await answer).toBe(ErrorCode.CoordinatorNotAvailable);
    stage.clock.advance(60_000);
    stage.fetched();
    expect(stage.said).toEqual(['a']);
  });

  test('waits while too few replicas are in sync: nothing is lost, and nothing is loaded again', async () => {
    const stage = new Stage();
    const answer = stage.ask('a');
    stage.isr([ME], 1);
    expect([await answer, stage.lost, stage.said]).toEqual([ErrorCode.CoordinatorNotAvailable, [], []]);
    expect(await stage.ask('b')).toBe(ErrorCode.CoordinatorNotAvailable);
    stage.clock.advance(60_000);
    expect([stage.driver.error, stage.driver.shard.replayed]).toEqual([ErrorCode.None, ['a']]);
    stage.isr([ME, OTHER], 2);
    stage.fetched();
    stage.clock.advance(1_000);
    expect(stage.said).toEqual(['a']);
  });

  test('is not done for a partition that went away', () => {
    const stage = new Stage();
    void stage.ask('a');
    stage.driver.close();
    stage.fetched();
    expect([stage.said, stage.lost]).toEqual([[], [ErrorCode.NotCoordinator]]);
  });

  test('is done as the loaded shard wants it, where records were lost', async () => {
    const stage = new Stage();
    void stage.ask('a');
    stage.fetched();
    stage.log.immediate = false;
    const answer = stage.ask('b');
    stage.log.reject();
    stage.clock.turn();
    expect([await answer, stage.lost]).toEqual([ErrorCode.NotCoordinator, [ErrorCode.NotCoordinator]]);
    expect(stage.said).toEqual(['a', 'a']);
  });

  test('is done as the loaded shard wants it, where records were lost while too few replicas were in sync', async () => {
    const stage = new Stage();
    void stage.ask('a');
    stage.fetched();
    stage.log.immediate = false;
    void stage.ask('b');
    stage.isr([ME], 1);
    stage.log.reject();
    stage.clock.turn();
    expect([stage.lost, stage.driver.shard.replayed]).toEqual([[ErrorCode.NotCoordinator], ['a']]);
    stage.isr([ME, OTHER], 2);
    void stage.ask('c');
    stage.log.sync();
    stage.fetched();
    stage.clock.advance(1_000);
    expect(stage.said).toEqual(['a', 'a', 'c']);
  });
});

describe('what is loaded', () => {
  test('is loaded again when the disk takes it back, where that was not written yet', () => {
    const stage = new Stage();
    stage.log.immediate = false;
    void stage.ask('a');
    const driver = stage.open();
    stage.clock.turn();
    expect(driver.shard.replayed).toEqual(['a']);
    stage.isr([ME], 1);
    stage.log.reject();
    stage.clock.turn();
    expect([driver.error, driver.shard.replayed]).toEqual([ErrorCode.None, []]);
  });

  test('is loaded again when the disk takes it back meanwhile', () => {
    const stage = new Stage();
    void stage.ask('a');
    stage.log.immediate = false;
    void stage.ask('b');
    const driver = stage.open();
    stage.clock.defer(() => stage.log.reject());
    stage.clock.turn();
    expect([driver.error, driver.shard.replayed]).toEqual([ErrorCode.None, ['a']]);
  });

  test('is nothing of a batch whose checksum does not match; its partition is loading until it does', () => {
    const stage = new Stage();
    void stage.ask('a');
    stage.fetched();
    void stage.ask('b');
    stage.fetched();
    stage.said.length = 0;
    const flip = () => {
      const second = Buffer.from(stage.log.batches[1] ?? []);
      second.writeUInt8(second.readUInt8(second.length - 2) ^ 1, second.length - 2);
      stage.log.batches[1] = second;
    };
    flip();
    const driver = stage.open();
    stage.clock.advance(120_000);
    expect([driver.error, stage.said]).toEqual([ErrorCode.CoordinatorLoadInProgress, []]);
    const where = { topic: 'words', partition: 0, offset: 1 };
    expect(stage.errors).toEqual([{ ...where, reason: 'the checksum does not match' }]);
    expect(stage.damages.length).toBeGreaterThan(5);
    expect(new Set(stage.damages)).toEqual(new Set(['the checksum does not match at offset 1']));
    flip();
    stage.clock.advance(30_000);
    expect([driver.error, driver.shard.replayed, stage.said]).toEqual([ErrorCode.None, ['a', 'b'], ['a+b']]);
  });

  test('is read again, ever later, when a read has failed; each cause is told of once', () => {
    const stage = new Stage();
    void stage.ask('a');
    stage.fetched();
    const readsBefore = stage.log.readCount;
    const driver = stage.open();
    const readsAfter = (ms: number): number => {
      for (const end = stage.clock.now() + ms; stage.clock.now() < end; stage.clock.advance(100)) {
        stage.log.readResult = 'failed';
      }
      return stage.log.readCount - readsBefore;
    };
    expect([readsAfter(1_000), readsAfter(60_000)]).toEqual([3, 9]);
    expect([driver.error, stage.errors.length]).toEqual([ErrorCode.CoordinatorLoadInProgress, 1]);
    expect(stage.damages).toEqual([]);
    stage.log.readResult = undefined;
    stage.clock.advance(30_000);
    expect([driver.error, driver.shard.replayed]).toEqual([ErrorCode.None, ['a']]);
  });

  test('is not read again for a partition that went away', () => {
    const stage = new Stage();
    void stage.ask('a');
    stage.fetched();
    stage.log.readResult = 'failed';
    const driver = stage.open();
    stage.clock.turn();
    driver.close();
    stage.clock.advance(60_000);
    expect([driver.error, stage.log.readCount]).toEqual([ErrorCode.NotCoordinator, 1]);
  });
});

describe('what is read', () => {
  test('of keys whose records are committed is answered while too few replicas are in sync for others', async () => {
    const stage = new Stage();
    void stage.ask('a');
    stage.fetched();
    void stage.ask('b');
    stage.isr([ME], 1);
    expect(await stage.read(['a'])).toBe(ErrorCode.None);
    expect(await stage.read(['nobody'])).toBe(ErrorCode.None);
    expect(await stage.read(['a', 'b'])).toBe(ErrorCode.CoordinatorNotAvailable);
    expect(await stage.read()).toBe(ErrorCode.CoordinatorNotAvailable);
    stage.isr([ME, OTHER], 2);
    stage.fetched();
    expect(await Promise.all([stage.read(['b']), stage.read()])).toEqual([ErrorCode.None, ErrorCode.None]);
  });

  test('waits for the last record of its key', async () => {
    const stage = new Stage();
    void stage.ask('a');
    stage.fetched();
    void stage.ask('a');
    stage.isr([ME], 1);
    expect(await stage.read(['a'])).toBe(ErrorCode.CoordinatorNotAvailable);
  });
});
