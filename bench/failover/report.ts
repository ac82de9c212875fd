/** From the trials to one table. */
import { quantile } from '../measure.ts';
import type { Result, Seen } from './trials.ts';

interface Row {
  readonly client: string;
  readonly timesMs: readonly number[];
  readonly boundMs: number | undefined;
  readonly seen: Seen | undefined;
}

/** What is asked holds for both clients alike; for a graceful stop also that neither sees an error. */
function rows({ kind, system, seen, freshMs }: Result): readonly Row[] {
  const asked = (boundMs: number | undefined): number | undefined => (system === 'Odradek' ? boundMs : undefined);
  const running = seen.map((one) => ({
    client: one.client,
    timesMs: one.gapsMs,
    boundMs: asked(kind.boundMs),
    seen: one,
  }));
  if (kind.freshBoundMs === undefined) return running;
  const fresh = { client: 'a fresh client', timesMs: freshMs, boundMs: asked(kind.freshBoundMs), seen: undefined };
  return [fresh, ...running];
}

export function isMet(result: Result): boolean {
  const soon = rows(result).every(
    ({ timesMs, boundMs }) => boundMs === undefined || quantile(timesMs, 0.99) <= boundMs,
  );
  const isClean = result.kind.name !== 'graceful' || result.seen.every(({ errors }) => errors.length === 0);
  return soon && (isClean || result.system !== 'Odradek');
}

const ms = (value: number): string => (Number.isNaN(value) ? '–' : value.toFixed(0));

function line(result: Result, { client, timesMs, boundMs, seen }: Row): string {
  const [p50, p99, max] = [0.5, 0.99, 1].map((share) => ms(quantile(timesMs, share)));
  const asked = boundMs === undefined ? '–' : `p99 ≤ ${boundMs}`;
  const others = [seen?.calmMs ?? [], seen?.returnMs ?? []].map((times) =>
    ms(times.length === 0 ? Number.NaN : Math.max(...times)),
  );
  const errors = seen === undefined ? '–' : seen.errors.length;
  const cells = [result.kind.what, result.system, client, timesMs.length, p50, p99, max, asked, ...others, errors];
  return `| ${cells.join(' | ')} |`;
}

/** Markdown; milliseconds. */
export function table(results: readonly Result[]): string {
  const head = 'fault | system | client | trials | p50 | p99 | max | asked | calm | return | errors';
  const lines = results.flatMap((result) => rows(result).map((row) => line(result, row)));
  return [`| ${head} |`, `| --- | --- | --- |${' ---: |'.repeat(8)}`, ...lines].join('\n');
}

/** Every client's version and settings, once each. */
export function describeClients(results: readonly Result[]): string {
  const all = new Set(results.flatMap(({ descriptions }) => descriptions));
  return [...all].map((description) => `- ${description}`).join('\n');
}
