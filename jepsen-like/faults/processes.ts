/** Processes that die, stand still or stop as they are told to. */
import type { Fault } from './fault.ts';

const anywhere = { needsHosts: false, mixes: true } as const;

function signal(name: string, what: string, expected: string, one: NodeJS.Signals): Fault {
  return {
    ...anywhere,
    name,
    what,
    expected,
    begin: async ({ cluster }, id) => cluster.signal(id, one),
    end: ({ cluster }, id) => cluster.heal(id),
  };
}

export const PROCESS_FAULTS: readonly Fault[] = [
  signal('kill', 'SIGKILL, and started again', 'others take over at once; it comes back into sync', 'SIGKILL'),
  signal('pause', 'SIGSTOP, and SIGCONT', 'it is fenced, and acknowledges nothing on waking', 'SIGSTOP'),
  {
    ...signal('restart', 'SIGTERM, and started again', 'it hands its leaderships over first', 'SIGTERM'),
    end: ({ cluster }, id) => cluster.stopped(id).finally(() => cluster.heal(id)),
  },
];
