export const NO_BYTES = new Uint8Array(0);

/** A copy that may be kept. Not `slice`: a Buffer's gives a view. */
export function copyOf(bytes: Uint8Array): Uint8Array {
  return new Uint8Array(bytes);
}
