/** What can be said of deploy/ without a container runtime or a linter: the files parse, refer to each other rightly, and keep to their rules. */
import { existsSync, globSync, readFileSync } from 'node:fs';
import { join, normalize } from 'node:path';
import { describe, expect, test } from 'vitest';
import { parse as parseYaml } from 'yaml';

const root = join(import.meta.dirname, '../..');
const deploy = join(root, 'deploy');
const read = (path: string): string => readFileSync(join(deploy, path), 'utf8');

interface Service {
  readonly image?: string;
  readonly build?: { readonly context: string; readonly dockerfile: string };
  readonly ports?: readonly string[];
  readonly volumes?: readonly string[];
  readonly depends_on?: readonly string[];
  readonly stop_grace_period?: string;
  readonly restart?: string;
}

interface Compose {
  readonly services: Readonly<Record<string, Service>>;
  readonly volumes: Readonly<Record<string, unknown>>;
}

const compose = (path: string): Compose => parseYaml(read(path), { merge: true }) as Compose;

/** The instructions of a Dockerfile, continued lines joined. */
function instructions(text: string): readonly (readonly [name: string, rest: string])[] {
  const lines = text.replaceAll('\\\n', ' ').split('\n');
  return lines
    .filter((line) => line.trim() !== '' && !line.startsWith('#'))
    .map((line) => {
      const [, name = '', rest = ''] = /^([A-Z]+)\s+(.*)$/.exec(line.trim()) ?? [];
      return [name, rest];
    });
}

describe('deploy', () => {
  test('every YAML and JSON file parses, with each key once', () => {
    const yamls = globSync('**/*.yaml', { cwd: deploy });
    expect(yamls.length).toBeGreaterThan(6);
    for (const path of yamls)
      expect(() => parseYaml(read(path), { merge: true, uniqueKeys: true }), path).not.toThrow();
    for (const path of globSync('**/*.json', { cwd: deploy })) expect(() => JSON.parse(read(path)), path).not.toThrow();
  });

  test('compose files publish to this machine only, each port once, and mount what is there', () => {
    const published: string[] = [];
    for (const path of ['compose-cluster.yaml', 'compose-monitoring.yaml']) {
      const { services, volumes } = compose(path);
      for (const [name, service] of Object.entries(services)) {
        for (const port of service.ports ?? []) {
          expect(port, name).toMatch(/^127\.0\.0\.1:\d+:\d+$/);
          published.push(port.split(':')[1] ?? '');
        }
        for (const volume of service.volumes ?? []) {
          const [source = ''] = volume.split(':');
          if (source.startsWith('.')) expect(existsSync(join(deploy, source)), volume).toBe(true);
          else expect(volumes, volume).toHaveProperty(source);
        }
        for (const other of service.depends_on ?? []) expect(services, name).toHaveProperty(other);
        // Exact versions, or our own build.
        if (service.image !== undefined) expect(service.image, name).toMatch(/:v?\d+\.\d+\.\d+$/);
        else
          expect(existsSync(join(deploy, service.build?.context ?? '', service.build?.dockerfile ?? '')), name).toBe(
            true,
          );
      }
    }
    expect(new Set(published).size).toBe(published.length);
  });

  test.each(globSync('compose*.yaml', { cwd: deploy }))(
    '%s has all that it runs started again with the machine',
    (path) => {
      for (const { restart } of Object.values(compose(path).services)) expect(restart).toBe('unless-stopped');
    },
  );

  test('Prometheus scrapes every node of the compose file, with its rack, and reads the rules', () => {
    const config = parseYaml(read('prometheus/prometheus.yaml')) as {
      readonly rule_files: readonly string[];
      readonly scrape_configs: readonly {
        readonly job_name: string;
        readonly static_configs: readonly {
          readonly targets: readonly string[];
          readonly labels: { readonly rack: string };
        }[];
      }[];
    };
    for (const path of config.rule_files) expect(existsSync(join(deploy, 'prometheus', path)), path).toBe(true);
    const [job] = config.scrape_configs;
    expect(job?.job_name).toBe('odradek');
    const nodes = Object.entries(compose('compose-cluster.yaml').services) as [
      string,
      { environment: Record<string, string> },
    ][];
    expect(job?.static_configs).toEqual(
      nodes.map(([name, { environment }]) => ({
        targets: [`${name}:9094`],
        labels: { rack: environment.ODRADEK_BROKER_RACK },
      })),
    );
  });

  test('docs/operations.md says of every alert what to do, and of no other', () => {
    const { groups } = parseYaml(read('prometheus/rules.yaml')) as {
      readonly groups: readonly { readonly rules: readonly { readonly alert: string }[] }[];
    };
    const alerts = groups.flatMap(({ rules }) => rules.map(({ alert }) => alert));
    const page = readFileSync(join(root, 'docs/operations.md'), 'utf8');
    const [, section = ''] = page.split('\n## Alerts\n');
    const firstCells = section.split('\n').filter((line) => line.startsWith('| `'));
    const described = firstCells.flatMap((line) => line.split(' | ', 1)[0]?.match(/\w+/g) ?? []);
    expect(described).toEqual(alerts);
  });

  test('Grafana finds its data source and its dashboards where they are mounted', () => {
    const { services } = compose('compose-monitoring.yaml');
    const mounts = new Map(
      (services.grafana?.volumes ?? []).map((volume) => [volume.split(':')[1], volume.split(':')[0]]),
    );
    const { providers } = parseYaml(read('grafana/provisioning/dashboards/odradek.yaml')) as {
      readonly providers: readonly { readonly options: { readonly path: string } }[];
    };
    const folder = mounts.get(providers[0]?.options.path ?? '');
    expect(globSync('*.json', { cwd: join(deploy, folder ?? 'missing') }).length).toBeGreaterThan(0);
    const { datasources } = parseYaml(read('grafana/provisioning/datasources/prometheus.yaml')) as {
      readonly datasources: readonly { readonly type: string; readonly url: string }[];
    };
    expect(datasources).toMatchObject([{ type: 'prometheus', url: 'http://prometheus:9090' }]);
    expect(services).toHaveProperty('prometheus');
  });

  test('the image runs as no root, says when it is healthy, and copies what is there', () => {
    const lines = instructions(read('Dockerfile'));
    const names = lines.map(([name]) => name);
    expect(names).not.toContain('');
    const of = (name: string): readonly string[] => lines.filter(([each]) => each === name).map(([, rest]) => rest);
    for (const image of of('FROM')) expect(image).toMatch(/^node:26-slim( AS \w+)?$/);
    // A number: whoever forbids root (Kubernetes: runAsNonRoot) cannot tell by a name.
    expect(of('USER')).toEqual([expect.stringMatching(/^[1-9]\d*$/)]);
    expect(names.indexOf('USER')).toBeLessThan(names.indexOf('ENTRYPOINT'));
    expect(of('HEALTHCHECK')).toHaveLength(1);
    for (const form of [...of('ENTRYPOINT'), /CMD (.*)$/.exec(of('HEALTHCHECK')[0] ?? '')?.[1] ?? ''])
      expect(JSON.parse(form)).toBeInstanceOf(Array);
    for (const copied of of('COPY')) {
      const [source = ''] = copied.split(' ');
      if (!source.startsWith('--')) expect(existsSync(normalize(join(root, source))), copied).toBe(true);
    }
  });

  test('the unit restarts what has failed, shut in', () => {
    const unit = read('odradek.service');
    const sections = [...unit.matchAll(/^\[(\w+)\]$/gm)].map(([, name]) => name);
    expect(sections).toEqual(['Unit', 'Service', 'Install']);
    for (const line of unit.split('\n')) expect(line).toMatch(/^(#.*|\[\w+\]|[A-Z]\w*=.*|)$/);
    for (const setting of ['Restart=on-failure', 'NoNewPrivileges=true', 'ProtectSystem=strict', 'LimitNOFILE=100000'])
      expect(unit).toContain(`\n${setting}\n`);
    // By default systemd gives up after five starts within ten seconds, which a name that does not resolve yet makes.
    expect(unit).toMatch(/^\[Unit\]$[^[]*^StartLimitIntervalSec=0$/m);
  });
});
