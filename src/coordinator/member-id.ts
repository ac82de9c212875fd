import type { Random } from '#base/ports';

/** Clients may have names of 32 KiB; the id has to fit a string on the wire, and memory. In UTF-16 units. */
const PREFIX_LENGTH_MAX = 255;

/**
 * `prefix-uuid`, as Kafka makes them: the instance id of a static member, else the client id, then a version 4 uuid.
 */
export function newMemberId(prefix: string, random: Random): string {
  const bytes = Buffer.alloc(16);
  random.secret(bytes);
  bytes.writeUInt8((bytes.readUInt8(6) & 0x0f) | 0x40, 6);
  bytes.writeUInt8((bytes.readUInt8(8) & 0x3f) | 0x80, 8);
  const hex = bytes.toString('hex');
  const uuid = [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-');
  return `${prefix.slice(0, PREFIX_LENGTH_MAX).toWellFormed()}-${uuid}`;
}
