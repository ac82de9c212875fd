import { writeSync } from 'node:fs';
import { Recorder } from '#history/recorder';

/** The machine's monotonic clock, which every process of a trial records by, in milliseconds; Python's is `time.monotonic()`. */
export function nowMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}

export function recorderTo(fd: number, name: string): Recorder {
  return new Recorder({ append: (line) => writeSync(fd, line), nowMs }, name);
}
