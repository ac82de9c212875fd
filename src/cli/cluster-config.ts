/** What a node of a cluster can be told that would make none: found before it starts, and said to its user. */
import { endpointText } from '#base/endpoint-text';
import type { Endpoint } from '#base/ports';
import type { BrokerConfig } from '#model/broker-config';
import { interBrokerListener, parseEndpoint, parseListener } from '#model/listener';
import type { ParsedBrokerConfig } from '#model/parse-broker-config';
import { EVERY_INTERFACE, sharedPorts } from './listen-addresses.ts';

/** A part of controller.quorum.voters: where the others reach a voter. */
export interface VoterAddress {
  readonly id: number;
  readonly host: string;
  readonly port: number;
}

export const NODE_ID_MAX = 0x7fff_ffff;

/** `ID@HOST:PORT`; undefined for anything else, and for an address that nobody can dial. */
export function parseVoter(text: string): VoterAddress | undefined {
  const [, id = '', address = ''] = /^(\d{1,10})@(.+)$/.exec(text.trim()) ?? [];
  const at = parseEndpoint(address);
  if (at === undefined || at.host === '' || at.port === 0 || Number(id) > NODE_ID_MAX) return undefined;
  return { id: Number(id), host: at.host, port: at.port };
}

/** The address under which the other voters reach this node, as `host:port`: its peer listener unless that is given. */
export function ownVoterAddress({ config }: ParsedBrokerConfig): string | undefined {
  const self = config.controllerQuorumVoters.map(parseVoter).find((voter) => voter?.id === config.nodeId);
  return self === undefined ? undefined : endpointText(self);
}

/** Sentences, one for each thing that is wrong; none if the node can be part of its cluster. */
export function clusterProblems(parsed: ParsedBrokerConfig): readonly string[] {
  const { config } = parsed;
  const ofListeners = [...sharedPorts(config), ...nameProblems(parsed)];
  if (ofListeners.length > 0) return ofListeners;
  const unreadable = config.controllerQuorumVoters.filter((text) => parseVoter(text) === undefined);
  if (unreadable.length > 0) {
    return unreadable.map(
      (text) =>
        `controller.quorum.voters (--voters): "${text}" is not of the form ID@HOST:PORT, the port from 1 to 65535`,
    );
  }
  const voters = config.controllerQuorumVoters.map(parseVoter).filter((voter) => voter !== undefined);
  const self = voters.find(({ id }) => id === config.nodeId);
  const ofPeers = addressProblems(parsed, voters, self);
  return [
    ...repeated(voters),
    ...roleProblems(parsed, voters, self),
    ...bootstrapProblems(parsed, voters),
    ...(ofPeers.length > 0 ? ofPeers : toldProblems(parsed, voters, self)),
  ];
}

/** Under a name that no listener has, an address is one that nobody is told. */
function nameProblems({ config }: ParsedBrokerConfig): readonly string[] {
  const { advertisedListeners = [], interBrokerListenerName, processRoles } = config;
  if (!processRoles.includes('broker')) return [];
  const names = namesOf(config.listeners);
  const are = `listeners are ${names.join(', ')}`;
  const advertised = namesOf(advertisedListeners).filter((name) => !names.includes(name));
  const problems = advertised.map(
    (name) => `advertised.listeners (--advertise) names the listener ${name}, and ${are}: give both the same names`,
  );
  const between = interBrokerListenerName?.toUpperCase() ?? '';
  if (between === '' || names.includes(between)) return problems;
  return [...problems, `inter.broker.listener.name is ${interBrokerListenerName}, and ${are}: name one of these`];
}

function namesOf(listeners: readonly string[]): readonly string[] {
  return listeners.flatMap((text) => parseListener(text)?.name ?? []);
}

function repeated(voters: readonly VoterAddress[]): readonly string[] {
  const problems: string[] = [];
  for (const [index, { id, host, port }] of voters.entries()) {
    const earlier = voters.slice(0, index);
    if (earlier.some((voter) => voter.id === id)) {
      problems.push(`the voters name node ${id} twice: give each node an id of its own`);
    }
    const twin = earlier.find((voter) => voter.id !== id && voter.host === host && voter.port === port);
    if (twin !== undefined) problems.push(`the voters have nodes ${twin.id} and ${id} at one address, ${host}:${port}`);
  }
  return problems;
}

function roleProblems(
  { config }: ParsedBrokerConfig,
  voters: readonly VoterAddress[],
  self: VoterAddress | undefined,
): readonly string[] {
  const { nodeId, processRoles } = config;
  const roles = processRoles.join(',');
  const isController = processRoles.includes('controller');
  if (self !== undefined && !isController) {
    return [`node ${nodeId} is among the voters, which needs the role controller: process.roles (--roles) is ${roles}`];
  }
  if (self === undefined && isController && voters.length > 0) {
    const ids = voters.map(({ id }) => id).join(', ');
    return [
      `node ${nodeId} is not among the voters (${ids}): name it there with its address, or make it a broker only (--roles broker)`,
    ];
  }
  if (voters.length === 0 && processRoles.length < 2) {
    return [`process.roles=${roles} makes sense beside other nodes only: name their voters (--voters ID@HOST:PORT,…)`];
  }
  return [];
}

/** A node that took the addresses of others and did not ask them would found a cluster of its own. */
function bootstrapProblems({ config }: ParsedBrokerConfig, voters: readonly VoterAddress[]): readonly string[] {
  const bound = parseEndpoint(config.peerListener);
  const others = config.controllerQuorumBootstrapServers.filter((text) => {
    const at = parseEndpoint(text);
    return at?.port !== bound?.port || !(isLoopback(at?.host ?? '') || at?.host === bound?.host);
  });
  if (voters.length > 0 || others.length === 0) return [];
  return [
    `controller.quorum.bootstrap.servers names other nodes (${others.join(',')}), and only the voters are asked: name them (--voters ID@HOST:PORT,…)`,
  ];
}

/** The peer listener must be where the others look for this node. */
function addressProblems(
  { config }: ParsedBrokerConfig,
  voters: readonly VoterAddress[],
  self: VoterAddress | undefined,
): readonly string[] {
  const bound = parseEndpoint(config.peerListener);
  if (bound === undefined) return [];
  const remote = voters.find(({ host }) => !isLoopback(host));
  if (self === undefined) {
    if (remote === undefined || !(isLoopback(bound.host) || EVERY_INTERFACE.has(bound.host))) return [];
    return [
      `nodes elsewhere, as voter ${remote.id} at ${remote.host}, do not reach this one by its peer listener (--peer-listen) ${config.peerListener}: name an address of this machine`,
    ];
  }
  const listed = `the voters have node ${self.id} at ${endpointText(self)}`;
  if (bound.port !== self.port) {
    return [
      `${listed}, and its peer listener (--peer-listen) is ${config.peerListener}: the others would not reach it there`,
    ];
  }
  if (isLoopback(bound.host) && !isLoopback(self.host)) {
    return [`${listed}, and its peer listener (--peer-listen) ${config.peerListener} takes this machine's nodes only`];
  }
  if (isLoopback(self.host) && remote !== undefined) {
    return [`${listed}, an address that nodes elsewhere, as voter ${remote.id} at ${remote.host}, do not reach`];
  }
  return [];
}

/** What other machines are told of this broker must not be themselves: its followers would fetch from there. */
function toldProblems(
  { config }: ParsedBrokerConfig,
  voters: readonly VoterAddress[],
  self: VoterAddress | undefined,
): readonly string[] {
  const told = toldAddress(config);
  const own = self?.host ?? parseEndpoint(config.peerListener)?.host ?? '';
  const other = voters.find(({ host }) => host !== own && !isLoopback(host));
  if (told === undefined || other === undefined || !isLoopback(told.host)) return [];
  return [
    `other nodes, as voter ${other.id} at ${other.host}, are told ${endpointText(told)} for this broker, and that is themselves: give it an address that they reach (--listen or --advertise HOST:PORT)`,
  ];
}

/** Where brokers are told that this one is; undefined if it is none. */
function toldAddress(config: BrokerConfig): Endpoint | undefined {
  const { listeners, advertisedListeners = [], interBrokerListenerName, processRoles } = config;
  const bound = listeners.map(parseListener).filter((listener) => listener !== undefined);
  const used = interBrokerListener(bound, interBrokerListenerName);
  const told = advertisedListeners.map(parseListener).find((listener) => listener?.name === used?.name) ?? used;
  if (told === undefined || !processRoles.includes('broker')) return undefined;
  return { host: EVERY_INTERFACE.has(told.host) ? 'localhost' : told.host, port: told.port };
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127(\.\d+){3}$/.test(host);
}
