import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { freePortWith } from '../support/free-port.ts';
import { nodeEnvironment, publishedMain } from '../support/odradek-process.ts';
import { exited, type Outcome, run, until } from '../support/process.ts';
import { testFolder } from './support.ts';

const SOON_MS = 30_000;
const RUN_MS = 100_000;
/** Of three nodes, from the first one's Kafka port on. */
const PORTS = [0, 1, 2, 3, 10, 11, 12, 13, 20, 21, 22, 23];

/** `odradek up` in a folder of its own, and `odradek chaos` beside it. */
class Up {
  readonly folder = testFolder();
  readonly port: number;
  readonly #child: ChildProcess;
  #said = '';

  private constructor(port: number, flags: readonly string[]) {
    this.port = port;
    const args = [publishedMain, 'up', '--port', String(port), ...flags];
    this.#child = spawn(process.execPath, args, { cwd: this.folder, env: nodeEnvironment() });
    // Its children go with it.
    onTestFinished(() => void this.#child.kill('SIGKILL'));
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      stream?.setEncoding('utf8').on('data', (text: string) => {
        this.#said += text;
      });
    }
  }

  static async start(...flags: readonly string[]): Promise<Up> {
    const up = new Up(await freePortWith(PORTS), flags);
    await up.says(/Ctrl-C stops all/);
    return up;
  }

  async says(pattern: RegExp): Promise<void> {
    await until(`${pattern} from odradek up`, SOON_MS, () => (pattern.test(this.#said) ? true : undefined)).catch(
      (failure) => {
        throw new Error(`${failure}\n${this.#said}`);
      },
    );
  }

  async chaos(...args: readonly string[]): Promise<Outcome> {
    const options = { timeoutMs: RUN_MS, env: nodeEnvironment(), cwd: this.folder };
    return await run(process.execPath, [publishedMain, 'chaos', ...args], options);
  }

  scenario(text: string): string {
    const path = join(this.folder, 'scenario.yaml');
    writeFileSync(path, text);
    return path;
  }

  isReady(id: number): Promise<boolean> {
    return fetch(`http://127.0.0.1:${this.port + 10 * (id - 1) + 2}/readyz`, {
      signal: AbortSignal.timeout(1_000),
    }).then(
      (answer) => answer.ok,
      () => false,
    );
  }

  async stop(): Promise<void> {
    this.#child.kill('SIGINT');
    expect(await exited(this.#child)).toBe(0);
  }
}

describe('odradek chaos on a cluster of odradek up --chaos', () => {
  test('runs a scenario of every kind of fault: nothing acknowledged is lost or there twice', async () => {
    const up = await Up.start('--chaos');
    const path = up.scenario(`
name: a bit of everything
load: { partitions: 3, recordsPerSecond: 150 }
steps:
  - { kill: leader, for: 2s, maxUnavailableMs: 10000 }
  - { pause: controller, for: 4s }
  - { partition: leader, for: 4s }
  - { partition: rack a, oneWay: true, for: 4s }
  - { partition: [1, 2], refuse: true, for: 2s }
  - { delay: 3, ms: 50, for: 2s }
  - { disk-full: leader, for: 3s }
  - { lose-rack: b, for: 2s }
`);
    const { status, stdout, output } = await up.chaos('run', path, '-o', 'json');
    expect([status, output.match(/FAILED.*/)]).toEqual([0, null]);
    const verdict = JSON.parse(stdout) as Record<string, unknown> & { faults: readonly { fault: string }[] };
    expect(verdict).toMatchObject({
      kind: 'ChaosVerdict',
      scenario: 'a bit of everything',
      passed: true,
      lost: 0,
      duplicated: 0,
      disordered: 0,
      changed: 0,
      unreadable: [],
    });
    expect(verdict.faults).toHaveLength(8);
    expect(verdict.faults[0]?.fault).toMatch(/^kill node [123]$/);
    expect(verdict.acknowledged).toBeGreaterThan(300);
    expect(verdict.read).toBeGreaterThanOrEqual(verdict.acknowledged as number);
    await up.stop();
    expect(existsSync(join(up.folder, 'odradek-data/cluster.json'))).toBe(false);
  });

  test('fails with exit code 1 where a limit is exceeded, and keeps the topic', async () => {
    const up = await Up.start('--chaos');
    const path = up.scenario(`
load: { partitions: 1, recordsPerSecond: 50 }
steps: [{ partition: leader, clients: true, for: 2s, maxUnavailableMs: 500 }]
`);
    const { status, stdout, output } = await up.chaos('run', path);
    expect(status).toBe(1);
    expect(stdout).toMatch(
      /^FAILED: partition node \d from clients: a partition was unavailable for \d+ ms, at most 500 are allowed\.$/m,
    );
    expect(stdout).toMatch(/^ {2}lost +0$/m);
    expect(output).toMatch(/the topic odradek-chaos-\w+ is kept/);
    await up.stop();
  });

  test('does one thing at a time, says what it was, and heals it', async () => {
    const up = await Up.start('--chaos', '--data-dir', 'kept');
    const where = ['--data-dir', 'kept'];
    expect(statSync(join(up.folder, 'kept/cluster.json')).mode & 0o777).toBe(0o600);

    const killed = await up.chaos('kill', '2', ...where);
    expect([killed.status, killed.stdout]).toEqual([0, expect.stringMatching(/^kill node 2: .*stays down until/)]);
    await up.says(/node 2 \(pid \d+\) was ended by SIGKILL; it stays down until it is healed/);
    expect(await up.isReady(2)).toBe(false);
    const again = await up.chaos('pause', '2', ...where);
    expect([again.status, again.output]).toEqual([1, expect.stringContaining('node 2 does not run')]);
    expect(await up.chaos('heal', ...where)).toMatchObject({ status: 0, stdout: 'everything is healed\n' });
    expect(await up.isReady(2)).toBe(true);

    const cut = await up.chaos('partition', '--controller', ...where);
    const [, controller] = /^partition node (\d) from all others: /.exec(cut.stdout) ?? [];
    const { token } = JSON.parse(readFileSync(join(up.folder, 'kept/cluster.json'), 'utf8')) as { token: string };
    const faultsOf = async (id: number): Promise<unknown> => {
      const headers = { authorization: `Bearer ${token}` };
      const answer = await fetch(`http://127.0.0.1:${up.port + 10 * (id - 1) + 2}/chaos`, { headers });
      return await answer.json();
    };
    const other = Number(controller) === 1 ? 2 : 1;
    expect(await faultsOf(other)).toEqual({
      lines: { [`${controller}`]: { kind: 'cut', way: 'both' } },
      diskFull: false,
    });
    const successor = until('another controller', SOON_MS, async () => {
      const { status, stdout } = await up.chaos('delay', '--controller', '--ms', '1', ...where);
      return status === 0 && !stdout.includes(`node ${controller} `) ? true : undefined;
    });
    expect(await successor).toBe(true);
    await up.chaos('heal', ...where);
    for (const id of [1, 2, 3]) expect(await faultsOf(id)).toEqual({ lines: {}, diskFull: false });
    await up.stop();
  });
});

describe('odradek chaos on a cluster of odradek up', () => {
  test('kills, pauses and heals, and says of the rest how to get it', async () => {
    const up = await Up.start('--brokers', '3');
    const refused = await up.chaos('partition', '1');
    expect(refused.status).toBe(2);
    expect(refused.output).toContain('started without --chaos, and only kill, pause and heal work then');
    const paused = await up.chaos('pause', '--controller', '--for', '3s');
    expect([paused.status, paused.output.match(/PASSED|FAILED.*/)?.[0]]).toEqual([0, 'PASSED']);
    expect((await up.chaos('kill', '1')).status).toBe(0);
    await up.says(/node 1 \(pid \d+\) was ended by SIGKILL; it stays down/);
    expect(await up.chaos('heal', '1')).toMatchObject({ status: 0, stdout: 'node 1 is healed\n' });
    expect(await up.isReady(1)).toBe(true);
    const endpoint = await fetch(`http://127.0.0.1:${up.port + 2}/chaos`);
    expect(endpoint.status).toBe(404);
    await up.stop();
    expect((await up.chaos('kill', '1')).status).toBe(3);
  });
});
