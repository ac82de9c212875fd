/**
 * The controller's decisions: `decide(operation, state, command) → { records, response }`. Nothing changes but by replaying the
 * records. Commands and responses are plain data, so that they can cross from a broker to the controller.
 */
import {
  type BootstrapCommand,
  type BrokerCommand,
  bootstrap,
  fenceBroker,
  type RegisterBrokerCommand,
  registerBroker,
  unfenceBroker,
  unregisterBroker,
} from './brokers.ts';
import {
  type AlterConfigsCommand,
  type AlteredConfigs,
  alterConfigs,
  type IncrementalAlterConfigsCommand,
  incrementalAlterConfigs,
} from './configs.ts';
import type { ControllerState, Decision, Outcome } from './decision.ts';
import { type UpdateFeaturesCommand, updateFeatures } from './feature-updates.ts';
import { type CreatedPartitions, type CreatePartitionsCommand, createPartitions } from './partitions.ts';
import { allocateProducerIds, type ProducerIdBlock } from './producer-ids.ts';
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
} from './voters.ts';

interface Does<Command, Response> {
  readonly command: Command;
  readonly response: Response;
}

export interface Operations {
  readonly bootstrap: Does<BootstrapCommand, Outcome>;
  readonly registerBroker: Does<RegisterBrokerCommand, Outcome>;
  readonly unfenceBroker: Does<BrokerCommand, Outcome>;
  readonly fenceBroker: Does<BrokerCommand, Outcome>;
  readonly unregisterBroker: Does<Pick<BrokerCommand, 'id'>, Outcome>;
  readonly addVoter: Does<AddVoterCommand, Outcome>;
  readonly removeVoter: Does<RemoveVoterCommand, Outcome>;
  readonly replaceVoter: Does<ReplaceVoterCommand, Outcome>;
  readonly updateFeatures: Does<UpdateFeaturesCommand, Outcome>;
  readonly createTopics: Does<CreateTopicsCommand, readonly CreatedTopic[]>;
  readonly deleteTopics: Does<DeleteTopicsCommand, readonly DeletedTopic[]>;
  readonly createPartitions: Does<CreatePartitionsCommand, readonly CreatedPartitions[]>;
  readonly alterConfigs: Does<AlterConfigsCommand, readonly AlteredConfigs[]>;
  readonly incrementalAlterConfigs: Does<IncrementalAlterConfigsCommand, readonly AlteredConfigs[]>;
  readonly allocateProducerIds: Does<BrokerCommand, ProducerIdBlock>;
}

export type OperationName = keyof Operations;
export type CommandOf<Name extends OperationName> = Operations[Name]['command'];
export type ResponseOf<Name extends OperationName> = Operations[Name]['response'];

const DECISIONS: {
  readonly [Name in OperationName]: (state: ControllerState, command: CommandOf<Name>) => Decision<ResponseOf<Name>>;
} = {
  bootstrap,
  registerBroker,
  unfenceBroker,
  fenceBroker,
  unregisterBroker,
  addVoter,
  removeVoter,
  replaceVoter,
  updateFeatures,
  createTopics,
  deleteTopics,
  createPartitions,
  alterConfigs,
  incrementalAlterConfigs,
  allocateProducerIds,
};

export function decide<Name extends OperationName>(
  operation: Name,
  state: ControllerState,
  command: CommandOf<Name>,
): Decision<ResponseOf<Name>> {
  return DECISIONS[operation](state, command);
}

/** Whether this version knows a command of that name: another node asks by it. */
export function isOperation(name: string): name is OperationName {
  return Object.hasOwn(DECISIONS, name);
}
