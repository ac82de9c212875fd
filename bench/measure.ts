/** What the kernel says about a process, and about the disk under the benchmark. */
import { closeSync, fdatasyncSync, openSync, readFileSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';

/** CPU seconds, user and system, of all threads so far; Linux counts them in hundredths. */
export function cpuSeconds(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const [userTicks, systemTicks] = [Number(fields[11]), Number(fields[12])];
  return (userTicks + systemTicks) / 100;
}

/** Resident mebibytes: now, or the most there ever were. */
export function residentMiB(pid: number, field: 'VmRSS' | 'VmHWM'): number {
  const kibibytes = new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(readFileSync(`/proc/${pid}/status`, 'utf8'));
  if (kibibytes === null) throw new Error(`/proc/${pid}/status has no ${field}`);
  return Number(kibibytes[1]) / 1024;
}

/** The type of the file system that holds the folder, from the longest mount point that is a prefix of it. */
export function fileSystem(folder: string): string {
  const mounts = readFileSync('/proc/mounts', 'utf8').trimEnd().split('\n');
  let best = { point: '', type: 'unknown' };
  for (const line of mounts) {
    const [, point = '', type = ''] = line.split(' ');
    const prefix = point === '/' ? '/' : `${point}/`;
    if (`${folder}/`.startsWith(prefix) && point.length >= best.point.length) best = { point, type };
  }
  return best.type;
}

export interface SyncTimes {
  readonly p50Ms: number;
  readonly p99Ms: number;
}

/** Times of fdatasync after appending 4 KiB, 300 times: what a commit costs here at the least. */
export function syncTimes(folder: string): SyncTimes {
  const path = join(folder, 'fdatasync-probe');
  const file = openSync(path, 'w');
  const block = Buffer.alloc(4096, 1);
  const times = Array.from({ length: 300 }, () => {
    writeSync(file, block);
    const begun = performance.now();
    fdatasyncSync(file);
    return performance.now() - begun;
  });
  closeSync(file);
  rmSync(path);
  return { p50Ms: quantile(times, 0.5), p99Ms: quantile(times, 0.99) };
}

/** Nearest rank; NaN of nothing. */
export function quantile(values: readonly number[], q: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))] ?? Number.NaN;
}
