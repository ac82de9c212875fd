/** How `up` lays a cluster of several brokers out on one machine. */
import { chooseVoters } from '#model/choose-voters';
import { UsageError } from './config-sources.ts';
import { nodeFolder } from './data-folder.ts';

/** Peer and HTTP are the next ports behind the Kafka listener's, as with the defaults 9092, 9093 and 9094. */
export const PEER_OFFSET = 1;
export const HTTP_OFFSET = 2;
/** From one node's ports to the next one's. */
const PORT_STEP = 10;
const BROKERS_MAX = 32;
const PORT_MAX = 0xffff;

export interface NodePlan {
  readonly id: number;
  readonly rack: string | undefined;
  /** Votes on the metadata, beside being a broker. */
  readonly isVoter: boolean;
  readonly port: number;
  readonly peerPort: number;
  readonly httpPort: number;
  readonly dataDir: string;
}

export interface ClusterShape {
  readonly brokers: number;
  /** Given out in turn; none: no broker has a rack. */
  readonly racks: readonly string[];
  /** Of the first node. */
  readonly port: number;
  /** The folder that has the nodes' folders. */
  readonly dataDir: string;
}

/** Throws UsageError for a shape that cannot be. */
export function checkShape({ brokers, racks, port }: Omit<ClusterShape, 'dataDir'>): void {
  if (!Number.isInteger(brokers) || brokers < 1 || brokers > BROKERS_MAX) {
    throw new UsageError(`--brokers takes a number from 1 to ${BROKERS_MAX}, not ${brokers}`);
  }
  if (racks.some((rack) => rack === '')) throw new UsageError('--racks takes names with commas between them');
  if (racks.length > brokers) {
    throw new UsageError(`--racks names ${racks.length} racks, and --brokers is ${brokers}`);
  }
  const portMax = PORT_MAX - HTTP_OFFSET - PORT_STEP * (brokers - 1);
  if (!Number.isInteger(port) || port < 1 || port > portMax) {
    throw new UsageError(`--port takes a number from 1 to ${portMax}, not ${port}`);
  }
}

/** The nodes, 1 to `brokers`. */
export function planCluster({ brokers, racks, port, dataDir }: ClusterShape): readonly NodePlan[] {
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
      dataDir: nodeFolder(dataDir, index + 1),
    };
  });
}

/** controller.quorum.voters of all nodes. */
export function votersText(nodes: readonly NodePlan[]): string {
  return nodes
    .filter(({ isVoter }) => isVoter)
    .map(({ id, peerPort }) => `${id}@127.0.0.1:${peerPort}`)
    .join(',');
}

/** The flags of `odradek start` that make a process this node. */
export function startFlags(node: NodePlan, nodes: readonly NodePlan[]): readonly string[] {
  const host = '127.0.0.1';
  return [
    ...['--node-id', String(node.id), '--data-dir', node.dataDir],
    ...['--listen', `${host}:${node.port}`, '--advertise', `${host}:${node.port}`],
    ...['--peer-listen', `${host}:${node.peerPort}`, '--http-listen', `${host}:${node.httpPort}`],
    ...['--voters', votersText(nodes), '--roles', node.isVoter ? 'broker,controller' : 'broker'],
    ...(node.rack === undefined ? [] : ['--rack', node.rack]),
  ];
}
