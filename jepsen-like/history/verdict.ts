import type { Key, Outcome } from '#history/format';
import { ANOMALIES, type Anomaly, Findings, type Found } from './anomalies.ts';
import { type Unavailability, unavailability } from './checks/availability.ts';
import { checkCopies } from './checks/copies.ts';
import { checkCycles } from './checks/cycles.ts';
import { checkDirtyReads } from './checks/dirty-reads.ts';
import { checkFinalReads, unreadInTheEnd } from './checks/final-reads.ts';
import { checkGroupReads } from './checks/group-reads.ts';
import { checkGroups } from './checks/groups.ts';
import { type Lag, worstLag } from './checks/lag.ts';
import { checkLoss } from './checks/loss.ts';
import { checkOffsets } from './checks/offsets.ts';
import { checkPolls } from './checks/polls.ts';
import { checkSends } from './checks/sends.ts';
import { type History, NONE, Row } from './history.ts';
import { VersionOrder } from './version-order.ts';

export interface Verdict {
  readonly name: string;
  /** The history ends within a line: its recorder was killed. */
  readonly torn: boolean;
  readonly operations: Readonly<Record<Outcome, number>>;
  /** Faults begun. */
  readonly faults: number;
  /** Values sent, by the number of them that were acknowledged; and those of all that somebody read. */
  readonly acknowledged: number;
  readonly read: number;
  /** Of at least one of these. */
  readonly acknowledgedKeys: ReadonlySet<Key>;
  /** Of these, those that nobody has read in the end. */
  readonly unreadKeys: readonly Key[];
  readonly lost: number;
  readonly duplicated: number;
  readonly anomalies: ReadonlyMap<Anomaly, Found>;
  /** Whether there is an anomaly that fails the run. */
  readonly failed: boolean;
  /** A line for each key to which anything was sent. */
  readonly unavailability: readonly Unavailability[];
  readonly worstLag: Lag | undefined;
}

export function judge(history: History): Verdict {
  const order = new VersionOrder(history);
  const findings = new Findings();
  checkOffsets(history, order, findings);
  checkLoss(history, order, findings);
  checkFinalReads(history, order, findings);
  checkDirtyReads(history, findings);
  checkPolls(history, order, findings);
  checkSends(history, order, findings);
  checkCopies(history, order, findings);
  checkGroups(history, findings);
  checkGroupReads(history, order, findings);
  checkCycles(history, order, findings);
  const anomalies = findings.all;
  const count = (anomaly: Anomaly): number => anomalies.get(anomaly)?.count ?? 0;
  const ofKeys = acknowledgedOf(history);
  const acknowledgedKeys = new Set(ofKeys.keys());
  return {
    name: history.name,
    torn: history.torn,
    operations: outcomes(history),
    faults: history.faults.filter(({ phase }) => phase === 'begin').length,
    acknowledged: [...ofKeys.values()].reduce((sum, ofKey) => sum + ofKey, 0),
    read: readVersions(history),
    acknowledgedKeys,
    unreadKeys: unreadInTheEnd(history, acknowledgedKeys),
    lost: count('lost-write') + count('unseen'),
    duplicated: count('duplicate'),
    anomalies,
    failed: [...anomalies.keys()].some((anomaly) => ANOMALIES[anomaly] === 'fails'),
    unavailability: unavailability(history),
    worstLag: worstLag(history, order),
  };
}

function outcomes(history: History): Record<Outcome, number> {
  const counts = { ok: 0, fail: 0, info: 0 };
  for (let op = 0; op < history.operations; op += 1) counts[history.outcome(op)] += 1;
  return counts;
}

/** How many values of each key were acknowledged. */
function acknowledgedOf(history: History): ReadonlyMap<Key, number> {
  const counts = new Map<Key, number>();
  for (let op = 0; op < history.operations; op += 1) {
    const outcome = history.outcome(op);
    const alone = outcome === 'info' && history.f(op) === 'send';
    if (outcome !== 'ok' && !alone) continue;
    for (let row = history.firstRow.at(op); row < history.endRow(op); row += 1) {
      if (history.rowKind.at(row) !== Row.Send) continue;
      if (outcome !== 'ok' && history.rowOffset.at(row) === NONE) continue;
      const key = history.keyName(history.versionKey.at(history.rowSubject.at(row)));
      counts.set(key, (counts.get(key) ?? 0) + 1);
    }
  }
  return counts;
}

function readVersions(history: History): number {
  const read = new Uint8Array(history.versions);
  for (let row = 0; row < history.rowKind.length; row += 1) {
    if (history.rowKind.at(row) === Row.Read) read[history.rowSubject.at(row)] = 1;
  }
  return read.reduce((sum, bit) => sum + bit, 0);
}
