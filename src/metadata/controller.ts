/**
 * The controller's decisions: `decide(operation, state, command) → { records, response }`. Nothing changes but by replaying the
 * records. Commands and responses are plain data, so that they can cross from a broker to the controller.
 *
 * "Repeatable" in a decision's docstring: a command that may have been carried out already can be given again, and does no more than
 * the first time.
 */
import { type AlteredPartitions, type AlterPartitionCommand, alterPartition } from './alter-partition.ts';
import {
  type BrokerCommand,
  type DrainedBroker,
  drainBroker,
  type FailDirectoriesCommand,
  type FenceBrokersCommand,
  failDirectories,
  fenceBroker,
  fenceBrokers,
  type UnregisterBrokerCommand,
  unfenceBroker,
  unregisterBroker,
} from './broker-states.ts';
import { type BootstrapCommand, bootstrap, type RegisterBrokerCommand, registerBroker } from './brokers.ts';
import {
  type AlterConfigsCommand,
  type AlteredConfigs,
  alterConfigs,
  type IncrementalAlterConfigsCommand,
  incrementalAlterConfigs,
} from './configs.ts';
import type { ControllerState, Decision, Outcome } from './decision.ts';
import {
  type BalancedLeaders,
  type BalanceLeadersCommand,
  balanceLeaders,
  type ElectedLeaders,
  type ElectLeadersCommand,
  electLeaders,
} from './elect-leaders.ts';
import { type UpdateFeaturesCommand, updateFeatures } from './feature-updates.ts';
import { type LeaveFullDirectoriesCommand, leaveFullDirectories } from './full-directories.ts';
import { type GrowInternalTopicsCommand, type GrownInternalTopics, growInternalTopics } from './internal-topics.ts';
import { type LoseReplicasCommand, type LostReplicas, loseReplicas } from './lost-replicas.ts';
import { type CreatedPartitions, type CreatePartitionsCommand, createPartitions } from './partitions.ts';
import { allocateProducerIds, type ProducerIdBlock } from './producer-ids.ts';
import {
  type AlteredReassignment,
  type AlterReassignmentsCommand,
  alterPartitionReassignments,
} from './reassignments.ts';
import { type AssignedReplicas, type AssignReplicasCommand, assignReplicas } from './replica-directories.ts';
import {
  type CreatedTopic,
  type CreateTopicsCommand,
  createTopics,
  type DeletedTopic,
  type DeleteTopicsCommand,
  deleteTopics,
} from './topics.ts';
import {
  type AddVoterCommand,
  addVoter,
  type RemoveVoterCommand,
  type ReplaceVoterCommand,
  removeVoter,
  replaceVoter,
  type UpdateVoterCommand,
  updateVoter,
} from './voters.ts';

interface Does<Command, Response> {
  readonly command: Command;
  readonly response: Response;
}

export interface Operations {
  readonly bootstrap: Does<BootstrapCommand, Outcome>;
  readonly addVoter: Does<AddVoterCommand, Outcome>;
  readonly removeVoter: Does<RemoveVoterCommand, Outcome>;
  readonly updateVoter: Does<UpdateVoterCommand, Outcome>;
  readonly replaceVoter: Does<ReplaceVoterCommand, Outcome>;
  readonly registerBroker: Does<RegisterBrokerCommand, Outcome>;
  readonly unregisterBroker: Does<UnregisterBrokerCommand, Outcome>;
  readonly unfenceBroker: Does<BrokerCommand, Outcome>;
  readonly fenceBroker: Does<BrokerCommand, Outcome>;
  readonly fenceBrokers: Does<FenceBrokersCommand, readonly Outcome[]>;
  readonly drainBroker: Does<BrokerCommand, DrainedBroker>;
  readonly failDirectories: Does<FailDirectoriesCommand, Outcome>;
  readonly assignReplicas: Does<AssignReplicasCommand, AssignedReplicas>;
  readonly loseReplicas: Does<LoseReplicasCommand, LostReplicas>;
  readonly createTopics: Does<CreateTopicsCommand, readonly CreatedTopic[]>;
  readonly deleteTopics: Does<DeleteTopicsCommand, readonly DeletedTopic[]>;
  readonly createPartitions: Does<CreatePartitionsCommand, readonly CreatedPartitions[]>;
  readonly alterPartition: Does<AlterPartitionCommand, AlteredPartitions>;
  readonly alterPartitionReassignments: Does<AlterReassignmentsCommand, readonly AlteredReassignment[]>;
  readonly electLeaders: Does<ElectLeadersCommand, ElectedLeaders>;
  readonly balanceLeaders: Does<BalanceLeadersCommand, BalancedLeaders>;
  readonly leaveFullDirectories: Does<LeaveFullDirectoriesCommand, BalancedLeaders>;
  readonly growInternalTopics: Does<GrowInternalTopicsCommand, GrownInternalTopics>;
  readonly alterConfigs: Does<AlterConfigsCommand, readonly AlteredConfigs[]>;
  readonly incrementalAlterConfigs: Does<IncrementalAlterConfigsCommand, readonly AlteredConfigs[]>;
  readonly updateFeatures: Does<UpdateFeaturesCommand, Outcome>;
  readonly allocateProducerIds: Does<BrokerCommand, ProducerIdBlock>;
}

export type OperationName = keyof Operations;
export type CommandOf<Name extends OperationName> = Operations[Name]['command'];
export type ResponseOf<Name extends OperationName> = Operations[Name]['response'];

const DECISIONS: {
  readonly [Name in OperationName]: (state: ControllerState, command: CommandOf<Name>) => Decision<ResponseOf<Name>>;
} = {
  bootstrap,
  addVoter,
  removeVoter,
  updateVoter,
  replaceVoter,
  registerBroker,
  unregisterBroker,
  unfenceBroker,
  fenceBroker,
  fenceBrokers,
  drainBroker,
  failDirectories,
  assignReplicas,
  loseReplicas,
  createTopics,
  deleteTopics,
  createPartitions,
  alterPartition,
  alterPartitionReassignments,
  electLeaders,
  balanceLeaders,
  leaveFullDirectories,
  growInternalTopics,
  alterConfigs,
  incrementalAlterConfigs,
  updateFeatures,
  allocateProducerIds,
};

export function decide<Name extends OperationName>(
  operation: Name,
  state: ControllerState,
  command: CommandOf<Name>,
): Decision<ResponseOf<Name>> {
  return DECISIONS[operation](state, command);
}

/** One broker, or the controller itself, gives each of them one after the other. */
const URGENT: ReadonlySet<OperationName> = new Set<OperationName>([
  'registerBroker',
  'unfenceBroker',
  'fenceBroker',
  'fenceBrokers',
  'drainBroker',
  'failDirectories',
  'assignReplicas',
  'loseReplicas',
  'alterPartition',
  'leaveFullDirectories',
]);

/** Whether partitions wait for it, for a leader or for what is in sync: not to be held up by what users ask for, however much that is. */
export function isUrgent(operation: OperationName): boolean {
  return URGENT.has(operation);
}

/** Whether this version knows a command of that name: another node asks by it. */
export function isOperation(name: string): name is OperationName {
  return Object.hasOwn(DECISIONS, name);
}
