import { endpointText } from './endpoint-text.ts';
import type { Endpoint } from './ports.ts';

/** By the system's codes, and the ports' own for an address that is taken. */
const REASONS: Readonly<Record<string, string>> = {
  EADDRINUSE: 'the address is in use',
  EEXIST: 'the address is in use',
  EADDRNOTAVAIL: 'this machine has no such address',
  EACCES: 'the port is one for the system, below 1024',
  ENOTFOUND: 'the name has no address',
  EAI_AGAIN: 'the name has no address',
};

/** Why an address cannot be listened on, for whoever chose it; the system's own sentence where there is none better. */
export function listenFailure(failure: unknown): string {
  const { code = '', message = String(failure), cause } = failure as NodeJS.ErrnoException;
  // The system's code, which the ports' code has at its bottom, says more.
  if (cause instanceof Error) return listenFailure(cause);
  return REASONS[code] ?? message;
}

/** A sentence for whoever told `what` to listen at `at`. */
export function cannotListen(what: string, at: Endpoint, failure: unknown): string {
  return `${what} cannot listen on ${endpointText(at)}: ${listenFailure(failure)}`;
}
