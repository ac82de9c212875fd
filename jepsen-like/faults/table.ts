import { CLIENT_FAULTS } from './clients.ts';
import type { Fault } from './fault.ts';
import { FULL_FILE_SYSTEM } from './full-file-system.ts';
import { LOST_BYTES_FAULTS } from './lost-bytes.ts';
import { MEMBERSHIP_FAULTS } from './membership.ts';
import { mixOf } from './mix.ts';
import { PARTITIONS } from './partitions.ts';
import { PROCESS_FAULTS } from './processes.ts';
import { RACK_FAULTS } from './racks.ts';
import { ROLLING_FAULTS } from './rolling.ts';
import { LINK_FAULTS } from './slow-links.ts';
import { STRUCK_FAULTS } from './struck-nodes.ts';

const SINGLE: readonly Fault[] = [
  ...PROCESS_FAULTS,
  ...PARTITIONS,
  ...RACK_FAULTS,
  ...LINK_FAULTS,
  ...STRUCK_FAULTS,
  FULL_FILE_SYSTEM,
  ...LOST_BYTES_FAULTS,
  ...ROLLING_FAULTS,
  ...MEMBERSHIP_FAULTS,
  ...CLIENT_FAULTS,
];

/** Every fault, in the order of the verdict table. */
export const FAULTS: readonly Fault[] = [...SINGLE, mixOf(SINGLE)];
