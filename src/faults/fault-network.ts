import type { Clock, Connection, Endpoint, Listener, Network, Receiver } from '#base/ports';
import { FaultConnection } from './fault-connection.ts';
import { FaultLine, type LineFault } from './fault-line.ts';

/** The node at the other end, or all clients of this node. */
export type LineName = number | 'clients';

/** Whose traffic is whose, by the addresses alone. */
export interface FaultTopology {
  /** The other node that is dialled there; undefined for every other address, whose connections are left alone. */
  nodeAt(to: Endpoint): number | undefined;
  /** Whether clients come in there; where other nodes do, they are left alone. */
  isForClients(at: Endpoint): boolean;
}

/**
 * Faults on demand between a node and the others, and between it and its clients. A line to another node is made of the connections that
 * this node dials: of what the other one dials, that one's own FaultNetwork has the line, so a fault between two nodes is set on both.
 */
export class FaultNetwork implements Network {
  readonly #clock: Clock;
  readonly #inner: Network;
  readonly #topology: FaultTopology;
  readonly #lines = new Map<LineName, FaultLine>();

  constructor(ports: { readonly clock: Clock; readonly network: Network }, topology: FaultTopology) {
    this.#clock = ports.clock;
    this.#inner = ports.network;
    this.#topology = topology;
  }

  /** Those that are set, by line. */
  get faults(): ReadonlyMap<LineName, LineFault> {
    const faults = new Map<LineName, LineFault>();
    for (const [name, { fault }] of this.#lines) if (fault !== undefined) faults.set(name, fault);
    return faults;
  }

  /** Takes the place of what was set on the line before, for its open connections and for those to come; undefined heals it. */
  set(name: LineName, fault: LineFault | undefined): void {
    this.#line(name).set(fault);
  }

  healAll(): void {
    for (const line of this.#lines.values()) line.set(undefined);
  }

  listen(at: Endpoint, accept: (connection: Connection) => Receiver): Promise<Listener> {
    if (!this.#topology.isForClients(at)) return this.#inner.listen(at, accept);
    const line = this.#line('clients');
    return this.#inner.listen(at, (connection) => FaultConnection.accepted(line, connection, accept));
  }

  connect(to: Endpoint, open: (connection: Connection) => Receiver): void {
    const node = this.#topology.nodeAt(to);
    if (node === undefined) this.#inner.connect(to, open);
    else FaultConnection.dial(this.#line(node), this.#inner, to, open);
  }

  #line(name: LineName): FaultLine {
    let line = this.#lines.get(name);
    if (line === undefined) {
      line = new FaultLine(this.#clock);
      this.#lines.set(name, line);
    }
    return line;
  }
}
