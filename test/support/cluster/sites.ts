/** Where nodes run: all on this host's loopback, or each on a host of its own whose packets can be dropped. */
import { freePort } from '../free-port.ts';
import { whileWeLive } from '../process.ts';

/** A place for one node. */
export interface Site {
  readonly host: string;
  readonly rack: string;
  /** What a command is put behind to run there. */
  readonly within: readonly string[];
  freePort(): Promise<number>;
  /** Every packet to and from the site is dropped, and no connection is closed. */
  cut(): void;
  /** Every packet between its rack and the others is dropped. */
  cutRack(): void;
  /** Undoes both. */
  join(): void;
}

/** Where the clients are, beside the hosts. */
export const CLIENTS_HOST = '10.7.0.1';

/** A line that delays each packet for a time of its own, so that some pass others, loses some and carries some twice. */
export interface Impairment {
  readonly delayMs: number;
  /** A packet takes so much more or less. */
  readonly jitterMs: number;
  readonly lostPercent: number;
  readonly twicePercent: number;
}

/** What can be done to the network between hosts, by their addresses. */
export interface Links {
  /** By what lines are impaired here; undefined if they cannot be. */
  readonly impairedBy: 'netem' | 'relay' | undefined;
  /** What one sends to the other is lost, and nobody is told. */
  drop(from: string, to: string): void;
  /** To and from this host no more than so much; what does not fit into a queue of 50 ms is lost. */
  limit(host: string, kilobitsPerS: number): void;
  /** Undoes all of these, for all. */
  restore(): void;
  /** Everything to and from this host goes over such a line, in each direction. */
  impair(host: string, impairment: Impairment, seed: number): Promise<void>;
  /** Undoes that. */
  repair(host: string): void;
}

export function rackOf(index: number): string {
  return 'abc'.charAt(index % 3);
}

/** On 127.0.0.1; nothing can be cut there. */
export function loopbackSites(count: number): readonly Site[] {
  const within = whileWeLive();
  const taken = new Set<number>();
  const anotherPort = async (): Promise<number> => {
    for (;;) {
      const port = await freePort();
      if (taken.has(port)) continue;
      taken.add(port);
      return port;
    }
  };
  return Array.from({ length: count }, (_, index) => ({
    host: '127.0.0.1',
    rack: rackOf(index),
    within,
    freePort: anotherPort,
    cut: neverCut,
    cutRack: neverCut,
    join: () => undefined,
  }));
}

function neverCut(): never {
  throw new Error('loopback cannot be cut');
}
