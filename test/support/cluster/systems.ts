/** How a node of each system is started: with its defaults, but for where it is and who its peers are. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { chooseVoters } from '#model/choose-voters';
import { nodeEnvironment, publishedMain } from '../odradek-process.ts';
import { runOrThrow } from '../process.ts';
import type { Member } from './cluster.ts';
import type { Site } from './sites.ts';

export interface System {
  readonly name: 'Odradek' | 'Apache Kafka';
  /** Starts nothing; the nodes' folders are to be in `folder`. `settings` stand above the defaults of all nodes. */
  prepare(
    folder: string,
    sites: readonly Site[],
    settings?: Readonly<Record<string, string>>,
  ): Promise<readonly Member[]>;
}

interface Placed {
  readonly id: number;
  readonly site: Site;
  readonly isVoter: boolean;
  readonly port: number;
  readonly peerPort: number;
  readonly httpPort: number;
}

async function placed(sites: readonly Site[]): Promise<readonly Placed[]> {
  const voters = chooseVoters(sites.map(({ rack }) => rack));
  const nodes: Placed[] = [];
  for (const [index, site] of sites.entries()) {
    const ports = { port: await site.freePort(), peerPort: await site.freePort(), httpPort: await site.freePort() };
    nodes.push({ id: index + 1, site, isVoter: voters.has(index), ...ports });
  }
  return nodes;
}

function quorum(nodes: readonly Placed[]): string {
  const voters = nodes.filter(({ isVoter }) => isVoter);
  return voters.map(({ id, site, peerPort }) => `${id}@${site.host}:${peerPort}`).join(',');
}

function member(
  { id, site, port }: Placed,
  dataDir: string,
  command: readonly string[],
  environment: NodeJS.ProcessEnv,
): Member {
  return { ...site, id, port, dataDir, command: [...site.within, ...command], environment };
}

/** The published bin. */
export const odradek: System = {
  name: 'Odradek',
  prepare: async (folder, sites, others = {}) => {
    const nodes = await placed(sites);
    return nodes.map((node) => {
      const { id, site, isVoter, port, peerPort, httpPort } = node;
      const settings = {
        'node.id': String(id),
        'peer.listener': `${site.host}:${peerPort}`,
        'controller.quorum.voters': quorum(nodes),
        'process.roles': isVoter ? 'broker,controller' : 'broker',
        'broker.rack': site.rack,
        ...others,
      };
      const set = Object.entries(settings).flatMap(([key, value]) => ['--set', `${key}=${value}`]);
      const listen = ['--listen', `${site.host}:${port}`, '--http-listen', `${site.host}:${httpPort}`];
      const dataDir = join(folder, `node-${id}`);
      const own = ['--data-dir', dataDir, ...listen];
      return member(node, dataDir, [process.execPath, publishedMain, 'start', ...own, ...set], nodeEnvironment());
    });
  },
};

/** Brokers and controllers in one process, as Odradek's are; the heap and the collector of its own start script. */
export function apacheKafka(jars: string): System {
  return {
    name: 'Apache Kafka',
    prepare: async (folder, sites, others = {}) => {
      const nodes = await placed(sites);
      const members: Member[] = [];
      for (const node of nodes) {
        const { id, site, isVoter, port, peerPort } = node;
        const own = join(folder, `node-${id}`);
        mkdirSync(own, { recursive: true });
        const client = `PLAINTEXT://${site.host}:${port}`;
        const settings = {
          'process.roles': isVoter ? 'broker,controller' : 'broker',
          'node.id': String(id),
          'broker.rack': site.rack,
          'controller.quorum.voters': quorum(nodes),
          listeners: isVoter ? `${client},CONTROLLER://${site.host}:${peerPort}` : client,
          'advertised.listeners': client,
          'listener.security.protocol.map': 'PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT',
          'controller.listener.names': 'CONTROLLER',
          'inter.broker.listener.name': 'PLAINTEXT',
          'log.dirs': join(own, 'logs'),
          ...others,
        };
        const properties = join(own, 'server.properties');
        const lines = Object.entries(settings).map(([key, value]) => `${key}=${value}\n`);
        writeFileSync(properties, lines.join(''));
        const format = ['kafka.tools.StorageTool', 'format', '--cluster-id=b2RyYWRlay1iZW5jaC1wZQ', '-c', properties];
        await runOrThrow('java', ['-cp', join(jars, '*'), ...format], { timeoutMs: 60_000 });
        const heap = ['-Xmx1G', '-Xms1G', '-server', '-XX:+UseG1GC', '-XX:MaxGCPauseMillis=20'];
        const collector = ['-XX:InitiatingHeapOccupancyPercent=35', '-XX:+ExplicitGCInvokesConcurrent'];
        const logging = join(import.meta.dirname, '../apache-kafka/log4j2.xml');
        const main = [`-Dlog4j2.configurationFile=${logging}`, '-cp', join(jars, '*'), 'kafka.Kafka', properties];
        members.push(member(node, own, ['java', ...heap, ...collector, ...main], process.env));
      }
      return members;
    },
  };
}
