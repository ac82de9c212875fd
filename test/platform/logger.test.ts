import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { createLogger, type LoggerOptions, type NodeLogger } from '#platform/logger';

/** What a logger has written, once it was flushed. */
function logged(options: Pick<LoggerOptions, 'level' | 'format'>, log: (logger: NodeLogger) => void): string {
  const folder = mkdtempSync(join(tmpdir(), 'odradek-log-'));
  const fd = openSync(join(folder, 'log'), 'w');
  const logger = createLogger({ ...options, fd, base: { node: 1 } });
  log(logger);
  logger.flush();
  const text = readFileSync(join(folder, 'log'), 'utf8');
  closeSync(fd);
  rmSync(folder, { recursive: true });
  return text;
}

describe('the logger', () => {
  it('writes one object a line for machines', () => {
    const lines = logged({ level: 'info', format: 'json' }, (logger) => {
      logger.debug({}, 'too quiet');
      logger.info({ topic: 'a' }, 'topic created');
      logger.error({ err: new Error('broken') }, 'gone');
    })
      .trim()
      .split('\n');
    expect(lines).toHaveLength(2);
    expect(JSON.parse(lines[0] as string)).toMatchObject({ level: 30, node: 1, topic: 'a', msg: 'topic created' });
    expect(JSON.parse(lines[1] as string)).toMatchObject({ level: 50, err: { message: 'broken' } });
  });

  it("writes a line that reads well for people, an error's stack below it", () => {
    const text = logged({ level: 'debug', format: 'human' }, (logger) => {
      logger.warn({ remote: { host: 'h', port: 1 }, count: 2 }, 'connection closed');
      logger.error({ err: new Error('broken') }, 'gone');
    });
    expect(text).toMatch(
      /^\d\d:\d\d:\d\d\.\d{3} WARN {2}connection closed node=1 remote=\{"host":"h","port":1\} count=2$/m,
    );
    expect(text).toMatch(/ERROR gone node=1\nError: broken\n {4}at /);
  });
});
