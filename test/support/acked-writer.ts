import { Kafka, logLevel, type Producer } from 'kafkajs';
import { sleep } from './process.ts';

const PAUSE_MS = 3;

/** Writes unique values to every partition of a topic in turn, waits for all in sync each time, and knows what was acknowledged. */
export class AckedWriter {
  /** By partition: offset → value. */
  readonly acked = new Map<number, Map<number, string>>();
  /** Between two acknowledgements of one partition, at most. */
  longestGapMs = 0;
  errorCount = 0;
  readonly #topic: string;
  readonly #producer: Producer;
  readonly #running: Promise<void>[] = [];
  #stopped = false;

  private constructor(topic: string, producer: Producer) {
    this.#topic = topic;
    this.#producer = producer;
  }

  static async start(bootstrap: string, topic: string, partitions: number): Promise<AckedWriter> {
    const producer = kafkaAt(bootstrap).producer({ maxInFlightRequests: 1 });
    await producer.connect();
    const writer = new AckedWriter(topic, producer);
    for (let partition = 0; partition < partitions; partition += 1) writer.#running.push(writer.#write(partition));
    return writer;
  }

  get count(): number {
    let count = 0;
    for (const values of this.acked.values()) count += values.size;
    return count;
  }

  /** Gaps are measured from now on. */
  forgetGaps(): void {
    this.longestGapMs = 0;
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await Promise.all(this.#running);
    await this.#producer.disconnect();
  }

  async #write(partition: number): Promise<void> {
    const acked = new Map<number, string>();
    this.acked.set(partition, acked);
    let lastAt = performance.now();
    for (let index = 0; !this.#stopped; index += 1) {
      const value = `${partition}.${index}`;
      try {
        const [answer] = await this.#producer.send({ topic: this.#topic, acks: -1, messages: [{ partition, value }] });
        acked.set(Number(answer?.baseOffset), value);
      } catch {
        this.errorCount += 1;
      }
      const now = performance.now();
      this.longestGapMs = Math.max(this.longestGapMs, now - lastAt);
      lastAt = now;
      await sleep(PAUSE_MS);
    }
  }
}

export function kafkaAt(bootstrap: string): Kafka {
  const retry = { initialRetryTime: 50, maxRetryTime: 1000, retries: 40 };
  return new Kafka({ brokers: bootstrap.split(','), logLevel: logLevel.NOTHING, retry });
}

/** Values by partition and offset, read from the beginning until `expected` of them are there. */
export async function readAll(
  bootstrap: string,
  topic: string,
  isEnough: (read: ReadonlyMap<number, ReadonlyMap<number, string>>) => boolean,
  timeoutMs: number,
): Promise<ReadonlyMap<number, ReadonlyMap<number, string>>> {
  const read = new Map<number, Map<number, string>>();
  const consumer = kafkaAt(bootstrap).consumer({ groupId: `reader-${topic}-${performance.now()}` });
  await consumer.connect();
  await consumer.subscribe({ topic, fromBeginning: true });
  await consumer.run({
    eachMessage: ({ partition, message }) => {
      const values = read.get(partition) ?? new Map<number, string>();
      values.set(Number(message.offset), message.value?.toString() ?? '');
      read.set(partition, values);
      return Promise.resolve();
    },
  });
  const deadline = performance.now() + timeoutMs;
  while (!isEnough(read) && performance.now() < deadline) await sleep(20);
  await consumer.disconnect();
  return read;
}
