/** How a command ends: 0 it is done. */

/** It failed: the last line on standard error says why. */
export const FAILED = 1;
/** It was called wrongly, and will be as long as it is called so. */
export const USAGE = 2;
/** There is no cluster, or none that answers. */
export const UNREACHABLE = 3;
/** A second signal did not wait for a clean stop. */
export const INTERRUPTED = 130;

/** Ends a command with UNREACHABLE; the message says what to do. */
export class Unreachable extends Error {
  override readonly name = 'Unreachable';
}
