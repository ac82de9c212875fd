import { ErrorCode } from '#model/errors';
import type { Uuid } from '#model/ids';

/** What became of a request, as its client knows. 'unknown': it may have been carried out, or may yet be. */
export type Outcome = 'done' | 'refused' | 'unknown';

/** Errors with which a request is certainly not carried out. */
const REFUSALS: ReadonlySet<number> = new Set([
  ErrorCode.TopicAlreadyExists,
  ErrorCode.UnknownTopicOrPartition,
  ErrorCode.UnknownTopicId,
  ErrorCode.InvalidPartitions,
  ErrorCode.InvalidReplicationFactor,
  ErrorCode.InvalidConfig,
  ErrorCode.ThrottlingQuotaExceeded,
  ErrorCode.NoReassignmentInProgress,
  ErrorCode.InvalidReplicaAssignment,
]);

export function outcomeOf(errorCode: number | undefined): Outcome {
  if (errorCode === undefined) return 'unknown';
  if (errorCode === ErrorCode.None) return 'done';
  return REFUSALS.has(errorCode) ? 'refused' : 'unknown';
}

/**
 * One topic, as those who asked for it may expect it. Its name is used once and by one client, so everything that happened to it is
 * known, but for requests without an answer: those may be carried out at any later time.
 */
export class TopicModel {
  readonly name: string;
  exists: 'yes' | 'no' | 'maybe' = 'maybe';
  id: Uuid | undefined;
  /** The partitions that it may have. */
  readonly partitionCounts = new Set<number>();
  /** The values that a config may have; null: none is set. */
  readonly configs = new Map<string, Set<string | null>>();

  constructor(name: string) {
    this.name = name;
  }

  created(outcome: Outcome, errorCode: number | undefined, id: Uuid | undefined, partitions: number): void {
    this.partitionCounts.add(partitions);
    // Its node has asked twice, and the first time was heard.
    const repeated = errorCode === ErrorCode.TopicAlreadyExists;
    if (outcome === 'done' || repeated) this.exists = 'yes';
    else if (outcome === 'refused') this.exists = 'no';
    if (outcome === 'done') this.id = id;
  }

  deleted(outcome: Outcome, errorCode: number | undefined): void {
    const repeated = errorCode === ErrorCode.UnknownTopicOrPartition;
    if (outcome === 'done' || repeated) this.exists = 'no';
    else if (outcome === 'unknown') this.exists = 'maybe';
  }

  widened(outcome: Outcome, partitions: number): void {
    if (outcome === 'done')
      for (const count of this.partitionCounts) if (count < partitions) this.partitionCounts.delete(count);
    // A refusal may be that of the second time that its node has asked.
    this.partitionCounts.add(partitions);
  }

  configured(outcome: Outcome, key: string, value: string | null): void {
    const values = this.configs.get(key) ?? new Set<string | null>([null]);
    if (outcome === 'done' && !this.#pending.has(key)) values.clear();
    if (outcome === 'unknown') this.#pending.add(key);
    if (outcome !== 'refused') values.add(value);
    this.configs.set(key, values);
  }

  /** Configs to which something unanswered may still happen. */
  readonly #pending = new Set<string>();

  /** A sentence about what is wrong with the topic as a node shows it; undefined if it may be so. */
  faultOf(shown: { readonly id: Uuid; readonly partitions: number } | undefined): string | undefined {
    if (shown === undefined)
      return this.exists === 'yes' ? `${this.name} was acknowledged and is not there` : undefined;
    if (this.exists === 'no')
      return `${this.name} is there, but its deletion was acknowledged, or its creation refused`;
    if (this.id !== undefined && shown.id !== this.id)
      return `${this.name} has the id ${shown.id}, acknowledged was ${this.id}`;
    if (!this.partitionCounts.has(shown.partitions))
      return `${this.name} has ${shown.partitions} partitions, it may have ${[...this.partitionCounts].join(' or ')}`;
    return undefined;
  }

  faultOfConfig(key: string, value: string | null): string | undefined {
    const values = this.configs.get(key);
    if (values === undefined || values.has(value)) return undefined;
    return `${key} of ${this.name} is ${value}, it may be ${[...values].join(' or ')}`;
  }
}
