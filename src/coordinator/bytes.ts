import { at } from '#base/assert';
import type { Writer } from '#protocol/writer';

export const NO_BYTES = new Uint8Array(0);

/** A copy that may be kept. Not `slice`: a Buffer's gives a view. */
export function copyOf(bytes: Uint8Array): Uint8Array {
  return new Uint8Array(bytes);
}

/** What was written, in one piece. */
export function joined(writer: Writer): Uint8Array {
  const chunks = writer.chunks();
  return chunks.length === 1 ? at(chunks, 0) : Buffer.concat(chunks);
}
