import type { ArgumentsCamelCase, Argv, CommandModule, Options } from 'yargs';
import { DEFAULT_DATA_DIR } from './cluster-file.ts';

const DATA_DIR = {
  'data-dir': {
    type: 'string',
    requiresArg: true,
    default: DEFAULT_DATA_DIR,
    describe: 'The folder of the cluster, as `odradek up` has it',
  },
} as const satisfies Record<string, Options>;

const FOR = {
  for: {
    type: 'string',
    requiresArg: true,
    describe: 'Heal it after so long (10s, 500ms, 2m), with a load meanwhile and a verdict at the end',
  },
} as const satisfies Record<string, Options>;

const WHICH = {
  controller: { type: 'boolean', describe: 'The node that is the active controller' },
  'leader-of': {
    type: 'string',
    requiresArg: true,
    describe: 'TOPIC[-PARTITION]: the node that leads it',
  },
} as const satisfies Record<string, Options>;

const OUTPUT = {
  output: { alias: 'o', choices: ['table', 'json'], default: 'table', describe: 'How the verdict is printed' },
} as const satisfies Record<string, Options>;

const PARTITION = {
  rack: { type: 'string', requiresArg: true, describe: 'A rack, instead of a node' },
  'one-way': { type: 'boolean', describe: 'Only what the node (the first one, the rack) sends is lost' },
  nodes: { type: 'boolean', describe: 'Cut off from the other nodes only' },
  clients: { type: 'boolean', describe: 'Cut off from clients only' },
  refuse: { type: 'boolean', describe: 'Break and refuse connections, where else they are silent' },
} as const satisfies Record<string, Options>;

const MS = {
  ms: { type: 'string', requiresArg: true, demandOption: true, describe: 'How much later all comes, each way' },
} as const satisfies Record<string, Options>;

const HOW = {
  how: { choices: ['kill', 'pause', 'cut'], default: 'kill', describe: 'What becomes of its nodes' },
} as const satisfies Record<string, Options>;

interface Subcommand {
  /** With its positional arguments, as yargs has them. */
  readonly form: string;
  readonly describe: string;
  readonly options: Readonly<Record<string, Options>>;
}

const POSITIONALS: Readonly<Record<string, string>> = {
  node: 'The id of the node',
  other: 'The id of another one: only what is between the two is cut',
  rack: 'The name of the rack',
  file: 'The scenario, YAML or JSON',
};

/** All but data-dir, which each of them has. */
export const CHAOS_COMMANDS: ReadonlyMap<string, Subcommand> = new Map([
  [
    'kill',
    { form: '[node]', describe: 'SIGKILL; it stays down until it is healed', options: { ...WHICH, ...FOR, ...OUTPUT } },
  ],
  [
    'pause',
    {
      form: '[node]',
      describe: 'SIGSTOP: it stands still, its connections silent',
      options: { ...WHICH, ...FOR, ...OUTPUT },
    },
  ],
  [
    'partition',
    {
      form: '[node] [other]',
      describe: 'Cut a node off from all others and its clients, from one other, or a rack',
      options: { ...WHICH, ...PARTITION, ...FOR, ...OUTPUT },
    },
  ],
  [
    'delay',
    {
      form: '[node]',
      describe: 'Slow down what a node sends and receives',
      options: { ...WHICH, ...MS, ...FOR, ...OUTPUT },
    },
  ],
  [
    'lose-rack',
    { form: '<rack>', describe: 'Lose all nodes of a rack at once', options: { ...HOW, ...FOR, ...OUTPUT } },
  ],
  [
    'disk-full',
    { form: '[node]', describe: 'Leave no room on the disk of a node', options: { ...WHICH, ...FOR, ...OUTPUT } },
  ],
  ['heal', { form: '[node]', describe: 'Undo all that was done, or what was done to one node', options: {} }],
  [
    'run',
    { form: '<file>', describe: 'Run a scenario with a load, and judge it (docs/chaos.md)', options: { ...OUTPUT } },
  ],
]);

export const chaosCommand: CommandModule = {
  command: 'chaos',
  describe: 'Break the cluster of `odradek up`, and heal it',
  builder: (yargs) => {
    const all = [...CHAOS_COMMANDS].reduce(
      (known, [name, { form, describe, options }]) =>
        known.command(
          `${name} ${form}`,
          describe,
          (sub) => positionals(sub, form).options({ ...options, ...DATA_DIR }),
          (args) => chaos(name, args),
        ),
      yargs,
    );
    return all.demandCommand(1, 'Say what to do: see odradek chaos --help');
  },
  handler: () => {},
};

function positionals(yargs: Argv, form: string): Argv {
  // As texts: a rack may be called 1, and a node the controller.
  const names = [...form.matchAll(/\w+/g)].map(([name]) => name);
  return names.reduce((known, name) => known.positional(name, { type: 'string', describe: POSITIONALS[name] }), yargs);
}

async function chaos(name: string, args: ArgumentsCamelCase): Promise<void> {
  // Loaded here: no other command needs any of it.
  const { runChaos } = await import('./chaos-run.ts');
  await runChaos(name, args);
}
