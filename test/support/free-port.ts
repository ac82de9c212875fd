import { createServer } from 'node:net';

/**
 * A free loopback port below the kernel's ephemeral range (32768 and up on Linux). A client that keeps connecting to a
 * port inside that range while its broker is down may be given that very port as its own and connect to itself.
 */
export async function freePort(): Promise<number> {
  return await freePortWith([0]);
}

/** A port that is free together with those so far above it. */
export async function freePortWith(offsets: readonly number[]): Promise<number> {
  const first = 20_000;
  const count = 12_000;
  for (;;) {
    const port = first + Math.floor(Math.random() * count);
    const free = await Promise.all(offsets.map((offset) => canListen(port + offset)));
    if (free.every((isFree) => isFree)) return port;
  }
}

function canListen(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });
}
