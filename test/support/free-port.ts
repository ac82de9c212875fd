import { createServer } from 'node:net';

const FIRST = 20_000;
const COUNT = 12_000;
/** Whoever was given one may not listen yet. */
const given = new Set<number>();

/**
 * A free loopback port below the kernel's ephemeral range (32768 and up on Linux). A client that keeps connecting to a
 * port inside that range while its broker is down may be given that very port as its own and connect to itself.
 */
export async function freePort(): Promise<number> {
  return await freePortWith([0]);
}

/** A port that is free together with those so far above it. None is given twice. */
export async function freePortWith(offsets: readonly number[]): Promise<number> {
  for (;;) {
    const port = FIRST + Math.floor(Math.random() * COUNT);
    const ports = offsets.map((offset) => port + offset);
    if (ports.some((each) => given.has(each))) continue;
    for (const each of ports) given.add(each);
    const free = await Promise.all(ports.map(canListen));
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
