import type { Endpoint } from '#base/ports';
import { NodeNetwork } from '#platform/node-network';
import { WireClient } from './wire-client.ts';

const network = new NodeNetwork();

/** Over a connection of its own. Undefined if no answer comes in time, or the connection breaks. */
export async function ask<A>(
  at: Endpoint,
  timeoutMs: number,
  question: (client: WireClient) => Promise<A>,
): Promise<A | undefined> {
  const client = WireClient.open(network, { host: at.host, port: at.port });
  const limit = setTimeout(() => client.close(), timeoutMs);
  try {
    return await question(client);
  } catch {
    return undefined;
  } finally {
    clearTimeout(limit);
    client.close();
  }
}
