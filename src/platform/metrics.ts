import { createRequire } from 'node:module';
import type { Labels, Metrics } from '#base/ports';

type Prometheus = typeof import('prom-client');
type Type = 'counter' | 'gauge' | 'histogram';
type Sample = { metricName?: string; labels: Labels; value: number };

/** One name with its series, in the shape that prom-client's registry renders. */
interface Family {
  readonly name: string;
  readonly help: string;
  readonly type: Type;
  readonly aggregator: 'sum';
  readonly children: (() => Sample[])[];
  get(): Promise<{ name: string; help: string; type: Type; aggregator: 'sum'; values: Sample[] }>;
}

interface Series {
  readonly name: string;
  readonly head: string;
  readonly rows: () => Iterable<readonly [Labels, number]>;
}

export interface MetricsOptions {
  /** Also the process's own: CPU, memory, garbage collection, the event loop. For a node that has its process to itself. */
  readonly process: boolean;
}

/** Rows of one slice of a scrape: about a millisecond. */
const ROWS_PER_SLICE = 1000;

/** The metrics of one node: a registry of its own, so that nodes in one process do not meet. */
export class NodeMetrics implements Metrics {
  readonly contentType = 'text/plain; version=0.0.4; charset=utf-8';
  readonly #families = new Map<string, Family>();
  readonly #series: Series[] = [];
  readonly #options: MetricsOptions;
  #registry: InstanceType<Prometheus['Registry']> | undefined;

  constructor(options: MetricsOptions) {
    this.#options = options;
  }

  counter(name: string, help: string, labels: Labels = {}): { value: number } {
    const counter = { value: 0 };
    this.#family(name, help, 'counter').children.push(() => [{ labels, value: counter.value }]);
    return counter;
  }

  gauge(name: string, help: string, read: () => number, labels: Labels = {}): void {
    this.#family(name, help, 'gauge').children.push(() => [{ labels, value: read() }]);
  }

  histogram(
    name: string,
    help: string,
    buckets: readonly number[],
    labels: Labels = {},
  ): { observe(value: number): void } {
    const histogram = new Histogram(buckets);
    this.#family(name, help, 'histogram').children.push(() => histogram.samples(name, labels));
    return histogram;
  }

  series(name: string, help: string, type: 'counter' | 'gauge', rows: () => Iterable<readonly [Labels, number]>): void {
    this.#series.push({ name, head: `# HELP ${name} ${escapeHelp(help)}\n# TYPE ${name} ${type}\n`, rows });
  }

  /** The Prometheus text format. Many series are written in slices, between which the loop serves others. */
  async text(): Promise<string> {
    // Loaded at the first scrape: it is not needed to start.
    this.#registry ??= this.#createRegistry();
    let text = await this.#registry.metrics();
    for (const { name, head, rows } of this.#series) {
      text += head;
      let count = 0;
      for (const [labels, value] of rows()) {
        text += `${name}${labelText(labels)} ${value}\n`;
        count += 1;
        if (count % ROWS_PER_SLICE === 0) await new Promise((resolve) => setImmediate(resolve));
      }
    }
    return text;
  }

  #family(name: string, help: string, type: Type): Family {
    const known = this.#families.get(name);
    if (known) return known;
    const children: (() => Sample[])[] = [];
    const aggregator = 'sum';
    const get = async () => ({ name, help, type, aggregator, values: children.flatMap((child) => child()) }) as const;
    const family: Family = { name, help, type, aggregator, children, get };
    this.#families.set(name, family);
    this.#registry?.registerMetric(family as never);
    return family;
  }

  #createRegistry(): InstanceType<Prometheus['Registry']> {
    const prometheus = createRequire(import.meta.url)('prom-client') as Prometheus;
    const registry = new prometheus.Registry();
    if (this.#options.process) prometheus.collectDefaultMetrics({ register: registry });
    for (const family of this.#families.values()) registry.registerMetric(family as never);
    return registry;
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

  samples(name: string, labels: Labels): Sample[] {
    let count = 0;
    const samples: Sample[] = this.#counts.map((inBucket, index) => {
      count += inBucket;
      const bound = this.#bounds[index];
      const le = bound === undefined ? '+Inf' : String(bound);
      return { metricName: `${name}_bucket`, labels: { ...labels, le }, value: count };
    });
    samples.push({ metricName: `${name}_sum`, labels, value: this.#sum });
    samples.push({ metricName: `${name}_count`, labels, value: count });
    return samples;
  }
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
