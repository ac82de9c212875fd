/** How a struck process tells that something was done to it, and whoever struck it reads that. */

export function feltLine(pid: number, times: number): string {
  return `process ${pid} has felt the strike, times: ${times}`;
}

/** Undefined: it has not told yet. */
export function timesFelt(pid: number, said: string): number | undefined {
  const [, times] = new RegExp(`^process ${pid} has felt the strike, times: (\\d+)$`, 'm').exec(said) ?? [];
  return times === undefined ? undefined : Number(times);
}
