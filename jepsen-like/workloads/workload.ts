/** The workloads: what clients do all the while, and on which topics. */
import { join } from 'node:path';
import type { Endpoint } from '#base/ports';
import { type Client, ClientProcess } from './client-process.ts';
import type { Commits } from './committed-offsets.ts';
import { java } from './java.ts';
import type { WirePlan } from './wire-main.ts';

export interface Topic {
  readonly name: string;
  readonly partitions: number;
}

/** The folders of what clients need that is not Node's; none of what there is not. */
export interface ToolChains {
  /** Of the commands of a virtual environment with librdkafka. */
  readonly python?: string | undefined;
  /** Of Apache Kafka's jars. */
  readonly java?: string | undefined;
}

/** Where clients find the cluster, and where their histories are kept. */
export interface Surroundings {
  readonly bootstrap: readonly Endpoint[];
  readonly folder: string;
  readonly seed: string;
  readonly toolChains: ToolChains;
  /** Stands in the names of topics and groups, which are new in each trial. */
  readonly trial: string;
  /** Of the workload's first process; it may number up to PROCESSES_MAX. */
  readonly firstProcess: number;
}

export interface Workload {
  readonly name: string;
  readonly what: string;
  readonly needs?: keyof ToolChains;
  topics(trial: string): readonly Topic[];
  /** Of groups that are to be asked in the end what they have committed. */
  commits?(trial: string): readonly Commits[];
  /** The first is to be stopped before the others. */
  start(surroundings: Surroundings): readonly Client[];
}

/** Of a workload in a trial. */
export const PROCESSES_MAX = 100_000;

const PROCESSES = 6;

/** Of the processes of a workload that has several clients. */
const CLIENT_PROCESSES_MAX = 25_000;

function wire(name: string, what: string, partitions: number, keysMax: number): Workload {
  const topics = (trial: string): readonly Topic[] => [{ name: `${name}-${trial}`, partitions }];
  return {
    name,
    what,
    topics,
    start: ({ bootstrap, folder, seed, trial, firstProcess }) => {
      const topic = `${name}-${trial}`;
      const plan: WirePlan = { bootstrap, topic, partitions, keysMax, firstProcess, processes: PROCESSES, seed };
      const main = join(import.meta.dirname, 'wire-main.ts');
      const command = [process.execPath, main, JSON.stringify(plan)];
      return [new ClientProcess(name, command, join(folder, `${name}.jsonl`))];
    },
  };
}

type Argument = string | number;

/** A client of clients.py; `place` counts those of one workload. */
function librdkafka(
  { bootstrap, folder, toolChains, seed, firstProcess }: Surroundings,
  name: string,
  place: number,
  ...args: readonly Argument[]
): ClientProcess {
  const [kind = '', ...others] = args;
  const brokers = bootstrap.map(({ host, port }) => `${host}:${port}`).join();
  const all = [kind, brokers, ...others, firstProcess + place * CLIENT_PROCESSES_MAX, seed];
  const command = [
    join(toolChains.python ?? '', 'python'),
    join(import.meta.dirname, 'clients.py'),
    ...all.map(String),
  ];
  // There may be nothing to read yet.
  const ways = kind === 'write' ? {} : { begins: /"type":"ok"/ };
  return new ClientProcess(name, command, join(folder, `${name}.jsonl`), ways);
}

const transactions: Workload = {
  name: 'transactions',
  what: 'librdkafka copies two partitions exactly once by transactions, of which it aborts one in ten',
  needs: 'python',
  topics: (trial) => ['source', 'sink'].map((name) => ({ name: `${name}-${trial}`, partitions: 2 })),
  start: (surroundings) => {
    const { trial } = surroundings;
    const [source, sink] = [`source-${trial}`, `sink-${trial}`];
    return [
      librdkafka(surroundings, 'source', 0, 'write', source, 2),
      librdkafka(surroundings, 'copy', 1, 'copy', source, sink, 2, `copy-${trial}`),
    ];
  },
};

const groups: Workload = {
  name: 'groups',
  what: 'members of a classic group and of one by KIP-848, two or three each, which come and go and commit what they have read',
  needs: 'python',
  topics: (trial) => [{ name: `members-${trial}`, partitions: 4 }],
  start: (surroundings) => {
    const { trial } = surroundings;
    const topic = `members-${trial}`;
    return [
      librdkafka(surroundings, 'written', 0, 'write', topic, 4),
      librdkafka(surroundings, 'classic', 1, 'member', topic, 4, `classic-${trial}`, 'classic'),
      librdkafka(surroundings, 'consumer', 2, 'member', topic, 4, `consumer-${trial}`, 'consumer'),
    ];
  },
};

export const WORKLOADS: readonly Workload[] = [
  wire('queue', 'batches of up to four records to one of two partitions, and polls', 2, 1),
  wire('append', 'writes to up to three of four partitions in one operation, and polls', 4, 3),
  transactions,
  groups,
  java,
];
