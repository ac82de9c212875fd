/**
 * A node for the crash test whose every SIGKILL is a power cut: what was not synced lives in this process's memory only.
 * Arguments are those of `odradek start`, and --without-sync, with which records are acknowledged without a sync.
 */
import { FaultDisk } from '#faults/fault-disk';
import { METADATA_FOLDER } from '#runtime/metadata-quorum';
import { startFaultyNode } from './faulty-node.ts';
import { forgetfulDisk } from './forgetful-disk.ts';

const WITHOUT_SYNC = '--without-sync';
const args = process.argv.slice(2);

await startFaultyNode(
  args.filter((arg) => arg !== WITHOUT_SYNC),
  (ports) => {
    const volatile = ports.disks.map((disk) => new FaultDisk(ports.clock, disk, { ignoreSync: false }));
    return {
      ...ports,
      disks: args.includes(WITHOUT_SYNC) ? volatile.map((disk) => forgetfulDisk(disk, isData)) : volatile,
    };
  },
);

/** Segments and the commit journal: what an acknowledgement waits for. */
function isData(path: string): boolean {
  return !path.startsWith(`${METADATA_FOLDER}/`) && (path.endsWith('.log') || path.startsWith('commit-journal'));
}
