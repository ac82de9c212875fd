import type { Parsed } from '#base/parsed';
import type { Clock, Disk, Endpoint, Network } from '#base/ports';
import { FaultDisk } from './fault-disk.ts';
import type { LineFault } from './fault-line.ts';
import { FaultNetwork, type LineName } from './fault-network.ts';
import type { FaultOrders } from './fault-orders.ts';

/** Where a node of the cluster is reached. */
export interface NodeAddresses {
  readonly id: number;
  /** By other nodes. */
  readonly nodePorts: readonly number[];
  /** By clients. */
  readonly clientPort: number;
}

interface Wrapped {
  readonly clock: Clock;
  readonly network: Network;
  readonly disks: readonly Disk[];
}

/** One node's network and disks, which fail as they are ordered to. The nodes of the cluster are on one host: a port tells whose it is. */
export class NodeFaults {
  readonly network: FaultNetwork;
  /** A kill of the process loses what was not synced, as a power cut does. */
  readonly disks: readonly FaultDisk[];
  readonly #others: ReadonlySet<number>;
  #isDiskFull = false;

  constructor(ports: Wrapped, self: number, nodes: readonly NodeAddresses[]) {
    const others = nodes.filter(({ id }) => id !== self);
    const byPort = new Map(others.flatMap(({ id, nodePorts }) => nodePorts.map((port) => [port, id] as const)));
    const clientPort = nodes.find(({ id }) => id === self)?.clientPort;
    this.#others = new Set(others.map(({ id }) => id));
    this.network = new FaultNetwork(ports, {
      nodeAt: ({ port }: Endpoint) => byPort.get(port),
      isForClients: ({ port }: Endpoint) => port === clientPort,
    });
    const isFull = (): boolean => this.#isDiskFull;
    this.disks = ports.disks.map((disk) => new FaultDisk(ports.clock, disk, { ignoreSync: false, isFull }));
  }

  get lines(): ReadonlyMap<LineName, LineFault> {
    return this.network.faults;
  }

  get isDiskFull(): boolean {
    return this.#isDiskFull;
  }

  /** All of the orders, or a sentence and none of them. */
  obey({ lines, diskFull }: FaultOrders): Parsed<undefined> {
    for (const name of lines.keys()) {
      if (name !== 'clients' && !this.#others.has(name)) return { error: `there is no line to node ${name}` };
    }
    for (const [name, fault] of lines) this.network.set(name, fault);
    if (diskFull !== undefined) this.#isDiskFull = diskFull;
    return { value: undefined };
  }

  healAll(): void {
    this.network.healAll();
    this.#isDiskFull = false;
  }
}
