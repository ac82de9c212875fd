import { createCodecs } from '#platform/codecs';
import { PRODUCE } from '#protocol/calls';
import type { ProduceResponse } from '#protocol/generated/produce-response';
import { buildBatch, type NewBatch } from '#protocol/record-batch-builder';
import type { WireClient } from './wire-client.ts';

export interface Target {
  readonly topic: string;
  readonly partition?: number;
  readonly acks?: number;
  readonly timeoutMs?: number;
}

type Identity = Pick<NewBatch, 'producerId' | 'producerEpoch' | 'baseSequence'>;

const codecs = createCodecs();

/** A batch as a producer sends it; its records are values alone, all made at one time. */
export function batchOfValues(values: readonly string[], identity: Identity = {}): Uint8Array {
  const records = values.map((value) => ({ timestamp: 1000, key: null, value: Buffer.from(value) }));
  return buildBatch({ baseOffset: 0, leaderEpoch: -1, ...identity, records }, codecs);
}

/** One batch to one partition, whatever node the client is of; gives that partition's answer. */
export async function produce(
  client: WireClient,
  { topic, partition = 0, acks = -1, timeoutMs = 10_000 }: Target,
  batch: Uint8Array,
): Promise<ProduceResponse['responses'][number]['partitionResponses'][number] | undefined> {
  const topicData = [{ name: topic, partitionData: [{ index: partition, records: [batch] }] }];
  const request = { acks, timeoutMs, topicData };
  const answer = await client.request(PRODUCE.apiKey, PRODUCE.version, request, PRODUCE.write, PRODUCE.read);
  return answer.responses[0]?.partitionResponses[0];
}
