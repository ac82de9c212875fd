import { expect, test } from 'vitest';
import type { Caller } from '#chaos/caller';
import type { Leaders } from '#chaos/leaders';
import { Ledger } from '#chaos/ledger';
import { PartitionWriter } from '#chaos/writer';
import { ErrorCode } from '#model/errors';
import { createCodecs } from '#platform/codecs';
import { INIT_PRODUCER_ID, PRODUCE } from '#protocol/calls';
import { readBatchHeader } from '#protocol/record-batch';
import { FakeClock } from '../runtime/fake-clock.ts';

const leader = { id: 1, host: 'one', port: 1, epoch: 1 };
const never = new Promise<never>(() => {});

/** A batch at a time, to a leader that gives these answers, and acknowledges what comes later: what it was sent, and the account. */
async function written(...answers: readonly (ErrorCode | undefined)[]) {
  const sent: string[] = [];
  const log: number[] = [];
  let producers = 0;
  const call = async (_to: unknown, { apiKey }: { apiKey: number }, request: unknown): Promise<unknown> => {
    if (apiKey === INIT_PRODUCER_ID.apiKey) {
      producers += 1;
      return { errorCode: ErrorCode.None, producerId: producers };
    }
    expect(apiKey).toBe(PRODUCE.apiKey);
    const { topicData } = request as { topicData: [{ partitionData: [{ records: [Uint8Array] }] }] };
    const header = readBatchHeader(topicData[0].partitionData[0].records[0], 0);
    if (typeof header === 'string') throw new Error(header);
    const isAnswered = sent.length < answers.length;
    const errorCode = isAnswered ? answers[sent.length] : ErrorCode.None;
    sent.push(`producer ${header.producerId}, sequence ${header.baseSequence}`);
    if (errorCode === undefined) return undefined;
    if (errorCode === ErrorCode.None) {
      log.push(log.length);
      if (!isAnswered) writer.stop();
    }
    return { responses: [{ partitionResponses: [{ errorCode, baseOffset: log.length - 1 }] }] };
  };
  const clock = new FakeClock();
  const ledger = new Ledger(1, 0);
  const caller = { call, abandon: () => {} } as unknown as Caller;
  const leaders = { of: () => leader, told: async () => {}, succeeded: () => never } as unknown as Leaders;
  const options = { topic: 't', partition: 0, batchRecords: 1, intervalMs: 20, recordBytes: 32 };
  const writer = new PartitionWriter({ clock, codecs: createCodecs() }, caller, leaders, ledger, options);
  let isOver = false;
  const running = writer.run().then(() => {
    isOver = true;
  });
  while (!isOver) {
    await new Promise((resolve) => setImmediate(resolve));
    clock.advance(20);
  }
  await running;
  return { sent, account: ledger.settle([log]) };
}

test('a batch that has no answer, or one that may pass, is sent again as it was', async () => {
  const { sent, account } = await written(ErrorCode.None, undefined, ErrorCode.NotLeaderOrFollower);
  expect(sent).toEqual([0, 1, 1, 1].map((sequence) => `producer 1, sequence ${sequence}`));
  expect(account).toMatchObject({ acknowledged: 2, refused: 0 });
});

test.each([ErrorCode.OutOfOrderSequenceNumber, ErrorCode.UnknownProducerId])(
  'one that is refused with %i is told, and sent by another producer',
  async (refusal) => {
    const { sent, account } = await written(ErrorCode.None, refusal);
    expect(sent).toEqual(['producer 1, sequence 0', 'producer 1, sequence 1', 'producer 2, sequence 0']);
    expect(account).toMatchObject({ acknowledged: 2, refused: 1 });
    expect(account.examples).toEqual([
      'the batch of record 1 of partition 0 was refused as though one before it were missing',
    ]);
  },
);
