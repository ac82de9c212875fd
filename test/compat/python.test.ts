/** confluent-kafka, kafka-python and aiokafka on three nodes: the cases of test/compat/python, each reported as a test of its own. */
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { repositoryRoot } from '../support/odradek-process.ts';
import { run } from '../support/process.ts';
import { findPython, toolChain } from '../support/tool-chains.ts';
import { threeNodes } from './support/three-nodes.ts';

const folder = join(repositoryRoot, 'test/compat/python');
const commands = await toolChain('Python clients', findPython);
const cases = commands === undefined ? [] : await collect(commands);

async function pytest(commands: string, bootstrap: string, ...args: readonly string[]) {
  const options = ['-p', 'no:cacheprovider', '--quiet', '--timeout=90', ...args];
  const env = { ...process.env, BOOTSTRAP: bootstrap, PYTHONDONTWRITEBYTECODE: '1' };
  return run(join(commands, 'pytest'), options, { cwd: folder, env, timeoutMs: 6 * 60_000 });
}

/** Ids such as test_aiokafka.py::test_round_trip[gzip]. */
async function collect(commands: string): Promise<readonly string[]> {
  const { stdout, output } = await pytest(commands, 'none', '--collect-only');
  const ids = stdout.split('\n').filter((line) => line.includes('::'));
  if (ids.length === 0) throw new Error(`pytest collected nothing:\n${output}`);
  return ids;
}

describe.skipIf(commands === undefined)('Python clients', () => {
  const bootstrap = threeNodes(commands !== undefined);
  let output = '';
  const passed = new Set<string>();

  beforeAll(async () => {
    ({ output } = await pytest(commands ?? '', bootstrap(), '-rA', '--tb=short'));
    for (const [, id] of output.matchAll(/^PASSED (\S+::.*)$/gm)) if (id !== undefined) passed.add(id);
  }, 7 * 60_000);

  test.each(cases)('%s', (id) => {
    expect(passed, output).toContain(id);
  });
});
