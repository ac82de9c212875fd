/**
 * Six hosts in three racks, made of network namespaces: each host has a cable to its rack's switch, each rack an uplink to the core,
 * where this process and its clients are. A cable that is cut drops packets and tells nobody. Linux only; inside `insideOwnNetwork`.
 */
import { type ChildProcess, type ChildProcessByStdio, execFileSync, spawn, spawnSync } from 'node:child_process';
import { join } from 'node:path';
import type { Readable, Writable } from 'node:stream';
import { exited, hasCommand, until, whileWeLive } from '../process.ts';
import { CLIENTS_HOST, type Impairment, type Links, rackOf, type Site } from './sites.ts';

const HOSTS = 6;
const INSIDE = 'ODRADEK_OWN_NETWORK';
const FIRST_PORT = 9_092;
/** States of a bridge's port: it passes frames, or drops them. */
const DISABLED = '0';
const FORWARDING = '3';
const BEGINS_MS = 5_000;
const frameRelay = join(import.meta.dirname, 'frame-relay.py');

const core = { ip: CLIENTS_HOST, mac: '02:00:0a:07:00:01' };
/** No host has it: a packet that is sent there arrives nowhere. */
const NOBODYS_MAC = '02:00:0a:07:ff:ff';

function addressOf(index: number): { readonly ip: string; readonly mac: string } {
  return { ip: `10.7.1.${index + 1}`, mac: `02:00:0a:07:01:0${index + 1}` };
}

/** -1 is the core. */
function indexOf(ip: string): number {
  return Array.from({ length: HOSTS }, (_, index) => addressOf(index).ip).indexOf(ip);
}

function macOf(ip: string): string {
  const index = indexOf(ip);
  return index < 0 ? core.mac : addressOf(index).mac;
}

function command(line: string): void {
  const [file = '', ...args] = line.split(' ');
  execFileSync(file, args, { stdio: ['ignore', 'ignore', 'inherit'] });
}

/** As root, or as somebody whom the kernel lets be root of a network of his own; what is mounted there is seen there alone. */
function ownNetwork(): readonly string[] | undefined {
  const ways = [
    ['unshare', '--net', '--mount'],
    ['unshare', '--map-root-user', '--net', '--mount'],
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
  const missing = ['unshare', 'nsenter', 'setpriv', 'ip', 'bridge', 'tc'].filter((name) => !hasCommand(name));
  if (missing.length > 0) return `${missing.join(', ')} is missing (Debian: apt-get install util-linux iproute2)`;
  const [file, ...args] = ownNetwork() ?? [];
  if (file === undefined) return 'no network namespaces, bridges and virtual cables without more rights';
  const again = [...args, ...whileWeLive(), process.execPath, ...process.execArgv, ...process.argv.slice(1)];
  const inside = spawn(file, again, { stdio: 'inherit', env: { ...process.env, [INSIDE]: '1' } });
  const status = await exited(inside);
  if (status === null) console.error(`the run was ended by ${inside.signalCode}`);
  return status ?? 1;
}

/** The kernel's own impairment, if it has it; else a process to which frames are handed, if there is what it is written in. */
function impairedBy(): Links['impairedBy'] {
  command('ip link add impaired type veth peer name other-end');
  const netem = 'qdisc add dev impaired root netem delay 1ms';
  const hasNetem = spawnSync('tc', netem.split(' '), { stdio: 'ignore' }).status === 0;
  command('ip link delete impaired');
  if (hasNetem) return 'netem';
  return hasCommand('python3') ? 'relay' : undefined;
}

export class Hosts implements Links {
  readonly impairedBy = impairedBy();
  readonly #relays = new Map<string, ChildProcess>();
  readonly #dropped = new Map<string, readonly [from: string, to: string]>();
  readonly #limited = new Set<string>();
  readonly #impaired = new Set<string>();
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
      await begun('a namespace', holder);
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
    const alive = whileWeLive();
    return Array.from({ length: count }, (_, index): Site => {
      const rack = rackOf(index);
      let ports = FIRST_PORT;
      return {
        host: addressOf(index).ip,
        rack,
        within: [...this.#within(index), ...alive],
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

  drop(from: string, to: string): void {
    this.#dropped.set(`${from} ${to}`, [from, to]);
    this.#resolve(from, to, NOBODYS_MAC);
  }

  limit(host: string, kilobitsPerS: number): void {
    this.#limited.add(host);
    const how = `root tbf rate ${kilobitsPerS}kbit burst 8kb latency 50ms`;
    for (const end of this.#cableEnds(host)) command(`${end.inside}tc qdisc replace dev ${end.device} ${how}`);
  }

  restore(): void {
    for (const [from, to] of this.#dropped.values()) this.#resolve(from, to, macOf(to));
    this.#dropped.clear();
    for (const host of this.#limited) {
      for (const end of this.#cableEnds(host)) command(`${end.inside}tc qdisc del dev ${end.device} root`);
    }
    this.#limited.clear();
    for (const host of this.#impaired) this.repair(host);
  }

  async impair(host: string, impairment: Impairment, seed: number): Promise<void> {
    const { delayMs, jitterMs, lostPercent, twicePercent } = impairment;
    this.#impaired.add(host);
    if (this.impairedBy === 'netem') {
      const how = `netem delay ${delayMs}ms ${jitterMs}ms loss ${lostPercent}% duplicate ${twicePercent}%`;
      for (const end of this.#cableEnds(host)) command(`${end.inside}tc qdisc replace dev ${end.device} root ${how}`);
      return;
    }
    const index = indexOf(host);
    const [cable, near, far] = [`cable-${index}`, `near-${index}`, `far-${index}`];
    command(`ip link add ${near} type veth peer name ${far}`);
    command(`ip link set ${near} up`);
    command(`ip link set ${far} up`);
    command(`python3 ${frameRelay} plain ${far}`);
    command(`${this.#within(index).join(' ')} python3 ${frameRelay} plain eth0`);
    const line = [delayMs, jitterMs, lostPercent, twicePercent, seed].map(String);
    const relay = spawn('python3', [frameRelay, 'relay', cable, near, ...line], { stdio: ['pipe', 'pipe', 'inherit'] });
    this.#relays.set(host, relay);
    await begun('a relay', relay);
    command(`ip link set ${cable} nomaster`);
    command(`ip link set ${far} master rack-${rackOf(index)}`);
  }

  repair(host: string): void {
    this.#impaired.delete(host);
    if (this.impairedBy === 'netem') {
      for (const end of this.#cableEnds(host)) command(`${end.inside}tc qdisc del dev ${end.device} root`);
      return;
    }
    const index = indexOf(host);
    const relay = this.#relays.get(host);
    this.#relays.delete(host);
    const hasEnded = relay?.kill('SIGKILL') !== true;
    command(`ip link delete far-${index}`);
    command(`ip link set cable-${index} master rack-${rackOf(index)}`);
    if (hasEnded) throw new Error(`nothing carried the packets of ${host} in the end: its relay had ended`);
  }

  close(): void {
    for (const relay of this.#relays.values()) relay.kill('SIGKILL');
    for (const holder of this.#holders) holder.kill('SIGKILL');
  }

  /** Tells one host at which hardware address another is. */
  #resolve(from: string, to: string, mac: string): void {
    const index = indexOf(from);
    const [inside, device] = index < 0 ? ['', 'core'] : [`${this.#within(index).join(' ')} `, 'eth0'];
    command(`${inside}ip neighbour replace ${to} lladdr ${mac} dev ${device}`);
  }

  #cableEnds(host: string): readonly { readonly inside: string; readonly device: string }[] {
    const index = indexOf(host);
    return [
      { inside: '', device: `cable-${index}` },
      { inside: `${this.#within(index).join(' ')} `, device: 'eth0' },
    ];
  }

  #within(index: number): readonly string[] {
    return ['nsenter', `--net=/proc/${this.#holders[index]?.pid}/ns/net`];
  }
}

/** A process writes when it has come to what it is for. */
async function begun(what: string, child: ChildProcessByStdio<Writable, Readable, null>): Promise<void> {
  await until(what, BEGINS_MS, () => child.stdout.read() ?? undefined);
}

/** One that forwards at once. */
function addSwitch(name: string): void {
  command(`ip link add ${name} type bridge forward_delay 0`);
  command(`ip link set ${name} up`);
}

function setPort(name: string, state: string): void {
  command(`bridge link set dev ${name} state ${state}`);
}
