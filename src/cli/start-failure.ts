import type { IoError } from '#base/ports';

/** The same failure to start, said to the user: the system's own sentence, which names the path, instead of the ports' code. */
export function explained(failure: unknown): never {
  const { code, message, cause } = failure as IoError;
  if (code === 'ELOCKED')
    throw new Error(`the data directory ${message.replace(/^ELOCKED: /, '')}`, { cause: failure });
  const system = cause as NodeJS.ErrnoException | undefined;
  if (code !== undefined && system?.path !== undefined) {
    throw new Error(`the data directory cannot be used: ${system.message}`, { cause: failure });
  }
  throw failure;
}

/** Whether an address that another process has is at the bottom of the failure. */
export function isAddressInUse(failure: unknown): boolean {
  for (let error: unknown = failure; error instanceof Error; error = error.cause) {
    if ((error as NodeJS.ErrnoException).code === 'EADDRINUSE') return true;
  }
  return false;
}
