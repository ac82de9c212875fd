import { afterEach, describe, expect, test } from 'vitest';
import { ChildFailure, Supervisor } from '#cli/supervisor';
import { nodeEnvironment } from '../support/odradek-process.ts';
import { until } from '../support/process.ts';

/** Serves at once and stops with its standard input or a SIGTERM, as a supervised node does. */
const serves = `
  process.stdin.on('end', () => process.exit(0)).resume();
  process.on('SIGTERM', () => process.exit(0));
  process.stdout.write('ready\\n');
`;
const stubborn = `process.on('SIGTERM', () => {}); process.stdin.resume(); process.stdout.write('ready\\n');`;
const endsWith = (status: number): string => `process.exit(${status})`;
const servesThenEndsWith = (status: number): string =>
  `process.stdout.write('ready\\n'); setTimeout(() => process.exit(${status}), 300);`;

const timeoutMs = 15_000;
const running: Supervisor[] = [];
let said: string[] = [];
const held = new Set<number>();

afterEach(async () => {
  held.clear();
  for (const supervisor of running.splice(0)) {
    void supervisor.stop();
    await supervisor.stop();
  }
});

function supervise(scripts: readonly string[], times: { restartMs?: number; stopMs?: number } = {}): Supervisor {
  said = [];
  const supervisor = new Supervisor({
    commands: new Map(scripts.map((script, index) => [index + 1, ['-e', script]])),
    environment: nodeEnvironment(),
    say: (sentence) => said.push(sentence),
    isHeld: (id) => held.has(id),
    restartMs: times.restartMs ?? 50,
    stopMs: times.stopMs ?? timeoutMs,
  });
  running.push(supervisor);
  return supervisor;
}

function isAlive(pid: number | undefined): boolean {
  try {
    return pid !== undefined && process.kill(pid, 0);
  } catch {
    return false;
  }
}

const sentence = (pattern: RegExp): Promise<true> =>
  until(`${pattern} among what was said`, timeoutMs, () =>
    said.some((line) => pattern.test(line)) ? true : undefined,
  );

describe('the supervisor of a local cluster', { timeout: 2 * timeoutMs }, () => {
  test('is up when every process has said that it is ready', async () => {
    const supervisor = supervise([serves, serves, serves]);
    expect(supervisor.waitedFor).toEqual([1, 2, 3]);
    await supervisor.start();
    expect(supervisor.waitedFor).toEqual([]);
    const pids = [1, 2, 3].map((id) => supervisor.pidOf(id));
    expect(new Set(pids).size).toBe(3);
    await supervisor.stop();
    expect(pids.filter(isAlive)).toEqual([]);
    expect(said).toEqual([]);
  });

  test('starts a killed process again, and says both', async () => {
    const supervisor = supervise([serves, serves]);
    await supervisor.start();
    const [first, second] = [supervisor.pidOf(1), supervisor.pidOf(2)];
    process.kill(first ?? 0, 'SIGKILL');
    await sentence(/serves again/);
    const again = supervisor.pidOf(1);
    expect(said).toEqual([
      `node 1 (pid ${first}) was ended by SIGKILL; it is started again in 0.05 s`,
      `node 1 (pid ${again}) serves again`,
    ]);
    expect(again).not.toBe(first);
    expect(supervisor.pidOf(2)).toBe(second);
  });

  test('leaves a killed process that is held, until it is not', async () => {
    const supervisor = supervise([serves, serves]);
    await supervisor.start();
    const first = supervisor.pidOf(1);
    held.add(1);
    process.kill(first ?? 0, 'SIGKILL');
    await sentence(/stays down/);
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect(supervisor.pidOf(1)).toBeUndefined();
    held.delete(1);
    await sentence(/serves again/);
    expect(said).toEqual([
      `node 1 (pid ${first}) was ended by SIGKILL; it stays down until it is healed`,
      `node 1 (pid ${supervisor.pidOf(1)}) serves again`,
    ]);
  });

  test('starts a process again that ends by itself once the cluster is up', async () => {
    const supervisor = supervise([servesThenEndsWith(1)]);
    await supervisor.start();
    await sentence(/has ended with status 1; it is started again/);
    await sentence(/serves again/);
  });

  test('leaves a process that was called wrongly', async () => {
    const supervisor = supervise([servesThenEndsWith(2), serves]);
    await supervisor.start();
    await sentence(/^node 1 \(pid \d+\) has ended with status 2: it was called wrongly, and is not started again$/);
    expect(supervisor.pidOf(1)).toBeUndefined();
    expect(isAlive(supervisor.pidOf(2))).toBe(true);
  });

  test.each([1, 2])('gives up when a process ends with status %i before the cluster is up', async (status) => {
    const supervisor = supervise([serves, endsWith(status)]);
    const failure = await supervisor.start().catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(ChildFailure);
    expect(failure).toMatchObject({ exitStatus: status });
    expect((failure as Error).message).toMatch(new RegExp(`^node 2 \\(pid \\d+\\) has ended with status ${status}$`));
  });

  test('waits for a process that is killed before the cluster is up', async () => {
    const supervisor = supervise([`setTimeout(() => { ${serves} }, 300)`]);
    const up = supervisor.start();
    process.kill(supervisor.pidOf(1) ?? 0, 'SIGKILL');
    await up;
    expect(said).toHaveLength(1);
  });

  test('starts nothing again while it stops', async () => {
    const supervisor = supervise([serves, serves], { restartMs: 60_000 });
    await supervisor.start();
    process.kill(supervisor.pidOf(1) ?? 0, 'SIGKILL');
    await sentence(/started again/);
    await supervisor.stop();
    expect([supervisor.pidOf(1), supervisor.pidOf(2)]).toEqual([undefined, undefined]);
  });

  test('kills what does not stop in time, and says so', async () => {
    const supervisor = supervise([stubborn], { stopMs: 100 });
    await supervisor.start();
    const pid = supervisor.pidOf(1);
    await supervisor.stop();
    expect(said).toEqual([`node 1 (pid ${pid}) has not stopped within 0.1 s: killed`]);
    expect(isAlive(pid)).toBe(false);
  });

  test('kills what does not stop when it is asked a second time', async () => {
    const supervisor = supervise([stubborn, stubborn]);
    await supervisor.start();
    const pids = [1, 2].map((id) => supervisor.pidOf(id));
    void supervisor.stop();
    await supervisor.stop();
    expect(pids.filter(isAlive)).toEqual([]);
    expect(said).toEqual([]);
  });
});
