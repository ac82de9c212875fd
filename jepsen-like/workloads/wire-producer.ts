import { ErrorCode, errorName } from '#model/errors';
import { createCodecs } from '#platform/codecs';
import { INIT_PRODUCER_ID, PRODUCE } from '#protocol/calls';
import { buildBatch } from '#protocol/record-batch-builder';
import { sleep } from '../../test/support/process.ts';
import type { Session } from './session.ts';

const ALL = -1;
const BROKER_TIMEOUT_MS = 1_500;
const RETRY_MS = 50;

const codecs = createCodecs();

/** No retry helps: the broker says that a batch before was lost, or that the producer is not the one it knows. */
const FATAL: ReadonlySet<number> = new Set([
  ErrorCode.OutOfOrderSequenceNumber,
  ErrorCode.UnknownProducerId,
  ErrorCode.InvalidProducerEpoch,
  ErrorCode.InvalidProducerIdMapping,
  ErrorCode.InvalidRecord,
  ErrorCode.CorruptMessage,
]);

/** What became of a batch; without an offset it had been written before, and the broker does not know where any more. */
export type Sent = { readonly baseOffset: number | undefined } | { readonly error: string; readonly isFatal: boolean };

/** An idempotent producer that sends a batch with the same sequence until it is acknowledged, one at a time to each partition. */
export class WireProducer {
  readonly #session: Session;
  readonly #producerId: number;
  readonly #producerEpoch: number;
  readonly #sequences = new Map<string, number>();

  private constructor(session: Session, producerId: number, producerEpoch: number) {
    this.#session = session;
    this.#producerId = producerId;
    this.#producerEpoch = producerEpoch;
  }

  /** Asks on until it has an id; undefined if `gaveUp` says so before. */
  static async create(session: Session, gaveUp: () => boolean): Promise<WireProducer | undefined> {
    const request = { transactionalId: null, transactionTimeoutMs: 0 };
    while (!gaveUp()) {
      const answer = await session.ask(session.any(), INIT_PRODUCER_ID, request).catch(() => undefined);
      if (answer?.errorCode === ErrorCode.None) {
        return new WireProducer(session, answer.producerId, answer.producerEpoch);
      }
      await sleep(RETRY_MS);
    }
    return undefined;
  }

  /** Tries until `deadline`, of `performance.now()`. */
  async send(topic: string, partition: number, values: readonly number[], deadline: number): Promise<Sent> {
    const key = `${topic}-${partition}`;
    const baseSequence = this.#sequences.get(key) ?? 0;
    const timestamp = Date.now();
    const records = values.map((value) => ({ timestamp, key: null, value: Buffer.from(String(value)) }));
    const { producerId, producerEpoch } = { producerId: this.#producerId, producerEpoch: this.#producerEpoch };
    const batch = buildBatch(
      { baseOffset: 0, leaderEpoch: -1, records, producerId, producerEpoch, baseSequence },
      codecs,
    );
    const topicData = [{ name: topic, partitionData: [{ index: partition, records: [batch] }] }];
    let error = 'no leader is known';
    while (performance.now() < deadline) {
      const leader = await this.#session.leader(topic, partition);
      if (leader !== undefined) {
        const request = { acks: ALL, timeoutMs: BROKER_TIMEOUT_MS, topicData };
        const response = await this.#session.ask(leader.at, PRODUCE, request).catch(String);
        const answer = typeof response === 'string' ? undefined : response.responses[0]?.partitionResponses[0];
        const errorCode = answer?.errorCode;
        if (answer !== undefined && (errorCode === ErrorCode.None || errorCode === ErrorCode.DuplicateSequenceNumber)) {
          this.#sequences.set(key, baseSequence + values.length);
          return { baseOffset: errorCode === ErrorCode.None && answer.baseOffset >= 0 ? answer.baseOffset : undefined };
        }
        error = errorCode === undefined ? String(response) : errorName(errorCode as ErrorCode);
        if (errorCode !== undefined && FATAL.has(errorCode)) return { error, isFatal: true };
        this.#session.forget(topic, partition);
      }
      await sleep(RETRY_MS);
    }
    return { error, isFatal: false };
  }
}
