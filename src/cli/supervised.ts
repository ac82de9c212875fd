/** What a node and the process that started it tell each other, by its standard input and output. */
import { INTERRUPTED } from './exit-status.ts';

/** Written once, when the node is registered and serves. */
export const READY_LINE = 'ready\n';

/** A node whose starter is gone has nobody to end it if its stop hangs. */
const ORPHAN_STOP_MS = 15_000;

export function sayReady(): void {
  // To a starter that is gone: the end of standard input tells.
  process.stdout.on('error', () => {}).write(READY_LINE);
}

/** Once, whether the starter has closed the pipe or died with it; ends the process if it is still there 15 s later. */
export function onStarterGone(gone: () => void): void {
  let isOver = false;
  const over = (): void => {
    if (isOver) return;
    isOver = true;
    setTimeout(() => process.exit(INTERRUPTED), ORPHAN_STOP_MS).unref();
    gone();
  };
  process.stdin.on('end', over).on('close', over).on('error', over).resume();
}
