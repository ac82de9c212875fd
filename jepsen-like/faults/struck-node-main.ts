/**
 * A node whose disks and clock can be struck: `struck-node-main.ts STRIKE SEED …`, and then the arguments of `odradek start`. At a first SIGUSR2
 * the strike begins, at a second it ends. `power-cut`: what was not synced is kept in part, torn at sectors, or not at all, as SEED
 * decides, and the process is gone. `disk-full`: no write has room. `write-error`, `sync-error`: each of them fails with EIO. `clock-jump`: the wall clock goes an hour
 * forward or back, as SEED decides, and an hour the other way at the end. Then it writes to standard error how often the strike was felt.
 */
import type { Clock, IoErrorCode } from '#base/ports';
import { type DiskOperation, FaultDisk } from '#faults/fault-disk';
import { SimRandom } from '#sim/ports/sim-random';
import { startFaultyNode } from '../crash/faulty-node.ts';
import { feltLine } from './strike-felt.ts';

const POWER_CUT = 'power-cut';
const FAILING: Readonly<Record<string, readonly [IoErrorCode, ...DiskOperation[]]>> = {
  'disk-full': ['ENOSPC', 'write', 'makeDir'],
  'write-error': ['EIO', 'write'],
  'sync-error': ['EIO', 'sync', 'syncDir'],
};

const CLOCK_JUMP = 'clock-jump';
const HOUR_MS = 3_600_000;

const [name, seed = '', ...args] = process.argv.slice(2);
let disks: readonly FaultDisk[] = [];
let isStruck = false;
let felt = 0;

const fails = (operation: DiskOperation): { readonly fail: IoErrorCode } | undefined => {
  const [code, ...operations] = FAILING[name ?? ''] ?? ['EIO'];
  if (!isStruck || !operations.includes(operation)) return undefined;
  felt += 1;
  return { fail: code };
};

process.on('SIGUSR2', () => {
  isStruck = !isStruck;
  if (!isStruck) console.error(feltLine(process.pid, felt));
  if (name === POWER_CUT) void cutPower();
});

async function cutPower(): Promise<void> {
  const random = new SimRandom(seed);
  for (const disk of disks) await disk.crash(random);
  process.kill(process.pid, 'SIGKILL');
}

function jumping(clock: Clock): Clock {
  const jumpMs = new SimRandom(seed).uint32() % 2 === 0 ? HOUR_MS : -HOUR_MS;
  return {
    now: () => clock.now(),
    wall: () => {
      if (!isStruck) return clock.wall();
      felt += 1;
      return clock.wall() + jumpMs;
    },
    timer: (fire) => clock.timer(fire),
    defer: (run) => clock.defer(run),
  };
}

await startFaultyNode(args, (ports) => {
  const clock = name === CLOCK_JUMP ? jumping(ports.clock) : ports.clock;
  disks = ports.disks.map((disk) => new FaultDisk(clock, disk, { ignoreSync: false, strike: fails }));
  return { ...ports, clock, disks };
});
