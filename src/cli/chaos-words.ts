/** What `odradek chaos` says: what was done, what comes of it, and how it went. */
import { type Fault, faultLabel, type Sides } from '#chaos/fault';
import type { Verdict } from '#chaos/run-scenario';
import { table } from './table.ts';

/** One line. */
export function doneLine(fault: Fault<number>): string {
  return `${faultLabel(fault)}: ${expectation(fault)}`;
}

function expectation(fault: Fault<number>): string {
  switch (fault.kind) {
    case 'kill':
      return 'what it led is led by others within about a second; it stays down until it is healed';
    case 'pause':
      return 'nobody is told that it stands still, and others lead what it led within about 3 s';
    case 'disk-full':
      return 'it serves reads and takes no writes: others lead what it led after 2 s, and go on without it after about 8 s';
    case 'delay':
      return `each answer comes ${2 * fault.ms} ms later, and so does an acknowledgement that needs it`;
    case 'lose-rack':
      return `what has replicas in other racks is served on, within about ${fault.how === 'kill' ? '2' : '4'} s`;
    case 'partition':
      return separation(fault.between);
  }
}

function separation(sides: Sides<number>): string {
  if (sides.kind === 'two nodes')
    return 'each goes on, and leaves the other out of what it leads where it cannot follow';
  switch (sides.others) {
    case 'all':
      return 'the majority goes on without it after about 3 s, and what it cannot commit fails';
    case 'nodes':
      return 'clients still reach it, and are sent to others when the majority goes on without it after about 3 s';
    case 'clients':
      return 'it goes on leading, out of the reach of clients, until it is healed';
  }
}

export function verdictText(verdict: Verdict): string {
  const { scenario, ranMs, interrupted, faults, failures } = verdict;
  const rows = faults.map(({ fault, atMs, longestUnavailableMs, maxUnavailableMs }) => [
    fault,
    `${(atMs / 1_000).toFixed(1)} s`,
    `${longestUnavailableMs} ms`,
    maxUnavailableMs === undefined ? '-' : `${maxUnavailableMs} ms`,
  ]);
  const { acknowledged, read, lost, duplicated, disordered, changed, skipped, refused, longestUnavailableMs } = verdict;
  return `${scenario}, ${(ranMs / 1_000).toFixed(1)} s${interrupted ? ', interrupted' : ''}:

${rows.length === 0 ? '  no fault was done' : table([['fault', 'at', 'longest unavailable', 'allowed'], ...rows])}

  acknowledged         ${acknowledged}
  read                 ${read}
  lost                 ${lost}
  duplicated           ${duplicated}
  out of order         ${disordered}
  changed              ${changed}
  skipped              ${skipped}
  refused              ${refused}
  longest unavailable  ${longestUnavailableMs} ms

${failures.length === 0 ? passedText(interrupted) : failureText(verdict)}
`;
}

function passedText(interrupted: boolean): string {
  const whole = 'what was acknowledged is there, once and in order';
  return interrupted ? `INTERRUPTED: until then ${whole}.` : `PASSED: ${whole}.`;
}

function failureText({ failures, examples }: Verdict): string {
  return [...failures.map((failure) => `FAILED: ${failure}.`), ...examples.map((example) => `  ${example}`)].join('\n');
}

export function verdictJson({ examples, ...verdict }: Verdict): string {
  const passed = verdict.failures.length === 0 && !verdict.interrupted;
  return `${JSON.stringify({ apiVersion: 'odradek/v1', kind: 'ChaosVerdict', passed, ...verdict, examples }, null, 2)}\n`;
}
