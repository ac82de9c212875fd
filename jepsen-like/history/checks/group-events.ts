import { type History, NEVER, NONE, Row } from '../history.ts';

/** A commit that may have taken effect, or an answer to what is committed. Times are events. */
export interface OffsetEvent {
  readonly key: number;
  /** NONE: nothing is committed. */
  readonly offset: number;
  readonly from: number;
  /** NEVER, if it is not known to have ended. */
  readonly to: number;
  readonly op: number;
}

export interface GroupOffsets {
  readonly commits: OffsetEvent[];
  readonly answers: OffsetEvent[];
}

/** Of each group its commits and what was told of them, to who asked or was assigned a partition. */
export function groupOffsets(history: History): ReadonlyMap<string, GroupOffsets> {
  const groups = new Map<string, GroupOffsets>();
  const of = (group: string): GroupOffsets => {
    let offsets = groups.get(group);
    if (offsets === undefined) {
      offsets = { commits: [], answers: [] };
      groups.set(group, offsets);
    }
    return offsets;
  };
  for (let op = 0; op < history.operations; op += 1) {
    const group = history.client(op)?.group;
    const outcome = history.outcome(op);
    if (group === undefined || outcome === 'fail') continue;
    const from = history.invokedAt.at(op);
    const to = outcome === 'ok' ? history.completedAt.at(op) : NEVER;
    for (let row = history.firstRow.at(op); row < history.endRow(op); row += 1) {
      const kind = history.rowKind.at(row);
      if (kind !== Row.Commit && kind !== Row.Committed) continue;
      const event = { key: history.rowSubject.at(row), offset: history.rowOffset.at(row), from, to, op };
      if (kind === Row.Commit) of(group).commits.push(event);
      else of(group).answers.push(event);
    }
  }
  for (const { p, event, since, assigned } of history.rebalances) {
    const group = history.clients.get(p)?.group ?? '';
    for (const [key, offset] of assigned) {
      if (offset !== NONE) of(group).answers.push({ key, offset, from: since, to: event, op: NONE });
    }
  }
  return groups;
}

/** The member that each process is: static members by name, the others by the first process of their client. */
export function membersOf(history: History): ReadonlyMap<number, string> {
  const members = new Map<number, string>();
  for (const [p, { after, instance }] of history.clients) {
    const before = after === undefined ? undefined : members.get(after);
    members.set(p, instance ?? before ?? `process ${p}`);
  }
  return members;
}

/** Answers that only one commit can have led to. Who is assigned a partition may begin where nobody has committed: that tells nothing. */
export function* explained(
  commits: readonly OffsetEvent[],
  answers: readonly OffsetEvent[],
): Iterable<{ readonly commit: OffsetEvent; readonly answer: OffsetEvent }> {
  const ofOffsets = Map.groupBy(commits, ({ offset }) => offset);
  for (const answer of answers) {
    if (answer.op === NONE) continue;
    const [commit, ...others] = (ofOffsets.get(answer.offset) ?? []).filter(({ from }) => from < answer.to);
    if (commit !== undefined && others.length === 0) yield { commit, answer };
  }
}

/** Transactions that must have committed, since an offset was found that no other operation has committed. */
export function transactionsFound(history: History): ReadonlySet<number> {
  const transactions = new Set<number>();
  for (const { commits, answers } of groupOffsets(history).values()) {
    const ofKeys = Map.groupBy(commits, ({ key }) => key);
    for (const [key, asked] of Map.groupBy(answers, (answer) => answer.key)) {
      for (const { commit } of explained(ofKeys.get(key) ?? [], asked)) {
        if (history.f(commit.op) === 'txn') transactions.add(commit.op);
      }
    }
  }
  return transactions;
}
