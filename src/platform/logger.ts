import { pino } from 'pino';
import type { Logger } from '#base/ports';

export interface LoggerOptions {
  readonly level: 'debug' | 'info' | 'warn' | 'error';
  /** `human` for a terminal, `json` (one object a line) for everything else. */
  readonly format: 'human' | 'json';
  /** 1 is standard output, 2 standard error. */
  readonly fd: number;
  /** Fields of every line: the node's id. */
  readonly base: Readonly<Record<string, string | number>>;
}

export interface NodeLogger extends Logger {
  /** Writes what is queued, before the process ends. */
  flush(): void;
}

/** Lines that wait for a slow reader of the log; beyond it new ones are dropped, never the loop stopped. */
const QUEUED_BYTES_MAX = 1024 * 1024;

export function createLogger(options: LoggerOptions): NodeLogger {
  const output = pino.destination({ fd: options.fd, sync: false, minLength: 0, maxLength: QUEUED_BYTES_MAX });
  const stream = options.format === 'json' ? output : { write: (line: string) => output.write(humanLine(line)) };
  const logger = pino({ level: options.level, base: options.base }, stream);
  return {
    debug: (fields, message) => logger.debug(fields, message),
    info: (fields, message) => logger.info(fields, message),
    warn: (fields, message) => logger.warn(fields, message),
    error: (fields, message) => logger.error(fields, message),
    flush: () => output.flushSync(),
  };
}

const LEVELS: Readonly<Record<number, string>> = { 20: 'debug', 30: 'info ', 40: 'WARN ', 50: 'ERROR' };

/** One line of pino's JSON as `12:34:56.789 info  message key=value …`; an error's stack follows on lines of its own. */
export function humanLine(json: string): string {
  const { time, level, msg, err, ...fields } = JSON.parse(json) as Record<string, unknown>;
  const clock = new Date(Number(time)).toISOString().slice(11, 23);
  let line = `${clock} ${LEVELS[Number(level)] ?? level} ${msg}`;
  for (const [key, value] of Object.entries(fields)) {
    line += ` ${key}=${typeof value === 'string' ? value : JSON.stringify(value)}`;
  }
  const stack = (err as { stack?: unknown } | undefined)?.stack;
  return stack === undefined ? `${line}\n` : `${line}\n${stack}\n`;
}
