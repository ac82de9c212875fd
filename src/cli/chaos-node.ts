import type { Ports } from '#base/ports';
import { NodeFaults } from '#faults/node-faults';
import { ChaosEndpoint } from '#http/chaos-endpoint';
import { readClusterFile } from './cluster-file.ts';
import { UsageError } from './config-sources.ts';

/** A node of `up --chaos`: its ports, which fail when told to, and where they are told. `path` is that of the cluster file. */
export function underChaos(ports: Ports, path: string, id: number): { ports: Ports; endpoint: ChaosEndpoint } {
  const cluster = readClusterFile(path);
  if (cluster?.token === undefined || !cluster.nodes.some((node) => node.id === id)) {
    throw new UsageError(
      `--chaos takes the cluster file of \`odradek up --chaos\`, and ${path} is none with node ${id}`,
    );
  }
  const nodes = cluster.nodes.map((node) => ({
    id: node.id,
    nodePorts: [node.peerPort, ...(node.internalPort === undefined ? [] : [node.internalPort])],
    clientPort: node.port,
  }));
  const faults = new NodeFaults(ports, id, nodes);
  return {
    ports: { ...ports, network: faults.network, disks: faults.disks },
    endpoint: new ChaosEndpoint(faults, cluster.token),
  };
}
