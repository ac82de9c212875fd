/** New ids, and the reserved ones. */
import type { Random } from '#base/ports';
import { type Uuid, uuid, uuidFromBytes, ZERO_UUID } from './ids.ts';

/** Reserved directory ids of a partition's replica (KIP-858): moving, left to the broker, gone. */
export const DIRECTORY_MIGRATING: Uuid = ZERO_UUID;
export const DIRECTORY_UNASSIGNED: Uuid = uuid('AAAAAAAAAAAAAAAAAAAAAQ');
export const DIRECTORY_LOST: Uuid = uuid('AAAAAAAAAAAAAAAAAAAAAg');

/** A version 4 uuid from the kernel's randomness; its text never begins with '-', so that it can stand on a command line. */
export function newUuid(random: Random): Uuid {
  const bytes = new Uint8Array(16);
  random.secret(bytes);
  const [first = 0, , , , , , sixth = 0, , eighth = 0] = bytes;
  bytes[0] = first >>> 2 === 62 ? first & 0x7f : first;
  bytes[6] = (sixth & 0x0f) | 0x40;
  bytes[8] = (eighth & 0x3f) | 0x80;
  return uuidFromBytes(bytes);
}
