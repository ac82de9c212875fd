import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { parse as parseYaml } from 'yaml';
import { DEFAULT_LOAD, parseDuration, parseScenario, type Step } from '#chaos/scenario';
import { repositoryRoot } from '../support/odradek-process.ts';

function steps(yaml: string): readonly Step[] {
  const parsed = parseScenario({ steps: parseYaml(yaml) });
  if (parsed.error !== undefined) throw new Error(parsed.error);
  return parsed.value.steps;
}

const fault = (given: object, others: object = {}) => ({
  kind: 'fault',
  fault: given,
  forMs: undefined,
  maxUnavailableMs: undefined,
  ...others,
});
const node = (id: number) => ({ kind: 'node', id });
const uncut = { oneWay: false, refuses: false };

describe('a scenario', () => {
  test('has a name, a load and limits, or what they are without saying', () => {
    expect(parseScenario({ steps: ['heal'] })).toEqual({
      value: {
        name: 'scenario',
        load: DEFAULT_LOAD,
        maxUnavailableMs: undefined,
        steps: [{ kind: 'heal', node: undefined }],
      },
    });
    const load = { partitions: 2, recordsPerSecond: 50, recordBytes: 1000 };
    expect(parseScenario({ name: 'n', load, maxUnavailableMs: 900, steps: ['heal'] })).toMatchObject({
      value: { name: 'n', load, maxUnavailableMs: 900 },
    });
  });

  test.each<readonly [string, unknown]>([
    ['- wait: 1.5s', { kind: 'wait', ms: 1500 }],
    ['- heal', { kind: 'heal', node: undefined }],
    ['- heal: all', { kind: 'heal', node: undefined }],
    ['- heal:', { kind: 'heal', node: undefined }],
    ['- heal: 2', { kind: 'heal', node: 2 }],
    ['- kill: 1', fault({ kind: 'kill', node: node(1) })],
    ['- {kill: controller, for: 10}', fault({ kind: 'kill', node: { kind: 'controller' } }, { forMs: 10_000 })],
    [
      '- {pause: leader, maxUnavailableMs: 5}',
      fault({ kind: 'pause', node: { kind: 'leader', topic: undefined } }, { maxUnavailableMs: 5 }),
    ],
    ['- disk-full: leader-of orders-1', fault({ kind: 'disk-full', node: { kind: 'leader', topic: 'orders-1' } })],
    ['- {delay: 3, ms: 20}', fault({ kind: 'delay', node: node(3), ms: 20 })],
    ['- lose-rack: a', fault({ kind: 'lose-rack', rack: 'a', how: 'kill' })],
    ['- {lose-rack: 1, how: cut}', fault({ kind: 'lose-rack', rack: '1', how: 'cut' })],
    ['- partition: 1', fault({ kind: 'partition', between: { kind: 'node', node: node(1), others: 'all' }, ...uncut })],
    [
      '- {partition: rack a, clients: true}',
      fault({ kind: 'partition', between: { kind: 'rack', rack: 'a', others: 'clients' }, ...uncut }),
    ],
    [
      '- {partition: 1, nodes: true, oneWay: true}',
      fault({ kind: 'partition', between: { kind: 'node', node: node(1), others: 'nodes' }, ...uncut, oneWay: true }),
    ],
    [
      '- {partition: [1, controller], refuse: true}',
      fault({
        kind: 'partition',
        between: { kind: 'two nodes', first: node(1), second: { kind: 'controller' } },
        ...uncut,
        refuses: true,
      }),
    ],
  ])('takes the step %s', (yaml, expected) => expect(steps(yaml)).toEqual([expected]));

  test.each<readonly [unknown, string | RegExp]>([
    [null, 'a scenario has keys and values'],
    [[], 'a scenario has keys and values'],
    [{ steps: [], title: 1 }, 'a scenario has name, load, maxUnavailableMs, steps, not title'],
    [{ name: 3, steps: ['heal'] }, 'name is a text'],
    [{}, 'steps are a list, and not an empty one'],
    [{ steps: [] }, 'steps are a list, and not an empty one'],
    [{ steps: Array(1001).fill('heal') }, 'steps are at most 1000'],
    [{ steps: ['heal'], maxUnavailableMs: 0.5 }, /^maxUnavailableMs is a whole number from 1 to/],
    [{ steps: ['heal'], load: { partitions: 0 } }, 'load: partitions is a whole number from 1 to 100'],
    [{ steps: ['heal'], load: { rate: 1 } }, 'load: it has partitions, recordsPerSecond, recordBytes, not rate'],
    [{ steps: ['heal', 'kill'] }, /^step 2: a step is one of wait, heal, kill, pause/],
    [{ steps: [{ kill: 1, pause: 2 }] }, /^step 1: a step is one of/],
    [{ steps: [{ explode: 1 }] }, /^step 1: a step is one of/],
    [{ steps: [{ kill: 'one' }] }, 'step 1: "one" is no node: say its id, controller, or leader-of TOPIC'],
    [{ steps: [{ kill: 1, ms: 5 }] }, 'step 1: kill has kill, for, maxUnavailableMs, not ms'],
    [{ steps: [{ kill: 1, for: 'soon' }] }, 'step 1: "soon" is no time: say 500ms, 10s or 2m, at most a day'],
    [{ steps: [{ wait: '1s', for: 1 }] }, 'step 1: wait has wait, not for'],
    [{ steps: [{ heal: 'controller' }] }, 'step 1: heal takes the id of a node, or all'],
    [{ steps: [{ delay: 1 }] }, 'step 1: a delay has ms'],
    [{ steps: [{ delay: 1, ms: 60_001 }] }, 'step 1: ms is a whole number from 1 to 60000'],
    [{ steps: [{ 'lose-rack': 'a', how: 'burn' }] }, 'step 1: how is one of kill, pause, cut'],
    [{ steps: [{ 'lose-rack': null }] }, 'step 1: a rack has a name'],
    [{ steps: [{ partition: [1] }] }, 'step 1: a partition is between two nodes, or cuts one off, or a rack'],
    [{ steps: [{ partition: [1, 2], clients: true }] }, 'step 1: nodes and clients are for one node or a rack'],
    [
      { steps: [{ partition: 1, clients: true, nodes: true }] },
      /^step 1: nodes only and clients only exclude each other/,
    ],
    [{ steps: [{ partition: 1, oneWay: 'yes' }] }, 'step 1: oneWay is true or false'],
  ])('like %j is refused with a sentence', (value, sentence) => {
    expect(parseScenario(value).error).toMatch(sentence);
  });

  test.each(globSync('docs/chaos/*.yaml', { cwd: repositoryRoot }))('%s is one', (path) => {
    const parsed = parseScenario(parseYaml(readFileSync(join(repositoryRoot, path), 'utf8')));
    if (parsed.error !== undefined) throw new Error(parsed.error);
    expect(parsed.value.steps.some(({ kind }) => kind === 'fault')).toBe(true);
  });
});

test('a time has a unit, or is of seconds', () => {
  const ms = ['500ms', '2 s', '1m', 3, '0.25'].map((text) => parseDuration(text));
  expect(ms).toEqual([500, 2_000, 60_000, 3_000, 250].map((value) => ({ value })));
  for (const text of ['', '0', '-1s', '1h', '2d', '1441m', null])
    expect(parseDuration(text).error).toContain('is no time');
});
