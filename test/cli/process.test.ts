import { spawn } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { freePort, freePortWith } from '../support/free-port.ts';
import { metadataBrokerCount } from '../support/metadata-probe.ts';
import { freeAddress, nodeEnvironment, OdradekProcess, repositoryRoot } from '../support/odradek-process.ts';
import { run, until } from '../support/process.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

/** The sources: the built package has tests of its own. */
const main = join(repositoryRoot, 'src/cli/main.ts');
const folder = temporaryFolder('cli');
afterAll(() => folder[Symbol.dispose]());

const timeoutMs = 20_000;
const anyOther = ['--peer-listen', '127.0.0.1:0', '--http-listen', '127.0.0.1:0'];

const dataDir = (name: string): string => join(folder.path, name);
const odradek = (...args: readonly string[]) =>
  run(process.execPath, [main, ...args], { timeoutMs, env: nodeEnvironment(), cwd: folder.path });

function occupy(port: number): Promise<Server> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(port, '127.0.0.1', () => resolve(server));
  });
}

/** What `up --ephemeral` made in its TMPDIR, where Node keeps its compile cache too. */
function dataFolders(path: string): readonly string[] {
  return readdirSync(path).filter((name) => name.startsWith('odradek-'));
}

async function startNode(name: string): Promise<OdradekProcess> {
  return await OdradekProcess.start({ ...(await freeAddress()), dataDir: dataDir(name), main: [main, 'start'] });
}

describe('odradek as a process', { timeout: 2 * timeoutMs }, () => {
  test.each([
    ['Kafka', 'listen', 'PLAINTEXT'],
    ['peer', 'peer-listen', 'the peer listener'],
    ['HTTP', 'http-listen', 'HTTP'],
  ])('ends with a sentence and exit code 1 when the %s port is in use, and has made nothing', async (_, flag, who) => {
    const port = await freePort();
    const occupant = await occupy(port);
    // Of two, the last one counts.
    const args = ['start', '--data-dir', dataDir(flag), '--listen', '127.0.0.1:0', ...anyOther];
    const { status, output } = await odradek(...args, `--${flag}`, `127.0.0.1:${port}`);
    occupant.close();
    expect(output).toBe(`odradek: ${who} cannot listen on 127.0.0.1:${port}: the address is in use\n`);
    expect(status).toBe(1);
    expect(existsSync(dataDir(flag))).toBe(false);
  });

  test('says which Node it needs, and ends with exit code 2, where it is run by an older one', async () => {
    const older = `Object.defineProperty(process, 'versions', { value: { ...process.versions, node: '22.23.1' } })`;
    const args = ['--import', `data:text/javascript,${encodeURIComponent(older)}`, main, 'start'];
    const { status, output } = await run(process.execPath, args, { timeoutMs, env: nodeEnvironment() });
    expect(output).toBe(`odradek: Node 24 or newer is needed, and ${process.execPath} is 22.23.1\n`);
    expect(status).toBe(2);
    const { engines } = JSON.parse(readFileSync(join(repositoryRoot, 'package.json'), 'utf8')) as {
      readonly engines: { readonly node: string };
    };
    expect(engines.node).toBe('>=24');
  });

  test('refuses a data directory that another process holds, and one of another node', async () => {
    const node = await startNode('held');
    const elsewhere = ['--data-dir', dataDir('held'), '--listen', '127.0.0.1:0', ...anyOther];
    const second = await odradek('start', ...elsewhere);
    expect(second.output).toMatch(/^odradek: the data directory \S+held is in use by another process\n$/);
    expect(second.status).toBe(1);
    expect(await node.stop()).toBe(0);
    const foreign = await odradek('start', '--node-id', '2', ...elsewhere);
    expect(foreign.output).toMatch(/held belongs to node 1, not 2/);
    expect(foreign.status).toBe(1);
  });

  test('names the path when the data directory cannot be one', async () => {
    writeFileSync(dataDir('file'), '');
    const { status, output } = await odradek(
      'start',
      '--data-dir',
      dataDir('file'),
      '--listen',
      '127.0.0.1:0',
      ...anyOther,
    );
    expect(output).toMatch(/^odradek: log\.dirs \(--data-dir\) cannot be used: [A-Z]+: [^:]+, mkdir '\S+file'\n$/);
    expect(status).toBe(1);
  });

  test('up of several names the folder that cannot be one, and the node whose port is in use, before it starts any', async () => {
    const several = ['up', '--brokers', '3'];
    const port = await freePortWith([0, 1, 2, 10, 11, 12, 20, 21, 22]);
    const at = ['--port', String(port)];
    const folder = await odradek(...several, ...at, '--data-dir', dataDir('file'));
    expect(folder.output).toMatch(
      /^odradek: log\.dirs \(--data-dir\) cannot be used: [A-Z]+: [^:]+, mkdir '\S+file'\n$/,
    );
    expect(folder.status).toBe(1);
    const occupant = await occupy(port + 12);
    const taken = await odradek(...several, ...at, '--data-dir', dataDir('several'));
    occupant.close();
    expect(taken.output).toBe(
      `odradek: node 2 cannot listen on 127.0.0.1:${port + 12}: the address is in use; is one up already? --port takes another\n`,
    );
    expect(taken.status).toBe(1);
    expect(existsSync(dataDir('several'))).toBe(false);
  });

  test('up proposes another port where its own is in use, and --ephemeral leaves nothing behind', async () => {
    const port = await freePort();
    const occupant = await occupy(port);
    const args = [main, 'up', '--ephemeral', '--port', String(port)];
    using temporary = temporaryFolder('up');
    const env = { ...nodeEnvironment(), TMPDIR: temporary.path };
    const { status, output } = await run(process.execPath, args, { timeoutMs, env });
    occupant.close();
    expect(output).toBe(
      `odradek: PLAINTEXT cannot listen on 127.0.0.1:${port}: the address is in use; is one up already? --port takes another\n`,
    );
    expect(status).toBe(1);
    expect(dataFolders(temporary.path)).toEqual([]);
  });

  test('up takes its addresses from the environment where no --port is given', async () => {
    const { port, httpPort } = await freeAddress();
    const env = {
      ...nodeEnvironment(),
      ODRADEK_LISTENERS: `PLAINTEXT://127.0.0.1:${port}`,
      ODRADEK_PEER_LISTENER: '127.0.0.1:0',
      ODRADEK_HTTP_LISTENER: `127.0.0.1:${httpPort}`,
      ODRADEK_DATA_DIR: dataDir('from-environment'),
    };
    const child = spawn(process.execPath, [main, 'up'], { env, stdio: ['ignore', 'pipe', 'inherit'] });
    const ended = new Promise<number | null>((resolve) => child.once('exit', resolve));
    try {
      const welcome = await new Promise<string>((resolve, reject) => {
        child.stdout.setEncoding('utf8').once('data', resolve);
        child.once('exit', (status) => reject(new Error(`ended with ${status}`)));
      });
      expect(welcome).toContain(`bootstrap servers  127.0.0.1:${port}\n`);
      expect(welcome).toContain(`http://127.0.0.1:${httpPort} `);
      expect(welcome).toContain(`${dataDir('from-environment')}\n`);
      child.kill('SIGTERM');
      expect(await ended).toBe(0);
    } finally {
      child.kill('SIGKILL');
    }
  });

  test('logs JSON to standard error where that is no terminal, warns once of what has no effect, and ends with 0 on SIGTERM', async () => {
    const options = { ...(await freeAddress()), dataDir: dataDir('logs'), main: [main, 'start'] };
    const node = await OdradekProcess.start({ ...options, settings: { 'num.network.threads': '3' } });
    expect(await node.stop()).toBe(0);
    const lines = node.log
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as Record<string, unknown>);
    const warnings = lines.filter(({ level }) => level === 40);
    expect(warnings).toEqual([expect.objectContaining({ node: 1, config: 'num.network.threads' })]);
    expect(warnings[0]?.msg).toBe('this config of Kafka has no effect here');
    const [started, stopped] = lines.slice(-2);
    expect(started).toMatchObject({
      level: 30,
      msg: 'node started',
      listeners: [`PLAINTEXT://127.0.0.1:${options.port}`],
    });
    expect(stopped).toMatchObject({ level: 30, msg: 'node stopped' });
  });

  test('stops with status 0 at a signal also while it waits for the other voters', async () => {
    const peerPort = await freePort();
    const node = OdradekProcess.spawn({
      ...(await freeAddress()),
      dataDir: dataDir('waits'),
      main: [main, 'start'],
      settings: {
        'peer.listener': `127.0.0.1:${peerPort}`,
        'controller.quorum.voters': `1@127.0.0.1:${peerPort},2@127.0.0.1:1,3@127.0.0.1:2`,
      },
    });
    await until('the node to wait', timeoutMs, () => (/waits for voter 2/.test(node.log) ? true : undefined));
    expect(await node.isReady()).toBe(false);
    expect(await node.stop()).toBe(0);
    expect(existsSync(join(dataDir('waits'), '.lock'))).toBe(false);
  });

  test('started by another process, it says when it is ready and goes when that is gone', async () => {
    const args = ['--supervised', '--data-dir', dataDir('supervised'), '--listen', '127.0.0.1:0', ...anyOther];
    const child = spawn(process.execPath, [main, 'start', ...args], { env: nodeEnvironment() });
    const ended = new Promise<number | null>((resolve) => child.once('exit', resolve));
    try {
      let said = '';
      child.stdout.setEncoding('utf8').on('data', (text: string) => {
        said += text;
      });
      await until('ready', timeoutMs, () => (said === 'ready\n' ? true : undefined));
      child.stdin.end();
      expect(await ended).toBe(0);
      expect(said).toBe('ready\n');
    } finally {
      child.kill('SIGKILL');
    }
  });

  test('up --ephemeral says how to reach it and removes its folder at the end', async () => {
    const port = await freePort();
    const child = spawn(process.execPath, [main, 'up', '--ephemeral', '--port', String(port)], {
      env: { ...nodeEnvironment(), TMPDIR: folder.path },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const ended = new Promise<number | null>((resolve) => child.once('exit', resolve));
    let welcome = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      welcome += text;
    });
    try {
      await until('the welcome', timeoutMs, () => (welcome.includes('Ctrl-C stops it.') ? true : undefined));
      expect(welcome).toContain(`bootstrap servers  127.0.0.1:${port}\n`);
      expect(welcome).toContain(`http://127.0.0.1:${port + 2} `);
      expect(await metadataBrokerCount(port)).toBe(1);
      const ready = await fetch(`http://127.0.0.1:${port + 2}/readyz`);
      expect(ready.status).toBe(200);
      await ready.arrayBuffer();
      const data = /^ {2}data +(.+)$/m.exec(welcome)?.[1] ?? '';
      expect(existsSync(join(data, 'meta.properties'))).toBe(true);
      child.kill('SIGINT');
      expect(await ended).toBe(0);
      expect(existsSync(data)).toBe(false);
    } finally {
      child.kill('SIGKILL');
    }
  });
});
