/** How a command ends: 0 it is done. */

/** It failed: the last line on standard error says why. */
export const FAILED = 1;
/** It was called wrongly, and will be as long as it is called so. */
export const USAGE = 2;
/** A second signal did not wait for a clean stop. */
export const INTERRUPTED = 130;
