import { describe, expect, it } from 'vitest';
import { NodeMetrics } from '#platform/metrics';

function linesOf(text: string, name: string): string[] {
  return text.split('\n').filter((line) => line.startsWith(name));
}

describe('metrics', () => {
  it('renders counters, gauges and histograms as they stand when asked', async () => {
    const metrics = new NodeMetrics({ process: false });
    const read = metrics.counter('odradek_bytes_total', 'Bytes.', { way: 'in' });
    const written = metrics.counter('odradek_bytes_total', 'Bytes.', { way: 'out' });
    let open = 3;
    metrics.gauge('odradek_connections', 'Open connections.', () => open);
    const times = metrics.histogram('odradek_fsync_seconds', 'Time of an fsync.', [0.001, 0.01], { dir: 'a' });
    read.value += 5;
    written.value = 7;
    times.observe(0.001);
    times.observe(0.005);
    times.observe(2);
    const text = await metrics.text();
    expect(text).toContain('# HELP odradek_bytes_total Bytes.\n# TYPE odradek_bytes_total counter\n');
    expect(linesOf(text, 'odradek_bytes_total')).toEqual([
      'odradek_bytes_total{way="in"} 5',
      'odradek_bytes_total{way="out"} 7',
    ]);
    expect(linesOf(text, 'odradek_connections')).toEqual(['odradek_connections 3']);
    expect(linesOf(text, 'odradek_fsync_seconds')).toEqual([
      'odradek_fsync_seconds_bucket{dir="a",le="0.001"} 1',
      'odradek_fsync_seconds_bucket{dir="a",le="0.01"} 2',
      'odradek_fsync_seconds_bucket{dir="a",le="+Inf"} 3',
      'odradek_fsync_seconds_sum{dir="a"} 2.006',
      'odradek_fsync_seconds_count{dir="a"} 3',
    ]);
    open = 4;
    metrics.gauge('odradek_late', 'Registered after the first scrape.', () => 1);
    const again = await metrics.text();
    expect(linesOf(again, 'odradek_connections')).toEqual(['odradek_connections 4']);
    expect(linesOf(again, 'odradek_late')).toEqual(['odradek_late 1']);
  });

  it('writes many series in slices, between which others are served', async () => {
    const metrics = new NodeMetrics({ process: false });
    metrics.series('odradek_log_size_bytes', 'Size of a log.', 'gauge', function* () {
      for (let partition = 0; partition < 5000; partition++) yield [{ topic: 'a"\\\n', partition: `${partition}` }, 1];
    });
    let turns = 0;
    const count = (): void => {
      turns += 1;
      pending = setImmediate(count);
    };
    let pending = setImmediate(count);
    const text = await metrics.text();
    clearImmediate(pending);
    expect(linesOf(text, 'odradek_log_size_bytes')).toHaveLength(5000);
    expect(text).toContain('odradek_log_size_bytes{topic="a\\"\\\\\\n",partition="4999"} 1\n');
    expect(text).toContain('# TYPE odradek_log_size_bytes gauge\n');
    expect(turns).toBeGreaterThanOrEqual(5);
  });

  it('of two nodes in one process do not meet, and only one has the process', async () => {
    const [first, second] = [new NodeMetrics({ process: true }), new NodeMetrics({ process: false })];
    first.counter('odradek_bytes_total', 'Bytes.').value = 1;
    second.counter('odradek_bytes_total', 'Bytes.').value = 2;
    expect(linesOf(await first.text(), 'odradek_bytes_total')).toEqual(['odradek_bytes_total 1']);
    expect(linesOf(await second.text(), 'odradek_bytes_total')).toEqual(['odradek_bytes_total 2']);
    expect(await first.text()).toContain('process_cpu_seconds_total');
    expect(await second.text()).not.toContain('process_cpu_seconds_total');
  });
});
