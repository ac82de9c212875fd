import type { Deadlines } from '#base/deadlines';
import type { Clock, Endpoint, Logger, Network, Random } from '#base/ports';
import type { ConnectionLoss, PeerShared } from '#net/peer-connection';
import type { PeerDataEncoder } from './peer-data.ts';
import type { PeerDirection, PeerHello, PeerLoss } from './peer-types.ts';

/** What the parts of one node's peer network have in common. */
export interface PeerHost {
  readonly clock: Clock;
  readonly network: Network;
  readonly random: Random;
  readonly logger: Logger;
  readonly deadlines: Deadlines;
  readonly encoder: PeerDataEncoder;
  readonly shared: PeerShared;
  readonly stats: PeerStats;
  /** This node, as it would say hello now. */
  self(): PeerHello;
  connected(peer: PeerHello, direction: PeerDirection): void;
  disconnected(peer: PeerHello, direction: PeerDirection, loss: ConnectionLoss): void;
}

/** Plain counters, read by the metrics when asked. */
export interface PeerStats {
  messagesSent: number;
  messagesReceived: number;
  /** One-way messages that found no room in a queue, or no connection. */
  messagesDropped: number;
  requestsSent: number;
  requestsReceived: number;
  /** Requests of this node that got no answer, and those of others for which there was no room. */
  requestsFailed: number;
  requestsRefused: number;
  dials: number;
  /** Nodes that were turned away, or turned this node away. */
  greetingsRefused: number;
}

export function emptyStats(): PeerStats {
  return {
    messagesSent: 0,
    messagesReceived: 0,
    messagesDropped: 0,
    requestsSent: 0,
    requestsReceived: 0,
    requestsFailed: 0,
    requestsRefused: 0,
    dials: 0,
    greetingsRefused: 0,
  };
}

/** One line for a connection that this node has closed. */
export function logFault(logger: Logger, remote: Endpoint, fault: string): void {
  logger.warn({ remote }, `peer connection closed: ${fault}`);
}

/** Of a connection that was greeted. */
export function peerLoss(loss: ConnectionLoss): PeerLoss {
  switch (loss) {
    case 'refused':
    case 'timeout':
    case 'ungreeted':
      return 'error';
    default:
      return loss;
  }
}

export function isSameEndpoint(a: Endpoint, b: Endpoint): boolean {
  return a.host === b.host && a.port === b.port;
}
