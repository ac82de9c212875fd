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

/** Remembers the words of its log, and wants each said aloud when it is committed. */
class Words {
  readonly replayed: string[] = [];

  replay({ key }: CoordinatorRecord): void {
    this.replayed.push(Buffer.from(key).toString());
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
  readonly driver: CoordinatorDriver<Words, Effects>;

  constructor() {
    this.log = new FakeLog('words', 0, this.clock);
    this.log.immediate = true;
    this.partition = new Partition(homeOf(), 'words', this.log.topicId, 0, this.log.asLog);
    this.partition.lead(viewOf(0, BOTH), 2);
    const quiet = () => {};
    this.driver = new CoordinatorDriver<Words, Effects>(
      this.partition,
      {
        clock: this.clock,
        codecs: createCodecs(),
        logger: { debug: quiet, info: quiet, warn: quiet, error: (fields) => this.errors.push(fields) },
        deadlines: new Deadlines(this.clock),
        commitTimeoutMs: () => 500,
        batchBytesMax: () => 1_000_000,
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
    this.driver.open();
    this.clock.turn();
    this.said.length = 0;
  }

  ask(text: string): Promise<ErrorCode> {
    return this.driver.ask(
      () => word(text),
      (error) => error,
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
});
