import type { IoError } from '#base/ports';

/** The same failure to start, said to the user: the system's own sentence, which names the path, instead of the ports' code. */
export function explained(failure: unknown): never {
  const { code, message, cause = failure } = failure as IoError;
  if (code === 'ELOCKED')
    throw new Error(`the data directory ${message.replace(/^ELOCKED: /, '')}`, { cause: failure });
  const system = cause as NodeJS.ErrnoException;
  if (code !== undefined && system.path !== undefined) {
    throw new Error(`log.dirs (--data-dir) cannot be used: ${system.message}`, { cause: failure });
  }
  throw failure;
}

/** The same for `up`, whose addresses the user has chosen with one flag, if at all. */
export function explainedForUp(failure: unknown): never {
  if (!isAddressInUse(failure)) return explained(failure);
  throw new Error(`${(failure as Error).message}; is one up already? --port takes another`, { cause: failure });
}

/** Whether an address that another process has is at the bottom of the failure. */
function isAddressInUse(failure: unknown): boolean {
  for (let error: unknown = failure; error instanceof Error; error = error.cause) {
    if ((error as NodeJS.ErrnoException).code === 'EADDRINUSE') return true;
  }
  return false;
}
