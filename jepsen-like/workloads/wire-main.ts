/**
 * A process of our own clients: `wire-main.ts PLAN`, the plan as JSON. It writes its history to standard output, and complaints, each of
 * which fails the trial, to standard error. SIGTERM ends it: what is under way is finished or given up, GIVE_UP_MS after its beginning.
 */
import { at } from '#base/assert';
import type { Endpoint, Random } from '#base/ports';
import type { MicroOperation, Send } from '#history/format';
import type { Recorder } from '#history/recorder';
import { SimRandom } from '#sim/ports/sim-random';
import { sleep } from '../../test/support/process.ts';
import { recorderTo } from './recording.ts';
import { Session } from './session.ts';
import { fetchCommitted } from './wire-consumer.ts';
import { type Sent, WireProducer } from './wire-producer.ts';

export interface WirePlan {
  readonly bootstrap: readonly Endpoint[];
  readonly topic: string;
  readonly partitions: number;
  /** Into how many partitions an operation writes. */
  readonly keysMax: number;
  /** Processes are numbered from here on; those that end with an unknown outcome are followed by others. */
  readonly firstProcess: number;
  readonly processes: number;
  readonly seed: string;
}

const GIVE_UP_MS = 60_000;
const PAUSE_MS = 10;
const RECORDS_MAX = 4;
/** No process comes to so many values: a value is its process and its count. */
const VALUES_MAX = 1_000_000;

let stopped = false;

/** One process after the other: each is a client of its own. */
class Worker {
  readonly #plan: WirePlan;
  readonly #recorder: Recorder;
  readonly #random: Random;
  readonly #positions: number[];
  #process: number;
  #values = 0;

  constructor(plan: WirePlan, recorder: Recorder, index: number) {
    this.#plan = plan;
    this.#recorder = recorder;
    this.#random = new SimRandom(`${plan.seed}/${plan.topic}/${index}`);
    this.#process = plan.firstProcess + index;
    this.#positions = Array.from({ length: plan.partitions }, () => 0);
  }

  async work(): Promise<void> {
    while (!stopped) {
      await this.#live();
      this.#process += this.#plan.processes;
      this.#values = 0;
    }
  }

  /** Until the outcome of an operation is not known. */
  async #live(): Promise<void> {
    const p = this.#process;
    const { bootstrap, topic } = this.#plan;
    const session = new Session(bootstrap, p);
    const producer = await WireProducer.create(session, () => stopped);
    if (producer === undefined) return session.close();
    const isolation = 'read_committed';
    this.#recorder.client({ p, acks: 'all', idempotent: true, isolation });
    const places = this.#positions.map((offset, partition) => ['assign', `${topic}-${partition}`, offset] as const);
    this.#recorder.invoke({ p, f: 'assign', ops: places });
    this.#recorder.complete('ok', { p });
    let isKnown = true;
    while (!stopped && isKnown) {
      await sleep(this.#random.uint32() % (2 * PAUSE_MS));
      if (this.#random.uint32() % 2 === 0) isKnown = await this.#send(producer);
      else await this.#poll(session);
    }
    session.close();
  }

  /** Whether the outcome is known. */
  async #send(producer: WireProducer): Promise<boolean> {
    const p = this.#process;
    const { topic, partitions, keysMax } = this.#plan;
    const first = this.#random.uint32() % partitions;
    const count = 1 + (this.#random.uint32() % keysMax);
    const batches = Array.from({ length: count }, (_, index) => ({
      partition: (first + index) % partitions,
      values: Array.from({ length: 1 + (this.#random.uint32() % RECORDS_MAX) }, () => this.#newValue()),
    }));
    const ops = batches.flatMap(({ partition, values }) =>
      values.map((value): Send => ['send', `${topic}-${partition}`, value]),
    );
    this.#recorder.invoke({ p, f: 'send', ops });
    const deadline = performance.now() + GIVE_UP_MS;
    const sent = await Promise.all(
      batches.map(({ partition, values }) => producer.send(topic, partition, values, deadline)),
    );
    const told: MicroOperation[] = batches.flatMap(({ partition, values }, index) =>
      values.map((value, place) => withOffset(`${topic}-${partition}`, value, at(sent, index), place)),
    );
    const failed = sent.find((one) => 'error' in one);
    if (failed === undefined) {
      this.#recorder.complete('ok', { p, ops: told });
      return true;
    }
    for (const one of sent) {
      if ('error' in one && one.isFatal) console.error(`process ${p} was refused its next batch: ${one.error}`);
    }
    this.#recorder.complete('info', { p, ops: told, error: failed.error });
    return false;
  }

  async #poll(session: Session): Promise<void> {
    const p = this.#process;
    const { topic, partitions } = this.#plan;
    const partition = this.#random.uint32() % partitions;
    this.#recorder.invoke({ p, f: 'poll', ops: [['poll']] });
    const fetched = await fetchCommitted(session, topic, partition, at(this.#positions, partition)).catch(
      (broken: Error) => {
        console.error(`process ${p} read ${topic}-${partition}: ${broken.message}`);
        return broken.message;
      },
    );
    if (typeof fetched === 'string') {
      this.#recorder.complete('fail', { p, error: fetched });
      return;
    }
    this.#positions[partition] = fetched.position;
    this.#recorder.complete('ok', { p, ops: [['poll', { [`${topic}-${partition}`]: fetched.records }]] });
  }

  #newValue(): number {
    this.#values += 1;
    return this.#process * VALUES_MAX + this.#values;
  }
}

function withOffset(key: string, value: number, sent: Sent, place: number): Send {
  if ('error' in sent || sent.baseOffset === undefined) return ['send', key, value];
  return ['send', key, value, sent.baseOffset + place];
}

// Whoever started it is gone.
process.stdin.once('end', () => process.exit(1)).resume();
process.stdin.unref();
process.once('SIGTERM', () => {
  stopped = true;
});
const plan = JSON.parse(process.argv[2] ?? '') as WirePlan;
const recorder = recorderTo(process.stdout.fd, plan.topic);
await Promise.all(Array.from({ length: plan.processes }, (_, index) => new Worker(plan, recorder, index).work()));
