/** Who may talk to whom. The reasons are sentences for both nodes' logs: they name no passing thing, so that a change is news. */
import { endpointText } from '#base/endpoint-text';
import type { Endpoint } from '#base/ports';
import type { NodeId } from '#model/ids';
import type { PeerHello } from './peer-types.ts';

/** Why a node that has said hello is none to talk to; undefined if it is. Both ends ask this. */
export function strangerSentence(self: PeerHello, other: PeerHello): string | undefined {
  if (self.clusterId !== null && other.clusterId !== null && self.clusterId !== other.clusterId) {
    return (
      `node ${other.id} at ${endpointText(other.endpoint)} belongs to cluster ${other.clusterId}, and node ${self.id} at ` +
      `${endpointText(self.endpoint)} to cluster ${self.clusterId}: check their data directories and the addresses of the voters`
    );
  }
  return undefined;
}

/** Why a node that wants to be heard is turned away; `known` is the one of the same id that is connected, if there is one. */
export function intruderSentence(self: PeerHello, other: PeerHello, known: PeerHello | undefined): string | undefined {
  if (other.id === self.id) {
    if (other.incarnation === self.incarnation)
      return `node ${self.id} has dialled itself: check the addresses of the voters`;
    return `node id ${other.id} is that of the node at ${endpointText(self.endpoint)}: give each node an id of its own`;
  }
  if (known !== undefined && known.directoryId !== other.directoryId) {
    return (
      `node id ${other.id} is in use by the node at ${endpointText(known.endpoint)}, whose data directory is another one ` +
      `(${known.directoryId}, not ${other.directoryId}): give each node an id of its own`
    );
  }
  return undefined;
}

/** Why a node that has answered, or is dialled, is not the one that was meant. */
export function mistakenSentence(answering: PeerHello, wanted: NodeId | null): string | undefined {
  if (wanted === null || wanted === answering.id) return undefined;
  return `node ${answering.id} listens at ${endpointText(answering.endpoint)}, not node ${wanted}: check the addresses of the voters`;
}

/** Of a listener that answers something else than peers do: an HTTP listener, say, or one for clients. */
export function strangeListenerSentence(at: Endpoint, fault: string): string {
  return `what listens at ${endpointText(at)} is no peer listener of a node (${fault}): check the addresses of the voters`;
}

/** Said again, a hello may tell another cluster, endpoint or roles, but not another node. */
export function isSameNode(a: PeerHello, b: PeerHello): boolean {
  return a.id === b.id && a.directoryId === b.directoryId && a.incarnation === b.incarnation;
}
