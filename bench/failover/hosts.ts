/**
 * Six hosts in three racks, made of network namespaces: each host has a cable to its rack's switch, each rack an uplink to the core,
 * where this process and its clients are. A cable that is cut drops packets and tells nobody. Linux only; inside `insideOwnNetwork`.
 */
import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { exited, hasCommand, until } from '../../test/support/process.ts';
import { rackOf, type Site } from './sites.ts';

const HOSTS = 6;
const INSIDE = 'FAILOVER_OWN_NETWORK';
const FIRST_PORT = 9_092;
/** States of a bridge's port: it passes frames, or drops them. */
const DISABLED = '0';
const FORWARDING = '3';

const core = { ip: '10.7.0.1', mac: '02:00:0a:07:00:01' };

function addressOf(index: number): { readonly ip: string; readonly mac: string } {
  return { ip: `10.7.1.${index + 1}`, mac: `02:00:0a:07:01:0${index + 1}` };
}

function command(line: string): void {
  const [file = '', ...args] = line.split(' ');
  execFileSync(file, args, { stdio: ['ignore', 'ignore', 'inherit'] });
}

/** As root, or as somebody whom the kernel lets be root of a network of his own. */
function ownNetwork(): readonly string[] | undefined {
  const ways = [
    ['unshare', '--net'],
    ['unshare', '--map-root-user', '--net'],
  ] as const;
  const trial = 'ip link add odradek-try type bridge && ip link add type veth';
  return ways.find(
    ([file, ...args]) => spawnSync(file, [...args, 'sh', '-c', trial], { stdio: 'ignore' }).status === 0,
  );
}

/**
 * Runs this program again in a network of its own, in which hosts can be made, and resolves to its exit status. Undefined if it runs
 * there already; a text if that is not possible here, which says why.
 */
export async function insideOwnNetwork(): Promise<number | string | undefined> {
  if (process.env[INSIDE] !== undefined) return undefined;
  const missing = ['unshare', 'nsenter', 'ip', 'bridge'].filter((name) => !hasCommand(name));
  if (missing.length > 0) return `${missing.join(', ')} is missing (Debian: apt-get install util-linux iproute2)`;
  const [file, ...args] = ownNetwork() ?? [];
  if (file === undefined) return 'no network namespaces, bridges and virtual cables without more rights';
  const again = [...args, process.execPath, ...process.execArgv, ...process.argv.slice(1)];
  return (await exited(spawn(file, again, { stdio: 'inherit', env: { ...process.env, [INSIDE]: '1' } }))) ?? 1;
}

export class Hosts {
  /** Each holds one host's namespace open for as long as its input is. */
  readonly #holders: readonly ChildProcess[];

  private constructor(holders: readonly ChildProcess[]) {
    this.#holders = holders;
  }

  static async create(): Promise<Hosts> {
    command('ip link set lo up');
    addSwitch('core');
    command(`ip link set core address ${core.mac}`);
    command(`ip address add ${core.ip}/16 dev core`);
    for (const rack of new Set(Array.from({ length: HOSTS }, (_, index) => rackOf(index)))) {
      addSwitch(`rack-${rack}`);
      command(`ip link add uplink-${rack} type veth peer name down-${rack}`);
      command(`ip link set uplink-${rack} master core up`);
      command(`ip link set down-${rack} master rack-${rack} up`);
    }
    const holders = Array.from({ length: HOSTS }, () =>
      spawn('unshare', ['--net', 'sh', '-c', 'echo; cat'], { stdio: ['pipe', 'pipe', 'inherit'] }),
    );
    const hosts = new Hosts(holders);
    for (const [index, holder] of holders.entries()) {
      await until('a namespace', 5_000, () => holder.stdout.read() ?? undefined);
      const { ip, mac } = addressOf(index);
      command(`ip link add cable-${index} type veth peer name eth0 address ${mac} netns ${holder.pid}`);
      command(`ip link set cable-${index} master rack-${rackOf(index)} up`);
      const there = `${hosts.#within(index).join(' ')} ip`;
      command(`${there} link set lo up`);
      command(`${there} address add ${ip}/16 dev eth0`);
      command(`${there} link set eth0 up`);
      // Known for good: a host that is cut off shall be silent, where a failed look-up would tell that it is gone.
      command(`${there} neighbour replace ${core.ip} lladdr ${core.mac} dev eth0`);
      command(`ip neighbour replace ${ip} lladdr ${mac} dev core`);
      for (let other = 0; other < HOSTS; other += 1) {
        if (other === index) continue;
        command(`${there} neighbour replace ${addressOf(other).ip} lladdr ${addressOf(other).mac} dev eth0`);
      }
    }
    return hosts;
  }

  sites(count: number): readonly Site[] {
    return Array.from({ length: count }, (_, index): Site => {
      const rack = rackOf(index);
      let ports = FIRST_PORT;
      return {
        host: addressOf(index).ip,
        rack,
        within: this.#within(index),
        freePort: async () => ports++,
        cut: () => setPort(`cable-${index}`, DISABLED),
        cutRack: () => setPort(`uplink-${rack}`, DISABLED),
        join: () => {
          setPort(`cable-${index}`, FORWARDING);
          setPort(`uplink-${rack}`, FORWARDING);
        },
      };
    });
  }

  close(): void {
    for (const holder of this.#holders) holder.kill('SIGKILL');
  }

  #within(index: number): readonly string[] {
    return ['nsenter', `--net=/proc/${this.#holders[index]?.pid}/ns/net`];
  }
}

/** One that forwards at once. */
function addSwitch(name: string): void {
  command(`ip link add ${name} type bridge forward_delay 0`);
  command(`ip link set ${name} up`);
}

function setPort(name: string, state: string): void {
  command(`bridge link set dev ${name} state ${state}`);
}
