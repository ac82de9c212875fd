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
  /** Writes what is queued. A line that is being written is so soon, should the process live on. */
  flush(): void;
  /** An error with which the process ends: it is written when this returns. */
  last(fields: object, message: string): void;
}

/** Lines that wait for a slow reader of the log; beyond it new ones are dropped, never the loop stopped. */
const QUEUED_BYTES_MAX = 1024 * 1024;

export function createLogger(options: LoggerOptions): NodeLogger {
  const output = pino.destination({ fd: options.fd, sync: false, minLength: 0, maxLength: QUEUED_BYTES_MAX });
  const over = (destination: typeof output) => {
    const stream =
      options.format === 'json' ? destination : { write: (line: string) => destination.write(humanLine(line)) };
    return pino({ level: options.level, base: options.base }, stream);
  };
  const logger = over(output);
  return {
    debug: (fields, message) => logger.debug(fields, message),
    info: (fields, message) => logger.info(fields, message),
    warn: (fields, message) => logger.warn(fields, message),
    error: (fields, message) => logger.error(fields, message),
    flush: () => output.flushSync(),
    last: (fields, message) => {
      output.flushSync();
      // Where the other one has nothing to do it would leave the line to another thread, and the process might end first.
      over(pino.destination({ fd: options.fd, sync: true })).error(fields, message);
    },
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
