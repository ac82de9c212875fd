/** Does every fault of the network, at each of two nodes, and tells whom the hosts have heard then and afterwards: a line of JSON for each. */
import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import { SimRandom } from '#sim/ports/sim-random';
import type { Cluster, Member } from '../../test/support/cluster/cluster.ts';
import { Hosts, insideOwnNetwork } from '../../test/support/cluster/hosts.ts';
import { CLIENTS_HOST } from '../../test/support/cluster/sites.ts';
import { sleep } from '../../test/support/process.ts';
import type { Scene } from './fault.ts';
import { PARTITIONS } from './partitions.ts';
import { RACK_FAULTS } from './racks.ts';

const NODES = 6;
const TARGETS = [1, 6];
/** For what is on its way, and then for each to be heard by each. */
const SETTLES_MS = 100;
const LISTENS_MS = 500;

class Listener {
  readonly host: string;
  readonly #child: ChildProcessByStdio<Writable, Readable, null>;
  readonly #lines: AsyncIterator<string>;

  constructor(host: string, within: readonly string[], hosts: readonly string[]) {
    this.host = host;
    const others = hosts.filter((other) => other !== host);
    const command = [...within, process.execPath, join(import.meta.dirname, 'hears.ts'), host, ...others];
    const [file = '', ...args] = command;
    this.#child = spawn(file, args, { stdio: ['pipe', 'pipe', 'inherit'] });
    this.#lines = createInterface({ input: this.#child.stdout })[Symbol.asyncIterator]();
  }

  async heard(): Promise<readonly string[]> {
    this.#child.stdin.write('\n');
    return JSON.parse((await this.#lines.next()).value ?? '[]');
  }

  close(): void {
    this.#child.stdin.end();
  }
}

async function heardBy(listeners: readonly Listener[]): Promise<Record<string, readonly string[]>> {
  await sleep(SETTLES_MS);
  for (const listener of listeners) await listener.heard();
  await sleep(LISTENS_MS);
  const heard: Record<string, readonly string[]> = {};
  for (const listener of listeners) heard[listener.host] = await listener.heard();
  return heard;
}

async function all(hosts: Hosts): Promise<void> {
  const sites = hosts.sites(NODES);
  const addresses = [...sites.map(({ host }) => host), CLIENTS_HOST];
  const listeners = [
    ...sites.map(({ host, within }) => new Listener(host, within, addresses)),
    new Listener(CLIENTS_HOST, [], addresses),
  ];
  for (const listener of listeners) await listener.heard();
  const members = sites.map((site, index) => ({ ...site, id: index + 1 }) as Member);
  const member = (id: number): Member => members[id - 1] as Member;
  const cluster = {
    members,
    member,
    cut: (id: number) => member(id).cut(),
    cutRack: (id: number) => member(id).cutRack(),
    heal: async (id: number) => member(id).join(),
  } as unknown as Cluster;
  const scene: Scene = { cluster, links: hosts, random: new SimRandom('hears'), topics: [], record: () => undefined };
  for (const fault of [...PARTITIONS, ...RACK_FAULTS.filter(({ needsHosts }) => needsHosts)]) {
    for (const target of TARGETS) {
      await fault.begin(scene, target);
      const during = await heardBy(listeners);
      await fault.end(scene, target);
      console.log(JSON.stringify({ fault: fault.name, target, during, afterwards: await heardBy(listeners) }));
    }
  }
  for (const listener of listeners) listener.close();
}

const status = await insideOwnNetwork();
if (typeof status === 'string') console.log('no network of its own');
if (typeof status === 'number') process.exitCode = status;
if (status === undefined) {
  const hosts = await Hosts.create();
  await all(hosts);
  hosts.close();
}
