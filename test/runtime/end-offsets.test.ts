import { describe, expect, test } from 'vitest';
import type { Connection, Network, Receiver } from '#base/ports';
import type { MetadataImage } from '#metadata/image';
import { ErrorCode } from '#model/errors';
import { nodeId, offset } from '#model/ids';
import { writeListOffsetsResponse } from '#protocol/generated/list-offsets-response';
import { writeResponseHeader } from '#protocol/headers';
import { Writer } from '#protocol/writer';
import { EndOffsets } from '#runtime/end-offsets';
import type { Partition } from '#runtime/partition';
import { FakeClock } from './fake-clock.ts';

const LIST_OFFSETS = 2;
const VERSION = 7;

/** Partition 0 of t, which broker 2 leads, whom the test plays, or this node. */
class Stage {
  readonly clock = new FakeClock();
  askedCount = 0;
  /** Where it ends, if this node leads. */
  ledEnd: number | undefined;
  readonly ends: EndOffsets;
  #receiver: Receiver | undefined;

  constructor() {
    const connection: Connection = {
      remote: { host: 'h', port: 1 },
      queuedBytes: 0,
      send: () => {
        this.askedCount += 1;
      },
      pause: () => {},
      resume: () => {},
      end: () => {},
      reset: () => {},
    };
    const network = {
      connect: (_to: unknown, open: (connection: Connection) => Receiver) => {
        this.#receiver = open(connection);
      },
    } as unknown as Network;
    this.ends = new EndOffsets(
      { clock: this.clock, network },
      {
        partitions: {
          findByName: () =>
            this.ledEnd === undefined
              ? ErrorCode.NotLeaderOrFollower
              : ({ highWatermark: offset(this.ledEnd) } as Partition),
        },
        image: { partition: () => ({ leader: nodeId(2) }) } as unknown as MetadataImage,
        endpointOf: () => ({ host: 'h', port: 1 }),
        wantedMax: 10,
      },
    );
  }

  async wait(seconds: number): Promise<void> {
    for (let second = 0; second < seconds; second += 1) {
      this.clock.advance(1_000);
      for (let turns = 0; turns < 10; turns += 1) await undefined;
    }
  }

  async answer(body: (writer: Writer) => void): Promise<void> {
    const writer = new Writer();
    writer.int32(0);
    writeResponseHeader(writer, LIST_OFFSETS, VERSION, 0);
    body(writer);
    writer.patchInt32(0, writer.sizeBytes - 4);
    const bytes = Buffer.concat(writer.chunks());
    this.#receiver?.buffer().set(bytes);
    this.#receiver?.received(bytes.length);
    // Answers end in promises.
    for (let turns = 0; turns < 10; turns += 1) await undefined;
  }
}

function endAt(end: number) {
  const partitions = [{ partitionIndex: 0, errorCode: 0, timestamp: -1, offset: end, leaderEpoch: 3 }];
  return (writer: Writer) => writeListOffsetsResponse(writer, { topics: [{ name: 't', partitions }] }, VERSION);
}

describe('the end of a partition that another node leads', () => {
  test('is what its leader has told, once it was asked', async () => {
    const stage = new Stage();
    expect(stage.ends.of('t', 0)).toBeUndefined();
    stage.clock.advance(50);
    await stage.answer(endAt(7));
    expect(stage.ends.of('t', 0)).toBe(7);
  });

  test('is unknown after an answer that cannot be read, and the leader is asked again the next time', async () => {
    const stage = new Stage();
    stage.ends.of('t', 0);
    stage.clock.advance(50);
    // More topics than the frame can hold.
    await stage.answer((writer) => writer.int64(0x7f7f7f7f));
    expect([stage.ends.of('t', 0), stage.askedCount]).toEqual([undefined, 1]);
    stage.clock.advance(5_000);
    await stage.answer(endAt(7));
    expect([stage.ends.of('t', 0), stage.askedCount]).toEqual([7, 2]);
  });
});

describe('a record that a group has not committed', () => {
  const present = (stage: Stage, committed: number) => stage.ends.presentMs('t', 0, committed);

  test('of another leader has been there since it came, as its ends tell', async () => {
    const stage = new Stage();
    expect(present(stage, 7)).toBeUndefined();
    stage.clock.advance(50);
    await stage.answer(endAt(7));
    expect(present(stage, 7)).toBe(0);
    stage.clock.advance(5_000);
    await stage.answer(endAt(17));
    stage.clock.advance(1_000);
    expect([17, 12, 7].map((committed) => present(stage, committed))).toEqual([0, 3_500, 6_000]);
    // It was there before anybody looked.
    expect(present(stage, 3)).toBe(6_000);
  });

  test('of this node has been there since it came, also between two scrapes', async () => {
    const stage = new Stage();
    stage.ledEnd = 7;
    expect(present(stage, 7)).toBe(0);
    await stage.wait(10);
    stage.ledEnd = 8;
    await stage.wait(10);
    expect([present(stage, 8), stage.askedCount]).toEqual([0, 0]);
    expect(present(stage, 7)).toBeGreaterThanOrEqual(10_000);
    expect(present(stage, 7)).toBeLessThan(15_000);
  });

  test('is forgotten with its partition when nobody has wanted to know for a while', async () => {
    const stage = new Stage();
    stage.ledEnd = 7;
    expect(present(stage, 3)).toBe(0);
    await stage.wait(60);
    expect(present(stage, 3)).toBe(60_000);
    await stage.wait(600);
    expect(present(stage, 3)).toBe(0);
  });
});
