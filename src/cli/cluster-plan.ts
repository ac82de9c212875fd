/** How `up` lays a cluster of several brokers out on one machine. */
import { chooseVoters } from '#model/choose-voters';
import { UsageError } from './config-sources.ts';
import { nodeFolder } from './data-folder.ts';
import type { ListenAddress } from './listen-addresses.ts';

/** Peer and HTTP are the next ports behind the Kafka listener's, as with the defaults 9092, 9093 and 9094. */
export const PEER_OFFSET = 1;
export const HTTP_OFFSET = 2;
/** With --chaos the brokers have a listener of their own, so that their traffic is told from the clients' by where it comes in. */
const INTERNAL_OFFSET = 3;
/** From one node's ports to the next one's. */
const PORT_STEP = 10;
const BROKERS_MAX = 32;
const PORT_MAX = 0xffff;
const HOST = '127.0.0.1';

export interface NodePlan {
  readonly id: number;
  readonly rack: string | undefined;
  /** Votes on the metadata, beside being a broker. */
  readonly isVoter: boolean;
  readonly port: number;
  readonly peerPort: number;
  readonly httpPort: number;
  /** Of the other brokers' Kafka requests, if they do not come in with the clients'. */
  readonly internalPort: number | undefined;
  readonly dataDir: string;
}

export interface ClusterShape {
  readonly brokers: number;
  /** Given out in turn; none: no broker has a rack. */
  readonly racks: readonly string[];
  /** Of the first node. */
  readonly port: number;
  /** Faults are set while it runs. */
  readonly chaos: boolean;
  /** The folder that has the nodes' folders. */
  readonly dataDir: string;
}

/** Throws UsageError for a shape that cannot be. */
export function checkShape({ brokers, racks, port, chaos }: Omit<ClusterShape, 'dataDir'>): void {
  if (!Number.isInteger(brokers) || brokers < 1 || brokers > BROKERS_MAX) {
    throw new UsageError(`--brokers takes a number from 1 to ${BROKERS_MAX}, not ${brokers}`);
  }
  if (chaos && brokers === 1) {
    throw new UsageError('--chaos needs others that go on: --brokers takes 2 or more with it');
  }
  if (racks.some((rack) => rack === '')) {
    throw new UsageError(`--racks takes names with commas between them, not "${racks.join(',')}"`);
  }
  if (racks.length > brokers) {
    throw new UsageError(`--racks names ${racks.length} racks, and --brokers is ${brokers}`);
  }
  const portMax = PORT_MAX - (chaos ? INTERNAL_OFFSET : HTTP_OFFSET) - PORT_STEP * (brokers - 1);
  if (!Number.isInteger(port) || port < 1 || port > portMax) {
    throw new UsageError(`--port takes a number from 1 to ${portMax}, not ${port}`);
  }
}

/** The nodes, 1 to `brokers`. */
export function planCluster({ brokers, racks, port, chaos, dataDir }: ClusterShape): readonly NodePlan[] {
  const rackOf = Array.from({ length: brokers }, (_, index) => racks[index % racks.length]);
  const voters = chooseVoters(rackOf);
  return rackOf.map((rack, index) => {
    const first = port + PORT_STEP * index;
    return {
      id: index + 1,
      rack,
      isVoter: voters.has(index),
      port: first,
      peerPort: first + PEER_OFFSET,
      httpPort: first + HTTP_OFFSET,
      internalPort: chaos ? first + INTERNAL_OFFSET : undefined,
      dataDir: nodeFolder(dataDir, index + 1),
    };
  });
}

/** All listeners of all nodes. */
export function listenAddresses(nodes: readonly NodePlan[]): readonly ListenAddress[] {
  return nodes.flatMap(({ id, port, peerPort, httpPort, internalPort }) =>
    [port, peerPort, httpPort, ...(internalPort === undefined ? [] : [internalPort])].map((each) => ({
      what: `node ${id}`,
      at: { host: HOST, port: each },
    })),
  );
}

/** controller.quorum.voters of all nodes. */
export function votersText(nodes: readonly NodePlan[]): string {
  return nodes
    .filter(({ isVoter }) => isVoter)
    .map(({ id, peerPort }) => `${id}@${HOST}:${peerPort}`)
    .join(',');
}

/** The flags of `odradek start` that make a process this node. */
export function startFlags(node: NodePlan, nodes: readonly NodePlan[]): readonly string[] {
  const { port, internalPort } = node;
  return [
    ...['--node-id', String(node.id), '--data-dir', node.dataDir],
    ...(internalPort === undefined
      ? ['--listen', `${HOST}:${port}`, '--advertise', `${HOST}:${port}`]
      : twoListeners(`PLAINTEXT://${HOST}:${port},INTERNAL://${HOST}:${internalPort}`)),
    ...['--peer-listen', `${HOST}:${node.peerPort}`, '--http-listen', `${HOST}:${node.httpPort}`],
    ...['--voters', votersText(nodes), '--roles', node.isVoter ? 'broker,controller' : 'broker'],
    ...(node.rack === undefined ? [] : ['--rack', node.rack]),
  ];
}

function twoListeners(listeners: string): readonly string[] {
  const settings = [
    `listeners=${listeners}`,
    `advertised.listeners=${listeners}`,
    'inter.broker.listener.name=INTERNAL',
  ];
  return settings.flatMap((setting) => ['--set', setting]);
}
