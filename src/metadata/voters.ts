/** What the records of one entry say of the quorum's voters: they count as soon as the entry is in a log, committed or not. */
import type { Uuid } from '#model/ids';
import type { Voter } from '#model/voter';
import type { MetadataRecord } from './records.ts';

/** Undefined: they change nothing. */
export function votersIn(records: readonly MetadataRecord[]): readonly Voter[] | undefined {
  const record = records.findLast(({ kind }) => kind === 'bootstrap');
  return record?.kind === 'bootstrap' ? record.voters : undefined;
}

/** Of the first entry of a log. */
export function bootstrapIn(
  records: readonly MetadataRecord[],
): { readonly clusterId: Uuid; readonly voters: readonly Voter[] } | undefined {
  const [first] = records;
  return first?.kind === 'bootstrap' ? { clusterId: first.clusterId, voters: first.voters } : undefined;
}
