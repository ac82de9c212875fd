/** What a node of a cluster can be told that would make none: found before it starts, and said to its user. */
import { endpointText } from '#base/endpoint-text';
import { parseEndpoint } from '#model/listener';
import type { ParsedBrokerConfig } from '#model/parse-broker-config';
import { sharedPorts } from './listen-addresses.ts';

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
  const shared = sharedPorts(config);
  if (shared.length > 0) return shared;
  const unreadable = config.controllerQuorumVoters.filter((text) => parseVoter(text) === undefined);
  if (unreadable.length > 0) {
    return unreadable.map(
      (text) =>
        `controller.quorum.voters (--voters): "${text}" is not of the form ID@HOST:PORT, the port from 1 to 65535`,
    );
  }
  const voters = config.controllerQuorumVoters.map(parseVoter).filter((voter) => voter !== undefined);
  const self = voters.find(({ id }) => id === config.nodeId);
  return [
    ...repeated(voters),
    ...roleProblems(parsed, voters, self),
    ...bootstrapProblems(parsed, voters),
    ...addressProblems(parsed, voters, self),
  ];
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
  if (self === undefined || bound === undefined) return [];
  const listed = `the voters have node ${self.id} at ${endpointText(self)}`;
  if (bound.port !== self.port) {
    return [
      `${listed}, and its peer listener (--peer-listen) is ${config.peerListener}: the others would not reach it there`,
    ];
  }
  if (isLoopback(bound.host) && !isLoopback(self.host)) {
    return [`${listed}, and its peer listener (--peer-listen) ${config.peerListener} takes this machine's nodes only`];
  }
  const remote = voters.find(({ host }) => !isLoopback(host));
  if (isLoopback(self.host) && remote !== undefined) {
    return [`${listed}, an address that nodes elsewhere, as voter ${remote.id} at ${remote.host}, do not reach`];
  }
  return [];
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127(\.\d+){3}$/.test(host);
}
