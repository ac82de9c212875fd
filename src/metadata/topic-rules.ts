/** What a topic's configs say about who is in sync and who may lead. */
import { topicDefaults } from '#model/config-layers';
import { NO_PLANTED_BUGS } from '#model/planted-bugs';
import type { TopicConfigName } from '#model/topic-config';
import type { ControllerState } from './decision.ts';
import { Electorate, type Movement } from './electorate.ts';
import type { Election, PartitionRules } from './partition-change.ts';
import { type ConfigRecord, type MetadataRecord, ResourceType } from './records.ts';

/** The feature by which eligible leader replicas are kept (KIP-966). */
export const ELIGIBLE_LEADERS_FEATURE = 'eligible.leader.replicas.version';

export interface TopicRules {
  readonly minIsr: number;
  /** Whether any replica may lead when no other can: what was acknowledged may be lost. */
  readonly isUncleanAllowed: boolean;
  /** Whether what a replica acknowledged is still there after a crash of its machine. */
  readonly survivesCrash: boolean;
}

type RulesState = Pick<ControllerState, 'image' | 'given'> & Partial<Pick<ControllerState, 'planted'>>;

/** The rules of one decision: reads each topic's configs once. */
export class DecisionRules {
  readonly electorate: Electorate;
  readonly keepsEligible: boolean;
  readonly #state: RulesState;
  /** Of the same decision, and not in the image yet. */
  readonly #pending: readonly ConfigRecord[];
  readonly #defaults: ReadonlyMap<string, string>;
  readonly #topics = new Map<string, TopicRules>();

  constructor(state: RulesState, movement: Movement = {}, pending: readonly MetadataRecord[] = []) {
    const { image, given } = state;
    this.#state = state;
    this.electorate = new Electorate(image, movement);
    this.keepsEligible = (image.features.get(ELIGIBLE_LEADERS_FEATURE)?.level ?? 0) > 0;
    this.#pending = pending.filter((record) => record.kind === 'config');
    const clusterWide = this.#configs(ResourceType.Broker, '');
    const targetSize = image.cluster?.targetSize ?? 1;
    this.#defaults = topicDefaults({ perBroker: new Map(), clusterWide, given, targetSize });
  }

  ofTopic(name: string): TopicRules {
    let rules = this.#topics.get(name);
    if (rules === undefined) {
      const configs = this.#configs(ResourceType.Topic, name);
      const value = (key: TopicConfigName): string | undefined => configs.get(key) ?? this.#defaults.get(key);
      rules = {
        minIsr: Number(value('min.insync.replicas') ?? 1),
        isUncleanAllowed: value('unclean.leader.election.enable') === 'true',
        survivesCrash: value('flush.policy') !== 'os',
      };
      this.#topics.set(name, rules);
    }
    return rules;
  }

  /** `election`: where it is not what the topic's config allows. */
  ofPartition(topic: string, election?: Election): PartitionRules {
    const { electorate, keepsEligible } = this;
    const { planted = NO_PLANTED_BUGS } = this.#state;
    const { minIsr, isUncleanAllowed } = this.ofTopic(topic);
    const allowed = isUncleanAllowed ? 'unclean' : 'online';
    return { electorate, keepsEligible, minIsr, planted, election: election ?? allowed };
  }

  #configs(type: ResourceType, name: string): ReadonlyMap<string, string> {
    const configs = new Map(this.#state.image.configs(type, name));
    for (const { resourceType, resourceName, key, value } of this.#pending) {
      if (resourceType !== type || resourceName !== name) continue;
      if (value === null) configs.delete(key);
      else configs.set(key, value);
    }
    return configs;
  }
}
