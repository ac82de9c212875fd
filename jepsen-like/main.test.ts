/** What `make jepsen` says where it has nothing to run, or is called wrongly: it has not passed. */
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { run } from '../test/support/process.ts';

const main = join(import.meta.dirname, 'main.ts');

/** On loopback, where no packet is lost: there is no `unshare` where it looks, nor any tool chain, which nobody requires. */
async function jepsen(environment: Readonly<Record<string, string>>) {
  const env = { ...process.env, WORKLOAD: 'queue', ODRADEK_REQUIRE_CLIENTS: '', ...environment, PATH: '/nowhere' };
  return await run(process.execPath, [main], { timeoutMs: 60_000, env });
}

test('a run without a trial has not passed, also if it would be a long one', async () => {
  for (const LONG of [{}, { LONG: '1' }]) {
    const { status, output } = await jepsen({ FAULT: 'halves', ...LONG });
    expect([status, output.match(/none of these faults can run here/)?.length]).toEqual([1, 1]);
  }
});

test.each(['SEED', 'FAULT_S', 'CALM_S', 'HOURS'])('a %s that is no number is refused', async (name) => {
  const { status, output } = await jepsen({ FAULT: 'kill', LONG: '1', [name]: 'soon' });
  expect([status, output]).toEqual([2, `${name} takes a number, not "soon"\n`]);
});

test('a fault or workload that there is not is refused', async () => {
  const fault = await jepsen({ FAULT: 'explode' });
  expect([fault.status, fault.output]).toEqual([
    2,
    expect.stringMatching(/^FAULT: there is no explode, but kill, pause, .*\n$/),
  ]);
  const workload = await jepsen({ FAULT: 'kill', WORKLOAD: 'idle' });
  expect([workload.status, workload.output]).toEqual([
    2,
    expect.stringMatching(/^WORKLOAD: there is no idle, but queue, .*\n$/),
  ]);
});
