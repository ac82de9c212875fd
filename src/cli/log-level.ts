import { UsageError } from './config-sources.ts';

export const LOG_LEVELS = ['debug', 'info', 'warn', 'error'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** The flag, else ODRADEK_LOG_LEVEL, else what the command logs otherwise. */
export function logLevel(flag: LogLevel | undefined, otherwise: LogLevel): LogLevel {
  const given = flag ?? process.env.ODRADEK_LOG_LEVEL;
  if (given === undefined || given === '') return otherwise;
  const level = LOG_LEVELS.find((name) => name === given);
  if (level === undefined) throw new UsageError(`ODRADEK_LOG_LEVEL is one of ${LOG_LEVELS.join(', ')}, not "${given}"`);
  return level;
}
