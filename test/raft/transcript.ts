/**
 * A cluster played by a text. Lines that begin with `> ` are commands; the lines below each say all that came of it. `play` gives the
 * commands of a text back with what really came of them.
 *
 *     cluster 1 2 3 [+ 4 5]   voters, and observers with empty disks; all start
 *     tick 1                  time goes on until its timer is due, if that is later
 *     late 1                  its timer fires only now, and it knows how late that is
 *     wait 500                time goes on, and nothing happens
 *     calm 500 1 2            time goes on, timers fire, and messages pass among them; only changes of role are told
 *     elect 1                 tick and run, told as briefly
 *     deliver 1->2            what is under way there now; also 1->* and *->2
 *     drop 1->2               the same is lost
 *     run 1 2 3               everything passes among them until all is said
 *     slow 2, sync 2 [1]      from now on its disk writes only when told to, and then perhaps not all entries; fast 2 ends it
 *     crash 2, restart 2, wipe 2, full 2 (no room on its disk), reset 2 1 (its connection with 1 is reset)
 *     propose 1 text, voters 1 1,2, read 1, transfer 1 [2], snapshot 1 5
 *     show                    roles, and logs as index/epoch
 *
 * `3b` is node 3 with a second disk. An entry is named index/epoch.
 */
import type { ReplicaKey } from '#model/voter';
import type { RaftMessage } from '#raft/messages';
import { Cluster, type Flight, type Machine } from './cluster.ts';
import { Invariants } from './invariants.ts';
import { bytesOf, nameOf, textOf } from './support.ts';

const MESSAGES_MAX = 500;

export function play(text: string): string {
  const player = new Player();
  const lines: string[] = [];
  for (const line of text.split('\n')) {
    if (!/^[#>]|^$/.test(line)) continue;
    lines.push(line);
    if (line.startsWith('> ')) lines.push(...player.play(line.slice(2)).map((said) => `  ${said}`));
  }
  return `${lines.join('\n').trimEnd()}\n`;
}

class Player {
  #cluster = new Cluster({ voters: [] });
  #invariants = new Invariants(this.#cluster);
  #said: string[] = [];
  readonly #roles = new Map<number, string>();

  play(command: string): readonly string[] {
    this.#said = [];
    const [verb = '', ...words] = command.split(' ');
    this.#act(verb, words);
    return this.#said;
  }

  #act(verb: string, words: readonly string[]): void {
    const [word = '', ...rest] = words;
    if (verb === 'cluster') return this.#begin(words);
    if (verb === 'wait') {
      this.#cluster.now += Number(word);
      return;
    }
    if (verb === 'show') return this.#show();
    if (verb === 'run') return this.#run(words.map(Number));
    if (verb === 'calm') return this.#briefly(() => this.#calm(Number(word), rest.map(Number)));
    if (verb === 'elect') {
      return this.#briefly(() => {
        this.#act('tick', [word]);
        this.#run(this.#cluster.machines.map(({ id }) => id));
      });
    }
    if (verb === 'deliver' || verb === 'drop') {
      const chosen = this.#take(word);
      if (verb === 'deliver') for (const flight of chosen) this.#deliver(flight);
      return;
    }
    const machine = this.#cluster.machine(Number(word));
    this.#actOn(machine, verb, rest);
    this.#after(machine);
  }

  #actOn(machine: Machine, verb: string, words: readonly string[]): void {
    const cluster = this.#cluster;
    const { raft } = machine;
    const [word = ''] = words;
    if (verb === 'restart') return cluster.start(machine);
    if (raft === undefined) throw new Error(`n${machine.id} does not run`);
    switch (verb) {
      case 'tick':
        cluster.now = Math.max(cluster.now, raft.deadline);
        return cluster.tick(machine);
      case 'late':
        return cluster.tick(machine, cluster.now - raft.deadline);
      case 'slow':
        machine.isDiskSlow = true;
        return;
      case 'fast':
        machine.isDiskSlow = false;
        return;
      case 'sync':
        return this.#sync(machine, word === '' ? undefined : Number(word));
      case 'crash':
        return cluster.crash(machine);
      case 'wipe':
        return cluster.wipe(machine);
      case 'full':
        machine.logWork = [];
        raft.diskFull(cluster.now);
        break;
      case 'reset':
        raft.disconnected(cluster.machine(Number(word)).self.id, cluster.now);
        break;
      case 'propose':
      case 'voters': {
        const text = verb === 'voters' ? `voters ${word}` : word;
        const index = raft.propose(bytesOf(text), cluster.now);
        if (index === undefined) this.#said.push('refused');
        break;
      }
      case 'read':
        this.#said.push(`ticket ${raft.read()}`);
        break;
      case 'transfer':
        if (!raft.transfer(word === '' ? undefined : cluster.machine(Number(word)).self.id, cluster.now))
          this.#said.push('refused');
        break;
      case 'snapshot':
        return cluster.takeSnapshot(machine, Number(word), this.#invariants.stateAt(Number(word)));
      default:
        throw new Error(`no command: ${verb}`);
    }
    cluster.settle(machine);
  }

  #begin(words: readonly string[]): void {
    const plus = words.indexOf('+');
    const ids = words.map(Number);
    this.#cluster = new Cluster({
      voters: plus < 0 ? ids : ids.slice(0, plus),
      observers: plus < 0 ? [] : ids.slice(plus + 1),
      watch: (cluster) => {
        this.#invariants = new Invariants(cluster);
        return this.#invariants;
      },
      sent: (flight) => this.#said.push(`${flight.from}->${flight.to} ${sentence(flight.message)}`),
    });
    for (const machine of this.#cluster.machines) {
      this.#cluster.start(machine);
      this.#after(machine);
    }
  }

  #deliver(flight: Flight): void {
    const machine = this.#cluster.machine(flight.to);
    if (machine.raft === undefined) return;
    this.#cluster.deliver(flight);
    this.#after(machine);
  }

  #briefly(act: () => void): void {
    act();
    this.#said = this.#said.filter((said) => /^\d+ is /.test(said));
  }

  #calm(durationMs: number, ids: readonly number[]): void {
    const cluster = this.#cluster;
    const machines = ids.map((id) => cluster.machine(id));
    const due = (machine: Machine): number => machine.raft?.deadline ?? Number.POSITIVE_INFINITY;
    for (const end = cluster.now + durationMs; cluster.now < end; ) {
      cluster.now = Math.min(end, Math.max(cluster.now + 1, Math.min(...machines.map(due))));
      for (const machine of machines)
        if (due(machine) <= cluster.now) {
          cluster.tick(machine);
          this.#after(machine);
        }
      this.#run(ids);
    }
  }

  #run(ids: readonly number[]): void {
    const { flying } = this.#cluster;
    for (let passed = 0; passed < MESSAGES_MAX; passed += 1) {
      const position = flying.findIndex(({ from, to }) => ids.includes(from) && ids.includes(to));
      const [flight] = position < 0 ? [] : flying.splice(position, 1);
      if (flight === undefined) return;
      this.#deliver(flight);
    }
    throw new Error('they never stop talking');
  }

  #take(link: string): readonly Flight[] {
    const [from = '*', to = '*'] = link.split('->');
    const { flying } = this.#cluster;
    const isOn = (flight: Flight): boolean =>
      (from === '*' || flight.from === Number(from)) && (to === '*' || flight.to === Number(to));
    const chosen = flying.filter(isOn);
    const others = flying.filter((flight) => !isOn(flight));
    flying.splice(0, flying.length, ...others);
    return chosen;
  }

  #after(machine: Machine): void {
    this.#noteRole(machine);
    if (!machine.isDiskSlow) this.#sync(machine);
    const cluster = this.#cluster;
    for (const { machine: id, ticket, index } of cluster.reads.splice(0))
      this.#said.push(`${id} reads with ticket ${ticket} once ${index} is applied`);
    for (const { machine: id, ticket } of cluster.refusedReads.splice(0))
      this.#said.push(`${id} refuses the read with ticket ${ticket}`);
  }

  #sync(machine: Machine, entriesMax?: number): void {
    while (machine.isWriting) {
      const [state] = machine.hardStates;
      if (state !== undefined) {
        const vote = state.votedFor === null ? '' : `, vote for ${nameOf(state.votedFor)}`;
        this.#said.push(`${machine.id} saves epoch ${state.epoch}${vote}`);
        this.#cluster.saveHardState(machine);
        this.#noteRole(machine);
      }
      const [work] = machine.logWork;
      if (work?.kind === 'piece')
        this.#said.push(`${machine.id} writes chunk ${work.piece.position} of the snapshot at ${work.piece.index}`);
      else if (work !== undefined) {
        const cut = work.truncateFrom === undefined ? '' : `cuts off ${work.truncateFrom} and later, `;
        this.#said.push(`${machine.id} ${cut}writes ${entryNames(work.append.slice(0, entriesMax))}`);
      }
      this.#cluster.doLogWork(machine, entriesMax);
      this.#noteRole(machine);
      this.#cluster.readSnapshot(machine);
      if (entriesMax !== undefined) return;
    }
  }

  #noteRole({ id, raft }: Machine): void {
    const role = raft === undefined ? 'down' : `${raft.role} in epoch ${raft.epoch}`;
    const known = this.#roles.get(id);
    this.#roles.set(id, role);
    if (known !== undefined && known !== role) this.#said.push(`${id} is ${role}`);
  }

  #show(): void {
    for (const { id, raft, log, disk } of this.#cluster.machines) {
      if (raft === undefined) this.#said.push(`${id} down`);
      else {
        const snapshot = disk.snapshot === undefined ? '' : `..${disk.snapshot.index}/${disk.snapshot.epoch} `;
        const entries = log.map(({ index, epoch }) => `${index}/${epoch}`).join(' ');
        const { role, epoch, commitIndex, voters } = raft;
        const names = voters.map(nameOf).join(',');
        this.#said.push(
          `${id} ${role} in epoch ${epoch}: ${snapshot}${entries}, commit ${commitIndex}, voters ${names}`,
        );
      }
    }
  }
}

function sentence(message: RaftMessage): string {
  const said = `e${message.epoch}`;
  switch (message.kind) {
    case 'voteRequest': {
      const why = message.transfer ? ', by the wish of the leader' : '';
      return `${said} ${message.pre ? 'pre-vote' : 'vote'}? my last entry is ${message.lastIndex}/${message.lastEpoch}${why}`;
    }
    case 'voteResponse':
      return `${said} ${message.pre ? 'pre-vote' : 'vote'}: ${message.granted ? 'yes' : 'no'}`;
    case 'append':
      return `${said} append ${entryNames(message.entries)} after ${message.prevIndex}/${message.prevEpoch}, commit ${message.commitIndex}`;
    case 'appendResponse':
      return message.success
        ? `${said} has ${message.lastIndex}/${message.lastEpoch}, on disk ${message.durableIndex}`
        : `${said} has no such ${message.prevIndex}, perhaps ${message.lastIndex}/${message.lastEpoch}`;
    case 'snapshotChunk':
      return `${said} snapshot at ${message.index}/${message.indexEpoch}: chunk ${message.position}${message.last ? ', the last' : ''}`;
    case 'snapshotResponse':
      return `${said} snapshot at ${message.index}: ${message.installed ? 'installed' : `wants chunk ${message.nextPosition}`}`;
    case 'takeOver':
      return `${said} take over`;
    case 'join':
      return `${said} send me the log, my last entry is ${message.lastIndex}/${message.lastEpoch}`;
    case 'joinResponse':
      return `${said} the leader is ${message.leader === undefined ? 'not known' : nameOf(message.leader as ReplicaKey)}`;
  }
}

function entryNames(entries: readonly { index: number; epoch: number; payload: Uint8Array }[]): string {
  if (entries.length === 0) return 'nothing';
  return entries.map(({ index, epoch, payload }) => `${index}/${epoch} (${textOf(payload)})`).join(' ');
}
