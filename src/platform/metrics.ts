import { createRequire } from 'node:module';
import type { Labels, Metrics } from '#base/ports';
import { observeLoopDelay } from './loop-delay.ts';

type Prometheus = typeof import('prom-client');
type Type = 'counter' | 'gauge' | 'histogram';
/** With its name, which is longer than its family's for those of a histogram. */
type Sample = readonly [name: string, labels: Labels, value: number];

/** One name with its series. */
interface Family {
  readonly head: string;
  /** Undefined: nothing yet, and others may run meanwhile. */
  readonly children: (() => Iterable<Sample | undefined>)[];
}

export interface MetricsOptions {
  /** Also the process's own: CPU, memory, garbage collection, the event loop. For a node that has its process to itself. */
  readonly process: boolean;
}

/** A slice of a scrape ends after so many lines, which are about a millisecond, or so much time if they cost more. */
const PIECES_PER_SLICE = 1000;
const SLICE_MS = 2;
/** Seconds: from what nobody notices to what fences a broker. */
const LOOP_DELAY_BUCKETS = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2];

/** The metrics of one node: a registry of its own, so that nodes in one process do not meet. */
export class NodeMetrics implements Metrics {
  readonly contentType = 'text/plain; version=0.0.4; charset=utf-8';
  readonly #families = new Map<string, Family>();
  readonly #options: MetricsOptions;
  #process: { metrics(): Promise<string> } | undefined;

  constructor(options: MetricsOptions) {
    this.#options = options;
    if (options.process) {
      const help = 'How much later than due a timer runs: how long others kept the event loop';
      observeLoopDelay(this.histogram('odradek_loop_delay_seconds', help, LOOP_DELAY_BUCKETS));
    }
  }

  counter(name: string, help: string, labels: Labels = {}): { value: number } {
    const counter = { value: 0 };
    this.#add(name, help, 'counter', () => [[name, labels, counter.value]]);
    return counter;
  }

  gauge(name: string, help: string, read: () => number, labels: Labels = {}): void {
    this.#add(name, help, 'gauge', () => [[name, labels, read()]]);
  }

  histogram(
    name: string,
    help: string,
    buckets: readonly number[],
    labels: Labels = {},
  ): { observe(value: number): void } {
    const histogram = new Histogram(buckets);
    this.#add(name, help, 'histogram', () => histogram.samples(name, labels));
    return histogram;
  }

  series(
    name: string,
    help: string,
    type: 'counter' | 'gauge',
    rows: () => Iterable<readonly [Labels, number] | undefined>,
  ): void {
    this.#add(name, help, type, function* () {
      for (const row of rows()) yield row === undefined ? undefined : [name, row[0], row[1]];
    });
  }

  /** As `slices`, in one. */
  async text(): Promise<string> {
    let text = '';
    for await (const slice of this.slices()) text += slice;
    return text;
  }

  /** The Prometheus text format, in slices, between which the loop serves others. */
  async *slices(): AsyncGenerator<string, void> {
    let text = await this.#processText();
    let count = 0;
    let endsAt = performance.now();
    for (const piece of this.#pieces()) {
      text += piece;
      count += 1;
      if (count < PIECES_PER_SLICE && performance.now() < endsAt) continue;
      yield text;
      await new Promise((resolve) => setImmediate(resolve));
      text = '';
      count = 0;
      endsAt = performance.now() + SLICE_MS;
    }
    yield text;
  }

  /** A line of a series, or the head of a name's series, or nothing, at a time. */
  *#pieces(): Generator<string, void> {
    for (const { head, children } of this.#families.values()) {
      yield head;
      for (const child of children)
        for (const sample of child()) {
          if (sample === undefined) yield '';
          else yield `${sample[0]}${labelText(sample[1])} ${valueText(sample[2])}\n`;
        }
    }
  }

  #add(name: string, help: string, type: Type, child: () => Iterable<Sample | undefined>): void {
    const known = this.#families.get(name);
    if (known !== undefined) known.children.push(child);
    else
      this.#families.set(name, {
        head: `# HELP ${name} ${escapeHelp(help)}\n# TYPE ${name} ${type}\n`,
        children: [child],
      });
  }

  /** What prom-client tells of the process. */
  async #processText(): Promise<string> {
    if (!this.#options.process) return '';
    // Loaded at the first scrape: it is not needed to start.
    if (this.#process === undefined) {
      const prometheus = createRequire(import.meta.url)('prom-client') as Prometheus;
      const registry = new prometheus.Registry();
      prometheus.collectDefaultMetrics({ register: registry });
      this.#process = registry;
    }
    return this.#process.metrics();
  }
}

/** Counts per bucket; made cumulative when asked. */
class Histogram {
  readonly #bounds: readonly number[];
  readonly #counts: number[];
  #sum = 0;

  /** `bounds` ascend. */
  constructor(bounds: readonly number[]) {
    this.#bounds = bounds;
    this.#counts = new Array<number>(bounds.length + 1).fill(0);
  }

  observe(value: number): void {
    let bucket = 0;
    while (bucket < this.#bounds.length && value > (this.#bounds[bucket] as number)) bucket += 1;
    this.#counts[bucket] = (this.#counts[bucket] as number) + 1;
    this.#sum += value;
  }

  *samples(name: string, labels: Labels): Iterable<Sample> {
    let count = 0;
    for (const [index, inBucket] of this.#counts.entries()) {
      count += inBucket;
      const bound = this.#bounds[index];
      yield [`${name}_bucket`, { ...labels, le: bound === undefined ? '+Inf' : String(bound) }, count];
    }
    yield [`${name}_sum`, labels, this.#sum];
    yield [`${name}_count`, labels, count];
  }
}

function valueText(value: number): string {
  if (Number.isFinite(value)) return String(value);
  return Number.isNaN(value) ? 'NaN' : value > 0 ? '+Inf' : '-Inf';
}

function labelText(labels: Labels): string {
  let text = '';
  for (const name in labels) text += `${text === '' ? '{' : ','}${name}="${escapeLabel(labels[name] as string)}"`;
  return text === '' ? '' : `${text}}`;
}

function escapeLabel(value: string): string {
  return /["\\\n]/.test(value) ? escapeHelp(value).replaceAll('"', '\\"') : value;
}

function escapeHelp(text: string): string {
  return text.replaceAll('\\', '\\\\').replaceAll('\n', '\\n');
}
