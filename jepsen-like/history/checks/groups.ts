import type { Findings } from '../anomalies.ts';
import { explain } from '../explain.ts';
import { type History, NEVER, NONE, type Rebalance, Row } from '../history.ts';
import { explained, groupOffsets, membersOf, type OffsetEvent } from './group-events.ts';

/** The rules G1 to G3 of groups. */
export function checkGroups(history: History, findings: Findings): void {
  const members = membersOf(history);
  checkOwners(history, findings, members);
  checkGenerations(history, findings, members);
  for (const [group, { commits, answers }] of groupOffsets(history)) {
    checkOffsetsKept(history, findings, group, commits, answers);
  }
}

type Members = ReturnType<typeof membersOf>;

const groupOf = (history: History, { p }: Rebalance): string => history.clients.get(p)?.group ?? '';

/** G1: in one generation a partition has one owner, as far as members tell their generations. */
function checkOwners(history: History, findings: Findings, members: Members): void {
  const owned = new Map<string, Set<number>>();
  const claims = new Map<string, { readonly member: string; readonly p: number }>();
  for (const rebalance of history.rebalances) {
    const group = groupOf(history, rebalance);
    const member = members.get(rebalance.p) ?? '';
    const keys = owned.get(`${group} ${member}`) ?? new Set();
    owned.set(`${group} ${member}`, keys);
    for (const key of rebalance.revoked) keys.delete(key);
    for (const key of rebalance.assigned.keys()) keys.add(key);
    if (rebalance.generation === NONE) continue;
    for (const key of keys) {
      const claim = `${group} ${rebalance.generation} ${key}`;
      const other = claims.get(claim);
      if (other === undefined) {
        claims.set(claim, { member, p: rebalance.p });
      } else if (other.member !== member) {
        findings.add('two-owners', () => {
          return `two owners: ${history.keyName(key)} is with process ${other.p} and process ${rebalance.p} in generation ${rebalance.generation} of group ${group}`;
        });
      }
    }
  }
}

/**
 * G2: a commit of an old generation is refused. By the classic protocol it is old when any member was told of a newer one; by KIP-848, where
 * members come to a generation one by one, when another has got the partition in a newer one.
 */
function checkGenerations(history: History, findings: Findings, members: Members): void {
  if (history.generationOf.size === 0) return;
  const ofGroups = newest(history.rebalances, (rebalance) => [groupOf(history, rebalance)]);
  const ofKeys = newest(history.rebalances, (rebalance) => {
    return [...rebalance.assigned.keys()].map((key) => `${groupOf(history, rebalance)} ${key}`);
  });
  for (const [op, generation] of history.generationOf) {
    const client = history.client(op);
    const keys = committedKeys(history, op);
    if (client?.group === undefined || history.outcome(op) !== 'ok' || keys.length === 0) continue;
    const before = history.invokedAt.at(op);
    const told =
      client.protocol === 'consumer'
        ? keys
            .map((key) => ofKeys(`${client.group} ${key}`, before))
            .filter((owner) => owner !== undefined && members.get(owner.p) !== members.get(client.p))
        : [ofGroups(client.group, before)];
    const newer = told.find((rebalance) => rebalance !== undefined && rebalance.generation > generation);
    if (newer === undefined) continue;
    findings.add('stale-commit', () => {
      const sentence = `stale commit: accepted in generation ${generation} of group ${client.group}, after process ${newer.p} was told of ${newer.generation}`;
      return explain(history, sentence, [op], keys);
    });
  }
}

/** Gives, of what was told by names before an event, that of the newest generation. */
function newest(
  rebalances: readonly Rebalance[],
  names: (rebalance: Rebalance) => readonly string[],
): (name: string, before: number) => Rebalance | undefined {
  const ofNames = new Map<string, { readonly events: number[]; readonly newest: Rebalance[] }>();
  for (const rebalance of rebalances) {
    for (const name of names(rebalance)) {
      const told = ofNames.get(name) ?? { events: [], newest: [] };
      ofNames.set(name, told);
      const before = told.newest.at(-1);
      told.events.push(rebalance.event);
      told.newest.push(before !== undefined && before.generation > rebalance.generation ? before : rebalance);
    }
  }
  return (name, before) => {
    const told = ofNames.get(name);
    return told?.newest[countBelow(told.events, before) - 1];
  };
}

function committedKeys(history: History, op: number): readonly number[] {
  const keys: number[] = [];
  for (let row = history.firstRow.at(op); row < history.endRow(op); row += 1) {
    if (history.rowKind.at(row) === Row.Commit) keys.push(history.rowSubject.at(row));
  }
  return keys;
}

/**
 * G3: what is committed is a register. Once a commit is acknowledged, an answer is that offset, or of a commit that did not end before
 * it began: one of the same time, of later, or whose outcome is not known. Before that it is nothing, or of a commit that had begun.
 * What was found is as good as acknowledged.
 */
function checkOffsetsKept(
  history: History,
  findings: Findings,
  group: string,
  commits: readonly OffsetEvent[],
  answers: readonly OffsetEvent[],
): void {
  const ofKeys = Map.groupBy(commits, ({ key }) => key);
  for (const [key, asked] of Map.groupBy(answers, (answer) => answer.key)) {
    const ofKey = found(ofKeys.get(key) ?? [], asked);
    const ofOffsets = Map.groupBy(ofKey, ({ offset }) => offset);
    const acknowledged = latestBegun(ofKey);
    for (const answer of asked) {
      const last = acknowledged(answer.from);
      const candidates = ofOffsets.get(answer.offset) ?? [];
      if (candidates.some(({ from, to }) => from < answer.to && to > (last?.from ?? NONE))) continue;
      if (last === undefined) {
        // Who is assigned a partition may begin where nothing is committed.
        if (answer.offset === NONE || answer.op === NONE) continue;
        findings.add('phantom-commit', () => {
          const sentence = `phantom commit: ${answer.offset} of ${history.keyName(key)} is found for group ${group}, which nobody has committed`;
          return explain(history, sentence, [answer.op], [key]);
        });
        continue;
      }
      findings.add('lost-commit', () => {
        const found = answer.offset === NONE ? 'nothing' : answer.offset;
        const sentence = `lost commit: ${last.offset} of ${history.keyName(key)} is committed for group ${group}, then ${found} is found`;
        return explain(history, sentence, [last.op, answer.op], [key]);
      });
    }
  }
}

/** The commits of a key: one whose outcome nobody was told had ended at the latest when it was found. */
function found(commits: readonly OffsetEvent[], answers: readonly OffsetEvent[]): readonly OffsetEvent[] {
  const ends = new Map<OffsetEvent, number>();
  for (const { commit, answer } of explained(commits, answers)) {
    if (answer.to < (ends.get(commit) ?? commit.to)) ends.set(commit, answer.to);
  }
  return commits.map((commit) => ({ ...commit, to: ends.get(commit) ?? commit.to }));
}

/** Gives, of the commits that were acknowledged before an event, the one that began last. */
function latestBegun(commits: readonly OffsetEvent[]): (event: number) => OffsetEvent | undefined {
  const ended = commits.filter(({ to }) => to !== NEVER).sort((a, b) => a.to - b.to);
  const ends = ended.map(({ to }) => to);
  const latest: OffsetEvent[] = [];
  for (const commit of ended) {
    const before = latest.at(-1);
    latest.push(before !== undefined && before.from > commit.from ? before : commit);
  }
  return (event) => latest[countBelow(ends, event) - 1];
}

/** How many of the numbers, which ascend, are less than a bound. */
function countBelow(numbers: readonly number[], bound: number): number {
  let low = 0;
  let high = numbers.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((numbers[middle] ?? 0) < bound) low = middle + 1;
    else high = middle;
  }
  return low;
}
