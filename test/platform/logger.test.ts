import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, vi } from 'vitest';
import { createLogger, type LoggerOptions, type NodeLogger } from '#platform/logger';

/** What a logger has written by the time that it has written 'gone'; `waits`: it may take its time. */
async function logged(
  options: Pick<LoggerOptions, 'level' | 'format'>,
  log: (logger: NodeLogger) => void,
  waits = true,
): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), 'odradek-log-'));
  const fd = openSync(join(folder, 'log'), 'w');
  const read = (): string => {
    const text = readFileSync(join(folder, 'log'), 'utf8');
    expect(text).toMatch(/gone[\s\S]*\n$/);
    return text;
  };
  log(createLogger({ ...options, fd, base: { node: 1 } }));
  const text = waits ? await vi.waitFor(read, { timeout: 10_000 }) : read();
  closeSync(fd);
  rmSync(folder, { recursive: true });
  return text;
}

describe('the logger', () => {
  it('writes one object a line for machines', async () => {
    const text = await logged({ level: 'info', format: 'json' }, (logger) => {
      logger.debug({}, 'too quiet');
      logger.info({ topic: 'a' }, 'topic created');
      logger.error({ err: new Error('broken') }, 'gone');
    });
    const lines = text.trim().split('\n');
    expect(lines).toHaveLength(2);
    expect(JSON.parse(lines[0] as string)).toMatchObject({ level: 30, node: 1, topic: 'a', msg: 'topic created' });
    expect(JSON.parse(lines[1] as string)).toMatchObject({ level: 50, err: { message: 'broken' } });
  });

  it('has written the last line when it returns, though nothing has run since', async () => {
    const last = (logger: NodeLogger) => logger.last({ err: new Error('broken') }, 'gone');
    expect(JSON.parse(await logged({ level: 'info', format: 'json' }, last, false))).toMatchObject({ level: 50 });
    expect(await logged({ level: 'info', format: 'human' }, last, false)).toMatch(/ERROR gone node=1\nError: broken\n/);
  });

  it("writes a line that reads well for people, an error's stack below it", async () => {
    const text = await logged({ level: 'debug', format: 'human' }, (logger) => {
      logger.warn({ remote: { host: 'h', port: 1 }, count: 2 }, 'connection closed');
      logger.error({ err: new Error('broken') }, 'gone');
    });
    expect(text).toMatch(
      /^\d\d:\d\d:\d\d\.\d{3} WARN {2}connection closed node=1 remote=\{"host":"h","port":1\} count=2$/m,
    );
    expect(text).toMatch(/ERROR gone node=1\nError: broken\n {4}at /);
  });
});
