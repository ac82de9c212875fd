/** deploy/ as the linters of its formats judge it. Each is shown the file with a mistake too: a linter that takes everything says nothing. */
import { cpSync, globSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { parse as parseYaml } from 'yaml';
import { repositoryRoot } from '../support/odradek-process.ts';
import { type Outcome, run } from '../support/process.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';
import { findLinters, findPrometheus, findSystemdAnalyze, toolChain } from '../support/tool-chains.ts';

const prometheus = await toolChain('promtool', findPrometheus);
const analyze = (await toolChain('systemd-analyze', findSystemdAnalyze)) ?? '';
const linters = (await toolChain('hadolint and check-jsonschema', findLinters)) ?? '';

const deploy = join(repositoryRoot, 'deploy');
const read = (path: string): string => readFileSync(join(deploy, path), 'utf8');
const temporary = temporaryFolder('linters');
afterAll(() => temporary[Symbol.dispose]());

const lint = (command: string, ...args: readonly string[]): Promise<Outcome> =>
  run(command, args, { timeoutMs: 60_000 });

/** The file of deploy/ with one place put wrong, in a folder of its own; gives its path. */
function spoiled(path: string, right: string, wrong: string): string {
  const text = read(path);
  expect(text).toContain(right);
  const name = join(temporary.path, path.replaceAll('/', '-'));
  writeFileSync(name, text.replace(right, wrong));
  return name;
}

async function passes(command: string, ...args: readonly string[]): Promise<string> {
  const { status, output } = await lint(command, ...args);
  expect(status, output).toBe(0);
  return output;
}

async function refuses(what: RegExp, command: string, ...args: readonly string[]): Promise<void> {
  const { status, output } = await lint(command, ...args);
  expect(output).toMatch(what);
  expect(status).not.toBe(0);
}

describe.skipIf(prometheus === undefined)('promtool', () => {
  const alerts = join(import.meta.dirname, 'linters/alerts.yaml');

  test('takes the scrape config and the rules, without a warning', async () => {
    const config = ['check', 'config', '--lint=all', '--lint-fatal'];
    await passes('promtool', ...config, join(deploy, 'prometheus/prometheus.yaml'));
    await refuses(
      /syntax-only|field .*not found/,
      'promtool',
      ...config,
      spoiled('prometheus/prometheus.yaml', 'job_name', 'jobname'),
    );
    const rules = ['check', 'rules', '--lint=all', '--lint-fatal'];
    await passes('promtool', ...rules, join(deploy, 'prometheus/rules.yaml'));
    await refuses(/parse error/, 'promtool', ...rules, spoiled('prometheus/rules.yaml', 'sum(rate(', 'sum(rat('));
  });

  test('sees every alert fire in a cluster in trouble, with its sentence, and none in one in good health', async () => {
    await passes('promtool', 'test', 'rules', alerts);
  });

  test('sees an alert that never fires', async () => {
    const folder = join(temporary.path, 'deploy/prometheus');
    cpSync(join(deploy, 'prometheus'), folder, { recursive: true });
    writeFileSync(join(folder, 'rules.yaml'), read('prometheus/rules.yaml').replace('odradek"} == 0', 'odradek"} < 0'));
    const cases = join(temporary.path, 'a/b/c/alerts.yaml');
    cpSync(alerts, cases, { recursive: true });
    await refuses(/OdradekNodeDown/, 'promtool', 'test', 'rules', cases);
  });
});

test('every alert is made to fire, and to keep silent in good health', () => {
  interface Case {
    readonly name: string;
    readonly alert_rule_test: readonly { readonly alertname: string; readonly exp_alerts?: readonly unknown[] }[];
  }
  const { groups } = parseYaml(read('prometheus/rules.yaml')) as {
    readonly groups: readonly { readonly rules: readonly { readonly alert: string }[] }[];
  };
  const alerts = groups.flatMap(({ rules }) => rules.map(({ alert }) => alert)).sort();
  const { tests } = parseYaml(readFileSync(join(import.meta.dirname, 'linters/alerts.yaml'), 'utf8')) as {
    readonly tests: readonly Case[];
  };
  const expectations = tests.flatMap((each) => each.alert_rule_test);
  const namesOf = (wanted: readonly Case['alert_rule_test'][number][]): readonly string[] =>
    [...new Set(wanted.map(({ alertname }) => alertname))].sort();
  expect(namesOf(expectations.filter(({ exp_alerts }) => exp_alerts !== undefined))).toEqual(alerts);
  const healthy = tests.find(({ name }) => name.startsWith('a cluster in good health'));
  expect(namesOf(healthy?.alert_rule_test ?? [])).toEqual(alerts);
});

describe.skipIf(analyze === '')('systemd-analyze', () => {
  test('takes the unit without a word', async () => {
    expect(await passes(analyze, 'verify', join(deploy, 'odradek.service'))).toBe('');
    // It says so, and ends with 0.
    const { output } = await lint(analyze, 'verify', spoiled('odradek.service', 'NoNewPrivileges', 'NoNewPrivilege'));
    expect(output).toMatch(/Unknown key.* 'NoNewPrivilege'/);
  });

  test('finds the node well shut in: an exposure of at most 3.5 of 10', async () => {
    const security = ['security', '--offline=yes', '--threshold=35'];
    await passes(analyze, ...security, join(deploy, 'odradek.service'));
    await refuses(
      /Overall exposure level/,
      analyze,
      ...security,
      spoiled('odradek.service', 'CapabilityBoundingSet=\n', ''),
    );
  });
});

describe.skipIf(linters === '')('hadolint', () => {
  const hadolint = join(linters, 'hadolint');

  test('has nothing to say about the Dockerfile, style included', async () => {
    expect(await passes(hadolint, '--no-color', '--failure-threshold', 'style', join(deploy, 'Dockerfile'))).toBe('');
    await refuses(/DL3020/, hadolint, '--no-color', spoiled('Dockerfile', 'COPY deploy/', 'ADD deploy/'));
  });
});

describe.skipIf(linters === '')('the schema of the compose specification', () => {
  const check = [join(linters, 'check-jsonschema'), '--builtin-schema', 'vendor.compose-spec'] as const;

  test.each(globSync('compose*.yaml', { cwd: deploy }))('takes %s', async (path) => {
    await passes(...check, join(deploy, path));
    await refuses(
      /Schema validation errors/,
      ...check,
      spoiled(path, 'restart: unless-stopped', 'restart: [unless-stopped]'),
    );
    await refuses(
      /Unevaluated properties/,
      ...check,
      spoiled(path, 'restart: unless-stopped', 'restarts: unless-stopped'),
    );
  });
});
