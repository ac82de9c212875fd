/** What can happen to a cluster, to whom, and how soon clients are to go on. */
import type { Cluster } from '../../test/support/cluster/cluster.ts';
import { controllerSeenAt, type Topic } from '../../test/support/cluster/view.ts';

export interface Kind {
  readonly name: string;
  readonly what: string;
  readonly nodes: 3 | 6;
  /** Whether the nodes need hosts of their own, whose packets can be dropped. */
  readonly needsHosts: boolean;
  /** Asked of Odradek in ms: of running producers, and of clients that come afterwards. */
  readonly boundMs: number | undefined;
  readonly freshBoundMs: number | undefined;
  victims(cluster: Cluster, topic: Topic, trial: number): Promise<readonly number[]>;
  strike(cluster: Cluster, victim: number): void;
}

async function controller(cluster: Cluster): Promise<number> {
  return await cluster.ask('a controller', (at) => controllerSeenAt(at));
}

function leads({ partitions }: Topic, id: number): number {
  return partitions.filter(({ leader }) => leader === id).length;
}

/** The one of those that leads most; the trial says which of equals. */
function leadingMost(ids: readonly number[], topic: Topic, trial: number): readonly number[] {
  const most = Math.max(...ids.map((id) => leads(topic, id)));
  const candidates = ids.filter((id) => leads(topic, id) === most);
  return candidates.slice(trial % candidates.length).slice(0, 1);
}

const aLeader: Kind['victims'] = async (cluster, topic, trial) => {
  const decides = await controller(cluster);
  const others = cluster.ids.filter((id) => id !== decides);
  return leadingMost(others, topic, trial);
};

const theController: Kind['victims'] = async (cluster) => [await controller(cluster)];

const aRack: Kind['victims'] = async (cluster, _topic, trial) => {
  const racks = [...new Set(cluster.members.map(({ rack }) => rack))];
  const rack = racks[trial % racks.length];
  return cluster.members.filter((member) => member.rack === rack).map(({ id }) => id);
};

const killed: Kind['strike'] = (cluster, id) => cluster.signal(id, 'SIGKILL');
const stopped: Kind['strike'] = (cluster, id) => cluster.signal(id, 'SIGTERM');
const paused: Kind['strike'] = (cluster, id) => cluster.signal(id, 'SIGSTOP');
const cutOff: Kind['strike'] = (cluster, id) => cluster.cut(id);

const loud = { nodes: 3, needsHosts: false, freshBoundMs: undefined } as const;
const silent = { nodes: 3, needsHosts: false, boundMs: undefined } as const;

export const KINDS: readonly Kind[] = [
  { ...loud, name: 'leader', what: 'leader SIGKILL', boundMs: 1_000, victims: aLeader, strike: killed },
  {
    ...loud,
    name: 'leader-controller',
    what: 'leader and controller SIGKILL',
    boundMs: 2_000,
    victims: theController,
    strike: killed,
  },
  { ...loud, name: 'rack', what: 'rack of 2 SIGKILL', nodes: 6, boundMs: 2_000, victims: aRack, strike: killed },
  { ...loud, name: 'graceful', what: 'leader SIGTERM', boundMs: 200, victims: aLeader, strike: stopped },
  { ...silent, name: 'pause', what: 'leader SIGSTOP', freshBoundMs: 3_000, victims: aLeader, strike: paused },
  {
    ...silent,
    name: 'pause-controller',
    what: 'leader and controller SIGSTOP',
    freshBoundMs: 4_000,
    victims: theController,
    strike: paused,
  },
  {
    ...silent,
    name: 'drop',
    what: 'all packets of a leader dropped',
    needsHosts: true,
    freshBoundMs: 3_000,
    victims: aLeader,
    strike: cutOff,
  },
  {
    ...silent,
    name: 'drop-controller',
    what: 'all packets of leader and controller dropped',
    needsHosts: true,
    freshBoundMs: 4_000,
    victims: theController,
    strike: cutOff,
  },
  {
    ...silent,
    name: 'drop-rack',
    what: "a rack's uplink dropped",
    nodes: 6,
    needsHosts: true,
    freshBoundMs: 4_000,
    victims: aRack,
    strike: (cluster, id) => cluster.cutRack(id),
  },
];
