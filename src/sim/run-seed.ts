/** One seed from its first event to its last: a cluster, its clients, what strikes it, and what it must come back to. */
import type { Codecs, Ports } from '#base/ports';
import { Recorder } from '#history/recorder';
import { NO_PLANTED_BUGS, type PlantedBugs } from '#model/planted-bugs';
import { Node } from '#node/node';
import { check, Violation } from './checkers/violation.ts';
import { Cluster } from './cluster.ts';
import type { CoveragePoint } from './coverage.ts';
import { faultOfFinal, isLost, stateOf, takesRecords, whatCoreLacks, whatIsMissing } from './final-state.ts';
import { drawCore, leaveOutside } from './healed-core.ts';
import type { Machine } from './machine.ts';
import { Nemesis } from './nemesis.ts';
import type { MakeNode } from './node-view.ts';
import { Observer } from './observer.ts';
import { between, SimRandom } from './ports/sim-random.ts';
import { SimWorld } from './ports/sim-world.ts';
import type { TraceLine } from './ports/trace.ts';
import { drawSwarm, type FaultKind, type PlannedFault, type Swarm } from './swarm.ts';
import { AdminClient } from './workload/admin-client.ts';
import { Client, startAll, stopAll, type Workload } from './workload/client.ts';
import { WorkloadHistory } from './workload/client-history.ts';
import { COMPACTION_CLIENTS, CompactionWorkload } from './workload/compaction/compaction-workload.ts';
import { DATA_CLIENTS, DataWorkload } from './workload/data-workload.ts';
import { CONSUMER_SESSION_TIMEOUT_MS } from './workload/groups/consumer-member.ts';
import { GROUP_CLIENTS, GroupWorkload } from './workload/groups/group-workload.ts';
import { ProducerIds } from './workload/producer-ids.ts';
import { TRANSACTION_CLIENTS, TransactionWorkload } from './workload/transactions/transaction-workload.ts';

export interface SeedOptions {
  readonly seed: number;
  /** Of the part with faults; the cluster heals after it. */
  readonly durationMs: number;
  readonly codecs: Codecs;
  readonly planted?: PlantedBugs;
  readonly nodeCountMax?: number;
  /** Instead of a drawn one. */
  readonly nodeCount?: number;
  /** Which of the faults that are drawn strike, by their places; all, unless given. */
  readonly chosenFaults?: readonly number[];
  /** Instead of `Node`. */
  readonly makeNode?: MakeNode;
  /** Gets every event in words, and what nodes log. */
  readonly trace?: TraceLine;
  /** Gets the history of what clients did and were told, line by line, each with its end. */
  readonly history?: (line: string) => void;
  /**
   * If a rule is broken, the history goes on, unchecked, until everything has been read: what clients are told of it may come later. The
   * result is of the moment at which the rule was broken.
   */
  readonly goesOn?: boolean;
}

export interface FoundViolation {
  /** As docs/simulation.md names it; 'crash' if a node has failed an assertion of its own. */
  readonly rule: string;
  readonly message: string;
  readonly stack: string;
  /** Simulated milliseconds. */
  readonly at: number;
}

export interface SeedResult {
  readonly seed: number;
  readonly nodeCount: number;
  readonly voterCount: number;
  readonly simulatedMs: number;
  readonly eventCount: number;
  readonly committedIndex: number;
  /** Records acknowledged by all in sync, and records read. */
  readonly ackedCount: number;
  readonly readCount: number;
  readonly faults: ReadonlyMap<FaultKind, number>;
  /** Those that were drawn, whether or not they were chosen. */
  readonly planned: readonly PlannedFault[];
  readonly coverage: ReadonlyMap<CoveragePoint, number>;
  /** The checkers have known all committed metadata to the end; without them nobody says what is wrong with a partition. */
  readonly isFollowed: boolean;
  /** Of every event: the same seed, the same hash. */
  readonly traceHash: string;
  readonly violation: FoundViolation | undefined;
}

/** All machines are within so long of each other when they are switched on. */
const START_SPREAD_MS = 500;
/** What a fault that has ended leaves behind at most: a process that takes its time to end, a stall. */
const AFTERMATH_MS = 20_000;
/** After which a healed cluster must have one leader, and all brokers must serve. */
const HEALING_MS = 10_000;
/** After which a part of the cluster must do what it can without the others: they are fenced by then. */
const CORE_HEALING_MS = 25_000;
/** In which a cluster that is well has taken records in every partition, and committed a transaction of every id. */
const TAKING_MS = 30_000;
/** In which all nodes must have replayed what is committed, when nothing is asked of them any more. */
const SETTLING_MS = 2000;
/** In which everything must have been read, from a cluster that is well. */
const READING_MS = 10_000;
/** The same for transactions: those that were left open are aborted within their time-out and a look for it. */
const DECIDING_MS = 20_000;
/** In which the members of a group must share all partitions, when none of them comes or goes. */
const ASSIGNING_MS = 20_000;
/** Clusters of fewer nodes have internal topics with fewer replicas than survive a replaced disk. */
const COORDINATED_NODES_MIN = 3;

/** Never rejects for what a node does. Runs one at a time in a process: the globals that a node must not use throw meanwhile. */
export async function runSeed(options: SeedOptions): Promise<SeedResult> {
  const run = new SeedRun(options);
  const violation = await run.play();
  const result = run.result(violation);
  if (violation !== undefined && options.goesOn === true) await run.goOn();
  run.endHistory();
  return result;
}

class SeedRun {
  readonly #options: SeedOptions;
  readonly #swarm: Swarm;
  readonly #world: SimWorld;
  readonly #cluster: Cluster;
  readonly #observer: Observer;
  readonly #nemesis: Nemesis;
  readonly #history: WorkloadHistory;
  readonly #clientHosts: readonly string[];
  readonly #clients: readonly AdminClient[];
  readonly #data: DataWorkload;
  readonly #transactions: TransactionWorkload | undefined;
  readonly #groups: GroupWorkload | undefined;
  readonly #compaction: CompactionWorkload | undefined;
  #isRough = true;
  /** Nobody knows any more whose disk is the last that has something. */
  #isUnchecked = false;

  constructor(options: SeedOptions) {
    const { seed, codecs, trace, durationMs, nodeCount, nodeCountMax = 7, planted = NO_PLANTED_BUGS } = options;
    this.#options = options;
    this.#swarm = drawSwarm(new SimRandom(`swarm ${seed}`), {
      durationMs,
      nodeCountMax,
      ...(nodeCount === undefined ? {} : { nodeCount }),
    });
    const { cutShare, voterCount, rackCount, snapshotBytes } = this.#swarm;
    this.#world = new SimWorld({ seed, codecs, cutShare, ...(trace === undefined ? {} : { trace }) });
    this.#cluster = new Cluster(this.#world, {
      nodeCount: this.#swarm.nodeCount,
      voterCount,
      rackCount,
      config: new Map([
        ['metadata.log.max.record.bytes.between.snapshots', String(snapshotBytes)],
        // Idle followers would be most of what is simulated.
        ['replica.fetch.wait.max.ms', '2000'],
        ['offsets.topic.num.partitions', '2'],
        ['group.consumer.min.session.timeout.ms', '1000'],
        ['group.consumer.session.timeout.ms', String(CONSUMER_SESSION_TIMEOUT_MS)],
        ['transaction.state.log.num.partitions', '2'],
        ['transaction.abort.timed.out.transaction.cleanup.interval.ms', '1000'],
        ['log.cleaner.backoff.ms', '1000'],
        ['log.cleaner.dedupe.buffer.size', '1048576'],
      ]),
      planted,
      makeNode: options.makeNode ?? ((ports, config, bugs) => new Node(ports, config, { planted: bugs })),
    });
    this.#observer = new Observer(this.#cluster, codecs.crc32c.bind(codecs), (partition, offset, epoch) =>
      this.#data.model.lost(partition, offset, epoch),
    );
    this.#world.onEvent = () => this.#observer.look();
    const { clock } = this.#world;
    this.#history = new WorkloadHistory(
      new Recorder({ append: options.history ?? (() => {}), nowMs: () => clock.now() }, `seed ${seed}`),
    );
    const clients = Array.from({ length: this.#swarm.clientCount }, (_, index) => `c${index + 1}`);
    const coordinated = [...TRANSACTION_CLIENTS, ...GROUP_CLIENTS, ...COMPACTION_CLIENTS];
    this.#clientHosts = [...clients, ...DATA_CLIENTS, ...coordinated];
    this.#nemesis = new Nemesis(
      {
        cluster: this.#cluster,
        clients: this.#clientHosts,
        sometimes: (point) => this.#observer.coverage.sometimes(point),
        mayWipe: (machine) => !this.#isUnchecked && this.#observer.mayWipe(machine),
        wiped: (machine) => this.#observer.wiped(machine),
        replicating: () => this.#observer.replicating(),
        rot: (machine, random) => (this.#isUnchecked ? undefined : this.#observer.rot(machine, random)),
      },
      this.#world.random.fork('nemesis'),
      (kind, place) => this.#noteFault(kind, place),
    );
    const workload = this.#workload();
    const portsOf = (name: string): Ports => this.#world.ports(name, { disks: [] });
    this.#clients = clients.map((name) => new AdminClient(new Client(name, portsOf(name), workload)));
    this.#data = new DataWorkload(portsOf, workload);
    if (this.#swarm.nodeCount >= COORDINATED_NODES_MIN) {
      this.#transactions = new TransactionWorkload(portsOf, workload);
      this.#groups = new GroupWorkload(portsOf, workload);
      this.#compaction = new CompactionWorkload(portsOf, workload);
    }
  }

  async play(): Promise<FoundViolation | undefined> {
    try {
      this.#begin();
      await this.#world.run(this.#options.durationMs);
      await this.#heal();
      await this.#end();
      return undefined;
    } catch (failure) {
      for (const machine of this.#cluster.machines) this.#tell(stateOf(machine));
      return this.#violation(failure as Error);
    }
  }

  /** Nothing is written after it. */
  endHistory(): void {
    this.#history.close();
  }

  /** To the end, whatever breaks on the way. */
  async goOn(): Promise<void> {
    const world = this.#world;
    this.#isUnchecked = true;
    world.onEvent = () => {};
    this.#cluster.onCrashed = () => {};
    world.bearFailures();
    const steps = [
      () => world.run(Math.max(world.clock.now(), this.#options.durationMs)),
      () => this.#heal(),
      () => this.#stopClients(),
      () => this.#readTransactions(),
      () => this.#readRecords(),
    ];
    for (const step of steps) {
      try {
        await step();
      } catch (failure) {
        this.#tell(`unchecked: ${(failure as Error).message}`);
      }
    }
  }

  result(violation: FoundViolation | undefined): SeedResult {
    const { trace, clock } = this.#world;
    return {
      seed: this.#options.seed,
      nodeCount: this.#swarm.nodeCount,
      voterCount: this.#swarm.voterCount,
      simulatedMs: clock.now(),
      eventCount: trace.eventCount,
      committedIndex: this.#observer.committedIndex,
      ackedCount: this.#data.model.ackedCount,
      readCount: this.#data.model.readCount,
      faults: new Map(this.#nemesis.counts),
      planned: this.#swarm.faults,
      coverage: new Map(this.#observer.coverage.counts),
      isFollowed: this.#observer.images.hasReference,
      traceHash: trace.hash,
      violation,
    };
  }

  #begin(): void {
    const random = this.#world.random.fork('start');
    for (const machine of this.#cluster.machines) {
      const timer = this.#world.clock.timer(() => machine.start());
      timer.arm(between(random, 0, START_SPREAD_MS));
    }
    const { chosenFaults } = this.#options;
    this.#nemesis.plan(this.#swarm.faults, chosenFaults && new Set(chosenFaults));
    const fail = (error: Error): void => this.#world.fail(error);
    startAll(this.#clients, fail);
    this.#data.start(fail);
    this.#transactions?.start(fail);
    this.#groups?.start(fail);
    this.#compaction?.start(fail);
  }

  async #heal(): Promise<void> {
    await this.#healCore();
    this.#say('everything heals');
    this.#nemesis.heal();
    this.#isRough = false;
    await this.#world.complete(Promise.all([this.#data.calm(), this.#compaction?.calm()]));
    const { machines } = this.#cluster;
    await this.#within(AFTERMATH_MS, () => machines.every((one) => one.isUp && !one.isStopping && !one.isStalled));
    const since = this.#world.clock.now();
    await this.#world.run(since + HEALING_MS);
    const missing = whatIsMissing(this.#cluster);
    check(missing === undefined, 'healing', () => `${HEALING_MS / 1000} s after the last fault ${missing}`);
    await this.#checkProgress(machines, since);
    const isCommitting = (): boolean => this.#transactions?.whatCommitsNothing(since) === undefined;
    check(
      await this.#within(TAKING_MS, isCommitting),
      'healing',
      () => `no transaction of ${this.#transactions?.whatCommitsNothing(since)} was committed since the last fault`,
    );
    const isServed = (): boolean => this.#clients.every(({ doneAt }) => doneAt > since);
    check(
      await this.#within(TAKING_MS, isServed),
      'healing',
      () => 'somebody who administers topics is refused everything',
    );
  }

  /** Who writes finds a taker for it in every partition that these nodes lead, with enough of them in sync. */
  async #checkProgress(nodes: readonly Machine[], since: number): Promise<void> {
    const ids = new Set(nodes.map((machine) => this.#cluster.idOf(machine)));
    const { reference } = this.#observer.images;
    const takes = (topic: string, partition: number): boolean => takesRecords(reference, topic, partition, ids);
    const lacking = (): string | undefined =>
      this.#data.whatTakesNothing(since, takes) ?? this.#compaction?.whatTakesNothing(since, takes);
    const isTaking = await this.#within(TAKING_MS, () => lacking() === undefined);
    check(isTaking, 'healing', () => `${lacking()} takes no records from ${nodes.map(({ name }) => name).join()}`);
  }

  /** In some seeds a part of the cluster is well first, with the others dead or out of reach for good. */
  async #healCore(): Promise<void> {
    if (this.#isUnchecked) return;
    const random = this.#world.random.fork('core');
    const core = drawCore(random, this.#cluster.machines, (outside) => this.#observer.canDoWithout(outside));
    if (core === undefined) return;
    this.#say(`all heal but ${core.outside.map(({ name }) => name).join()}`);
    this.#nemesis.heal();
    await this.#world.complete(leaveOutside(random, this.#cluster, core, this.#clientHosts));
    await this.#within(AFTERMATH_MS, () => core.inside.every((one) => one.isUp && !one.isStopping && !one.isStalled));
    await this.#world.run(this.#world.clock.now() + CORE_HEALING_MS);
    const lacks = whatCoreLacks(core);
    check(lacks === undefined, 'healing', () => `${CORE_HEALING_MS / 1000} s after a part has healed ${lacks}`);
    await this.#checkProgress(core.inside, this.#world.clock.now() - HEALING_MS);
    this.#observer.coverage.sometimes('part healed alone');
  }

  async #end(): Promise<void> {
    const healedAt = this.#world.clock.now();
    const isShared = await this.#within(ASSIGNING_MS, () => this.#groups?.isAssigned !== false);
    check(isShared, 'all partitions assigned', () => 'a group does not share all partitions among its members');
    const commits = (): boolean => this.#groups?.hasCommitted(healedAt) !== false;
    check(
      await this.#within(ASSIGNING_MS, commits),
      'healing',
      () => 'a group whose partitions are shared commits nothing',
    );
    await this.#stopClients();
    await this.#readTransactions();
    await this.#readRecords();
    const isApplied = (): boolean =>
      this.#cluster.machines.every(({ view }) => view?.appliedIndex === this.#observer.committedIndex);
    const isWell = await this.#within(SETTLING_MS, isApplied);
    check(
      isWell,
      'healing',
      () => `${SETTLING_MS / 1000} s after the last request not every node has replayed all that is committed`,
    );
    this.#observer.compareImages();
    this.#observer.noteRepairs();
    for (const { name, view } of this.#cluster.machines) {
      const topics = this.#clients.flatMap((client) => client.topics);
      const fault = view && faultOfFinal(view.image, topics);
      check(fault === undefined, 'acknowledged', () => `at the end, in the metadata of ${name}, ${fault}`);
    }
  }

  async #stopClients(): Promise<void> {
    this.#say('the clients stop');
    const coordinated = [this.#transactions, this.#groups, this.#compaction].filter(
      (workload) => workload !== undefined,
    );
    const workloads = [this.#data, ...coordinated].map((workload) => workload.stop());
    await this.#world.complete(Promise.all([...workloads, stopAll(this.#clients)]));
  }

  async #readTransactions(): Promise<void> {
    const decided = this.#world.clock.now() + DECIDING_MS;
    await this.#world.complete(
      this.#transactions?.checkFinal(() => this.#world.clock.now() >= decided) ?? Promise.resolve(),
    );
  }

  async #readRecords(): Promise<void> {
    const until = this.#world.clock.now() + READING_MS;
    const { reference } = this.#observer.images;
    const isGone = (topic: string, partition: number): boolean => {
      const state = reference.partition(topic, partition);
      return state !== undefined && isLost(topic, state, reference);
    };
    await this.#world.complete(this.#data.checkFinal(isGone, () => this.#world.clock.now() >= until));
    await this.#world.complete(
      this.#compaction?.checkFinal(() => this.#world.clock.now() >= until) ?? Promise.resolve(),
    );
  }

  /** Whether it came to hold within that time. */
  async #within(durationMs: number, holds: () => boolean): Promise<boolean> {
    const { clock } = this.#world;
    const until = clock.now() + durationMs;
    await this.#world.run(() => holds() || clock.now() >= until);
    return holds();
  }

  #workload(): Workload {
    return {
      nodes: this.#cluster.machines.map(({ name }) => name),
      replicationMax: Math.min(3, this.#swarm.nodeCount),
      producerIds: new ProducerIds(),
      history: this.#history,
      reference: () => (this.#observer.images.hasReference ? this.#observer.images.reference : undefined),
      isRough: () => this.#isRough,
      sometimes: (point) => this.#observer.coverage.sometimes(point),
      say: (who, what) => {
        const { trace, clock } = this.#world;
        if (trace.isRead) trace.say(clock.now(), who, `* ${what}`);
      },
    };
  }

  /** How long it lasts is in the trace; its place is what FAULTS takes. */
  #noteFault(name: FaultKind, place: number): void {
    const fault = { name, target: `fault ${place}` };
    this.#history.recorder.fault({ ...fault, phase: 'begin' });
    this.#history.recorder.fault({ ...fault, phase: 'end' });
  }

  #say(what: string): void {
    this.#world.trace.text(what);
    this.#tell(what);
  }

  /** To whoever reads along; no part of the history. */
  #tell(what: string): void {
    const { trace, clock } = this.#world;
    if (trace.isRead) trace.say(clock.now(), 'world', `* ${what}`);
  }

  #violation(failure: Error): FoundViolation {
    const rule = failure instanceof Violation ? failure.rule : 'crash';
    return { rule, message: failure.message, stack: failure.stack ?? '', at: this.#world.clock.now() };
  }
}
