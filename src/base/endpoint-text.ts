import type { Endpoint } from './ports.ts';

/** `host:port`, an IPv6 host in brackets: as users write it. */
export function endpointText({ host, port }: Endpoint): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}
