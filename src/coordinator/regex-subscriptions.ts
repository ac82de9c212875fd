/** When the regexes of a consumer group are resolved, and what follows when they have been. */
import { type Fault, fault } from '#metadata/decision';
import { ErrorCode } from '#model/errors';
import { type ConsumerDecision, type MemberChange, metadataHashOf } from './consumer-decision.ts';
import type { ConsumerGroup } from './consumer-group.ts';
import { regexOf } from './consumer-member.ts';
import { groupEpochRecord, regexRecord, regexTombstone } from './consumer-records.ts';
import { REGEX_REFRESH_MAX_MS, REGEX_REFRESH_MIN_MS } from './group-config.ts';
import { isSubset } from './partition-sets.ts';
import { compileRegex, type RegexResolution } from './topic-regex.ts';
import { metadataHash } from './topics-view.ts';

/** 'unresolved': it has changed, and what it matches is not known yet. */
export type RegexChange = 'same' | 'unresolved' | 'resolved';

/** What the member's change means for the regexes: a new one is looked at at once, and resolved soon. */
export function changeRegex(decision: ConsumerDecision, { before, after }: MemberChange): RegexChange | Fault {
  const { group, out } = decision;
  const [old, next] = [regexOf(before), regexOf(after)];
  if (old === next) {
    refreshRegexes(decision, next, false);
    return 'same';
  }
  if (old !== undefined && group.regexSubscribers.get(old) === 1) {
    out.records.push(regexTombstone(group.groupId, old));
  }
  if (next === undefined) {
    refreshRegexes(decision, undefined, false);
    return 'resolved';
  }
  const isNew = !group.regexSubscribers.has(next);
  if (isNew) {
    const problem = compileRegex(next);
    if (typeof problem === 'string') {
      const message = `SubscribedTopicRegex \`${next}\` is not a valid regular expression: ${problem}.`;
      return fault(ErrorCode.InvalidRegularExpression, message);
    }
  }
  refreshRegexes(decision, next, isNew);
  return group.regexes.has(next) ? 'resolved' : 'unresolved';
}

/** Asks for a resolution if one regex has none, a topic has come since, or the last one is old; but not too often. */
function refreshRegexes(decision: ConsumerDecision, next: string | undefined, isNew: boolean): void {
  const { group, now, topicsVersion } = decision;
  if (!isNew && group.regexSubscribers.size === 0) return;
  const { resolvedAt, version } = lastResolution(group);
  const sinceMs = now.wall - resolvedAt;
  if (sinceMs >= 0 && sinceMs <= REGEX_REFRESH_MIN_MS) return;
  const unresolved = next !== undefined && !group.regexes.has(next);
  const wanted =
    isNew ||
    unresolved ||
    group.regexSubscribers.size !== group.regexes.size ||
    version < topicsVersion ||
    sinceMs > REGEX_REFRESH_MAX_MS;
  if (wanted) decision.resolveRegexes();
}

function lastResolution(group: ConsumerGroup): { readonly resolvedAt: number; readonly version: number } {
  let resolvedAt = 0;
  let version = -1;
  for (const resolved of group.regexes.values()) {
    resolvedAt = Math.max(resolvedAt, resolved.resolvedAt);
    version = Math.max(version, resolved.version);
  }
  return { resolvedAt, version };
}

/** What has been matched is written; if that is something else than before, the group's epoch rises. */
export function regexesResolved(decision: ConsumerDecision, resolution: RegexResolution): void {
  const { group, now, out, topics } = decision;
  const { groupId } = group;
  let differs = false;
  const names = new Set<string>();
  for (const [regex, matched] of resolution.results) {
    if (!group.regexSubscribers.has(regex)) continue;
    const before = group.regexes.get(regex)?.topics ?? new Set<string>();
    differs ||= before.size !== matched.size || !isSubset(before, matched);
    out.records.push(
      regexRecord(groupId, regex, { topics: matched, version: resolution.version, resolvedAt: now.wall }),
    );
  }
  for (const member of group.members()) {
    const regex = regexOf(member);
    for (const name of member.topicNames) names.add(name);
    if (regex === undefined) continue;
    for (const name of resolution.results.get(regex) ?? group.regexes.get(regex)?.topics ?? []) names.add(name);
  }
  if (out.records.length === 0) return;
  const hash = metadataHash(names, topics);
  if (differs || hash !== group.metadataHash) {
    out.records.push(groupEpochRecord(groupId, group.groupEpoch + 1, hash));
  }
}

/** Tombstones for the regexes that nobody subscribes to once these members have left; what the others' topics amount to. */
export function withoutMembers(decision: ConsumerDecision, leaving: ReadonlySet<string>): number {
  const { group, out } = decision;
  const staying = [...group.members()].filter(({ memberId }) => !leaving.has(memberId));
  const kept = new Set(staying.map(regexOf));
  for (const regex of group.regexes.keys()) {
    if (!kept.has(regex)) out.records.push(regexTombstone(group.groupId, regex));
  }
  return metadataHashOf(staying, decision);
}
