/** The node's part in the metadata quorum: its peers, its replica of the log, and the controller that it is while it leads. */

import { assert } from '#base/assert';
import type { Deadlines } from '#base/deadlines';
import { cannotListen } from '#base/listen-failure';
import type { Endpoint, Logger, Ports } from '#base/ports';
import type { NodeId, Uuid } from '#model/ids';
import { interBrokerListener, parseEndpoint } from '#model/listener';
import type { ParsedBrokerConfig } from '#model/parse-broker-config';
import type { PlantedBugs } from '#model/planted-bugs';
import type { PeerAddress, ReplicaMessage } from '#raft/messages';
import { RaftMessageCodec } from '#raft/raft-message-codec';
import { BrokerSessions } from '#runtime/broker-sessions';
import { ConfigDifferences } from '#runtime/config-differences';
import { ControllerHost } from '#runtime/controller-host';
import { ControllerLink } from '#runtime/controller-link';
import { ControllerUpkeep } from '#runtime/controller-upkeep';
import { MetadataController } from '#runtime/metadata-controller';
import { MetadataQuorum } from '#runtime/metadata-quorum';
import { PeerNetwork } from '#runtime/peer-network';
import type { PeerHello } from '#runtime/peer-types';
import type { LogStore } from '#storage/log-store';
import { LeaderlessWarning } from './leaderless.ts';
import { NodeError } from './node-error.ts';

const ELECTION_TIMEOUT_MS = 1_000;
const HEARTBEAT_MS = 100;

export interface NodeQuorum {
  readonly peers: PeerNetwork;
  readonly quorum: MetadataQuorum;
  readonly controller: MetadataController;
  readonly sessions: BrokerSessions;
  readonly upkeep: ControllerUpkeep;
  readonly host: ControllerHost;
  readonly link: ControllerLink;
  readonly leaderless: LeaderlessWarning;
}

export interface NodeIdentity {
  readonly id: NodeId;
  /** Of this process. */
  readonly incarnation: Uuid;
  readonly planted: PlantedBugs;
}

/** Adds to `opened` how each part is closed again. The quorum does nothing before its `start`. */
export async function openQuorum(
  ports: Ports,
  { config, given }: ParsedBrokerConfig,
  store: LogStore,
  deadlines: Deadlines,
  { id, incarnation, planted }: NodeIdentity,
  opened: (() => Promise<void>)[],
): Promise<NodeQuorum> {
  let made: NodeQuorum | undefined;
  const codec = new RaftMessageCodec();
  const peers = new PeerNetwork(
    ports,
    {
      clusterId: (store.clusterId as Uuid | undefined) ?? null,
      id,
      directoryId: store.metadataDirectoryId,
      incarnation,
      roles: config.processRoles,
    },
    {
      connected: (peer) => {
        made?.quorum.connected(peer.id);
        made?.sessions.greeted(peer);
      },
      disconnected: (peer, _direction, cause) => {
        const byPeer = cause === 'end' || cause === 'reset';
        made?.quorum.disconnected(peer.id, byPeer);
        if (byPeer) made?.sessions.lost(peer);
      },
      message: (from, bytes) => {
        const message = decode(codec, bytes, from, ports);
        if (message !== undefined) made?.quorum.received(message, addressOf(from));
      },
    },
    planted,
  );
  opened.push(() => peers.close());
  ControllerHost.serve(peers, () => made?.host);
  const voters = config.controllerQuorumVoters.map(voterAddress);
  const endpoint = await listen(
    peers,
    config.peerListener,
    voters.find((voter) => voter.id === id),
  );
  const self = { id, directoryId: store.metadataDirectoryId, ...endpoint };
  const isController = config.processRoles.includes('controller');
  const [disk] = ports.disks;
  assert(disk !== undefined, 'the config has a data directory');
  const quorum = await MetadataQuorum.open(ports, disk, {
    self,
    voters: voters.length === 0 && isController ? [{ id, ...endpoint }] : voters,
    targetSize: config.clusterTargetSize ?? Math.max(1, voters.length),
    snapshotBytes: config.metadataLogMaxRecordBytesBetweenSnapshots,
    snapshotIntervalMs: config.metadataLogMaxSnapshotIntervalMs,
    electionTimeoutMs: ELECTION_TIMEOUT_MS,
    heartbeatMs: HEARTBEAT_MS,
    planted,
    send: (to, message) => {
      if (to.id === id) return;
      peers.setAddress(to.id, { host: to.host, port: to.port });
      peers.send(to.id, codec.encode(message));
    },
    joined: (clusterId) => peers.joined(clusterId),
    onFailed: (failure) =>
      ports.fatal(new NodeError(`the metadata log has failed: ${failure.message}`, { cause: failure })),
  });
  opened.push(() => quorum.close());
  refuseStrangers(quorum, voters, isController);
  warnOfOthers(ports.logger, quorum, voters);
  const leaderless = new LeaderlessWarning(ports, quorum, peers);
  opened.push(async () => leaderless.stop());
  const controller = new MetadataController(quorum, ports.random.fork('controller'), given, planted);
  const sessions = new BrokerSessions(
    ports.clock,
    { quorum, controller, peers },
    {
      sessionMs: config.brokerSessionTimeoutMs,
      heartbeatMs: config.brokerHeartbeatIntervalMs,
      planted,
      endpointOf: (listeners) => interBrokerListener(listeners, config.interBrokerListenerName),
    },
  );
  opened.push(async () => sessions.stop());
  const upkeep = new ControllerUpkeep(
    ports.clock,
    { quorum, controller, sessions },
    {
      balancesLeaders: config.autoLeaderRebalanceEnable,
      checkMs: config.leaderImbalanceCheckIntervalSeconds * 1000,
    },
  );
  opened.push(async () => upkeep.stop());
  const { clock } = ports;
  const host = new ControllerHost(
    { quorum, controller, sessions, differences: new ConfigDifferences(ports.logger, quorum.image, given) },
    { wall: () => clock.wall(), now: () => clock.now() },
  );
  const link = new ControllerLink(clock, deadlines, quorum, controller, peers);
  opened.push(async () => link.stop());
  made = { peers, quorum, controller, sessions, upkeep, host, link, leaderless };
  return made;
}

/** What other nodes are told is the address that the list of voters has for this node, else the one that it listens on. */
async function listen(peers: PeerNetwork, listener: string, listed: Endpoint | undefined): Promise<Endpoint> {
  const bound = parseEndpoint(listener);
  assert(bound !== undefined, 'the config has a peer listener');
  const isAnywhere = bound.host === '' || bound.host === '0.0.0.0' || bound.host === '::';
  const advertised = listed ?? { host: isAnywhere ? 'localhost' : bound.host, port: bound.port };
  try {
    return await peers.listen(bound, { host: advertised.host, port: advertised.port });
  } catch (cause) {
    throw new NodeError(cannotListen('the peer listener', bound, cause), { cause });
  }
}

/** A data directory remembers its cluster: one that was given to another node, or another cluster, by mistake would found a second one. */
function refuseStrangers(quorum: MetadataQuorum, listed: readonly PeerAddress[], isController: boolean): void {
  const { voters, self } = quorum;
  if (voters.length === 0) return;
  const own = voters.find(({ directoryId }) => directoryId === self.directoryId);
  const known = voters.map(({ id, host, port }) => `${id}@${host}:${port}`).join(',');
  if (own !== undefined && !isController) {
    throw new NodeError(
      `the data directory is that of voter ${own.id} of a metadata quorum (${known}), but process.roles lacks controller: ` +
        'give the node that role, or a data directory of its own',
    );
  }
  if (listed.length === 0 || listed.some(({ id }) => voters.some((voter) => voter.id === id))) return;
  const given = listed.map(({ id, host, port }) => `${id}@${host}:${port}`).join(',');
  throw new NodeError(
    `the data directory belongs to a cluster whose voters are ${known}, and none of the voters given (${given}) is among them: ` +
      'give the node the voters of its cluster, or a data directory of its own',
  );
}

/** The list founds a quorum, and changes none: who takes it for the quorum of today may count on voters that there are not. */
function warnOfOthers(logger: Logger, { voters }: MetadataQuorum, listed: readonly PeerAddress[]): void {
  const strange = listed.filter(({ id }) => !voters.some((voter) => voter.id === id));
  if (voters.length === 0 || strange.length === 0) return;
  const [known, others] = [voters, strange].map((nodes) => nodes.map(({ id }) => id).join(', '));
  logger.warn(
    { voters: known, notVoters: others },
    'controller.quorum.voters names nodes that are no voters: it counts when a quorum is founded, and voters are added to one later (AddRaftVoter)',
  );
}

function voterAddress(text: string): PeerAddress {
  const [id, address = ''] = text.split('@', 2);
  const endpoint = parseEndpoint(address);
  assert(endpoint !== undefined, 'the voters are validated with the config');
  return { id: Number(id) as NodeId, host: endpoint.host, port: endpoint.port };
}

function addressOf({ id, endpoint }: PeerHello): PeerAddress {
  return { id, host: endpoint.host, port: endpoint.port };
}

function decode(codec: RaftMessageCodec, bytes: Uint8Array, from: PeerHello, ports: Ports): ReplicaMessage | undefined {
  try {
    return codec.decode(bytes);
  } catch (error) {
    ports.logger.warn({ node: from.id, error: (error as Error).message }, 'a message of a peer is not understood');
    return undefined;
  }
}
