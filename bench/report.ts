/** From samples of both systems, taken in pairs, to one table. */
import { quantile } from './measure.ts';

export interface Metric {
  readonly name: string;
  readonly unit: string;
  readonly digits: number;
  /** Whether a ratio above 1 speaks for Odradek. */
  readonly moreIsBetter: boolean;
}

/** A metric's samples: sample i of both was taken in the same round. */
export interface Comparison {
  readonly metric: Metric;
  readonly odradek: readonly number[];
  readonly kafka: readonly number[];
}

const median = (values: readonly number[]): number => quantile(values, 0.5);

/** Markdown; the ratio is Odradek by Kafka per round: its median, with the lowest and the highest. */
export function table(comparisons: readonly Comparison[]): string {
  const rows = comparisons.map(({ metric, odradek, kafka }) => {
    const ratios = odradek.map((value, round) => value / (kafka[round] ?? Number.NaN));
    const number = (value: number): string => value.toFixed(metric.digits);
    const spread = `${Math.min(...ratios).toFixed(2)}–${Math.max(...ratios).toFixed(2)}`;
    const name = `${metric.name}, ${metric.unit} (${metric.moreIsBetter ? 'more' : 'less'} is better)`;
    return `| ${name} | ${number(median(odradek))} | ${number(median(kafka))} | ${median(ratios).toFixed(2)} | ${spread} |`;
  });
  return ['| | Odradek | Apache Kafka 4.3.1 | ratio | spread |', '| --- | ---: | ---: | ---: | ---: |', ...rows].join(
    '\n',
  );
}
