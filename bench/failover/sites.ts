/** Where nodes run: all on this host's loopback, or each on a host of its own whose packets can be dropped. */
import { freePort } from '../../test/support/free-port.ts';

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

export function rackOf(index: number): string {
  return 'abc'.charAt(index % 3);
}

/** On 127.0.0.1; nothing can be cut there. */
export function loopbackSites(count: number): readonly Site[] {
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
    within: [],
    freePort: anotherPort,
    cut: neverCut,
    cutRack: neverCut,
    join: () => undefined,
  }));
}

function neverCut(): never {
  throw new Error('loopback cannot be cut');
}
