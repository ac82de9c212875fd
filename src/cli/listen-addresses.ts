/** Where a node listens: whether its addresses are apart from each other, and free, found out before it makes anything. */
import { createServer, type Server } from 'node:net';
import { endpointText } from '#base/endpoint-text';
import { cannotListen } from '#base/listen-failure';
import type { Endpoint } from '#base/ports';
import type { BrokerConfig } from '#model/broker-config';
import { parseEndpoint, parseListener } from '#model/listener';

export interface ListenAddress {
  /** Who listens there, for a sentence. */
  readonly what: string;
  readonly at: Endpoint;
}

interface ConfiguredAddress extends ListenAddress {
  /** What says so. */
  readonly config: string;
}

export const EVERY_INTERFACE: ReadonlySet<string> = new Set(['', '0.0.0.0', '::']);

/** All listeners of a node. */
export function addressesOf(config: BrokerConfig): readonly ConfiguredAddress[] {
  const clients = config.processRoles.includes('broker') ? config.listeners.map(parseListener) : [];
  const peers = parseEndpoint(config.peerListener);
  const http = parseEndpoint(config.httpListener);
  return [
    ...clients.map((at) => ({ what: at?.name ?? '', config: 'listeners (--listen)', at })),
    { what: 'the peer listener', config: 'peer.listener (--peer-listen)', at: peers },
    { what: 'HTTP', config: 'http.listener (--http-listen)', at: http },
  ].flatMap(({ what, config, at }) => (at === undefined ? [] : [{ what, config, at }]));
}

/** Sentences, one for each two listeners of a node that would be in each other's way. */
export function sharedPorts(config: BrokerConfig): readonly string[] {
  const all = addressesOf(config);
  return all.flatMap((one, index) =>
    all
      .slice(index + 1)
      .filter(({ at }) => areOne(one.at, at))
      .map((other) => {
        const [first, second] = [one, other].map((each) => `${each.config} ${endpointText(each.at)}`);
        return `${first} and ${second} are one port: give each its own`;
      }),
  );
}

/**
 * Rejects with a sentence for the first address that cannot be listened on; its cause is the system's error. A first start that fails
 * for an address leaves nothing behind then: no data directory that has an id, or a cluster, of its own.
 *
 * The addresses are let go again. To hold them would be to listen, long before there is anything to serve: scripts take an open
 * port for a node that is ready (Apache Kafka opens its ports late for them), and other nodes see by a refusal that a process is gone.
 */
export async function assureFree(addresses: readonly ListenAddress[]): Promise<void> {
  const held = await Promise.allSettled(addresses.filter(({ at }) => at.port !== 0).map(hold));
  for (const each of held) if (each.status === 'fulfilled') await letGo(each.value);
  for (const each of held) if (each.status === 'rejected') throw each.reason;
}

function areOne(a: Endpoint, b: Endpoint): boolean {
  if (a.port === 0 || a.port !== b.port) return false;
  const hosts = [a.host, b.host].map((host) => (host === 'localhost' ? '127.0.0.1' : host));
  return hosts[0] === hosts[1] || hosts.some((host) => EVERY_INTERFACE.has(host));
}

function hold({ what, at }: ListenAddress): Promise<Server> {
  return new Promise((resolve, reject) => {
    const server = createServer((socket) => socket.destroy());
    server.once('error', (cause) => reject(new Error(cannotListen(what, at, cause), { cause })));
    server.listen(at.port, at.host, () => resolve(server));
  });
}

function letGo(server: Server): Promise<void> {
  return new Promise((resolve) => server.close(() => resolve()));
}
