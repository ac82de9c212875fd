import { createServer, type Server } from 'node:net';

/**
 * Below the ports that Linux gives to clients (32768 and up): a node that keeps dialling a dead one within that range may be given the
 * very port that it dials as its own, and reach itself.
 */
const FIRST = 20_000;
const COUNT = 12_000;

/** Different ports of 127.0.0.1 on which nobody listens now. */
export async function freePorts(count: number): Promise<readonly number[]> {
  const held = new Map<number, Server>();
  try {
    while (held.size < count) {
      const port = FIRST + Math.floor(Math.random() * COUNT);
      const server = held.has(port) ? undefined : await hold(port);
      if (server !== undefined) held.set(port, server);
    }
    return [...held.keys()];
  } finally {
    await Promise.all([...held.values()].map((server) => new Promise((resolve) => server.close(resolve))));
  }
}

function hold(port: number): Promise<Server | undefined> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(undefined));
    server.listen(port, '127.0.0.1', () => resolve(server));
  });
}
