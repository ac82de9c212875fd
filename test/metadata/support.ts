import { assert } from '#base/assert';
import type { Random } from '#base/ports';
import type { AlteredIsr } from '#metadata/alter-partition';
import { AlterOperation } from '#metadata/configs';
import { type CommandOf, decide, type OperationName, type ResponseOf } from '#metadata/controller';
import { MetadataImage, type Topic } from '#metadata/image';
import { type MetadataRecord, type Partition, ResourceType } from '#metadata/records';
import { ELIGIBLE_LEADERS_FEATURE } from '#metadata/topic-rules';
import { SUPPORTED_FEATURES } from '#model/features';
import { type NodeId, nodeId, type Uuid, uuidFromBytes } from '#model/ids';
import { NO_PLANTED_BUGS, type PlantedBugs } from '#model/planted-bugs';

/** Counts up, so that tests can tell what was drawn. */
export function countingRandom(): Random {
  let next = 0;
  const random: Random = {
    uint32: () => next++,
    fork: () => random,
    secret: (into) => {
      next += 1;
      into.fill(0x20);
      into[15] = next % 256;
      into[14] = Math.floor(next / 256);
    },
  };
  return random;
}

export function testUuid(seed: number): Uuid {
  return uuidFromBytes(Uint8Array.from({ length: 16 }, (_, i) => (i === 15 ? seed : 7)));
}

export interface BrokerOptions {
  readonly rack?: string | null;
  readonly incarnation?: Uuid;
  readonly directories?: readonly Uuid[];
  readonly cleanBrokerEpoch?: number;
  readonly replaces?: number;
}

const BROKER_FEATURES = SUPPORTED_FEATURES.map(({ name, min, max }) => ({ name, min, max }));

/** An image with its controller: decides, replays, answers. */
export class TestCluster {
  readonly image = new MetadataImage();
  readonly given: Map<string, string>;
  readonly #random = countingRandom();
  #index = 0;
  planted: PlantedBugs = NO_PLANTED_BUGS;
  lastRecords: readonly MetadataRecord[] = [];

  constructor(
    given: Readonly<Record<string, string>> = {},
    targetSize = 1,
    eligible: 'not kept' | 'as bootstrapped' = 'not kept',
  ) {
    this.given = new Map(Object.entries(given));
    const voters = [{ id: nodeId(1), directoryId: testUuid(101), host: 'localhost', port: 9093 }];
    this.run('bootstrap', { voters, targetSize });
    // Tests of eligible leaders ask for them; in the others an ISR alone says who may lead.
    if (eligible === 'not kept')
      this.replay([{ kind: 'featureLevel', name: ELIGIBLE_LEADERS_FEATURE, level: 0, epoch: 0 }]);
  }

  static withBrokers(
    count: number,
    given: Readonly<Record<string, string>> = {},
    racks: readonly string[] = [],
  ): TestCluster {
    const cluster = new TestCluster(given);
    for (let id = 1; id <= count; id += 1) {
      cluster.register(id, { rack: racks[id - 1] ?? null });
      cluster.unfence(id);
    }
    return cluster;
  }

  run<Name extends OperationName>(operation: Name, command: CommandOf<Name>): ResponseOf<Name> {
    const state = { image: this.image, random: this.#random, given: this.given, planted: this.planted };
    const { records, response } = decide(operation, state, command);
    this.lastRecords = records;
    this.replay(records);
    return response;
  }

  replay(records: readonly MetadataRecord[]): void {
    if (records.length > 0) this.#index += 1;
    for (const record of records) this.image.replay(record, this.#index);
  }

  register(id: number, options: BrokerOptions = {}) {
    const { cluster } = this.image;
    assert(cluster !== undefined, 'bootstrapped');
    const { cleanBrokerEpoch, replaces } = options;
    return this.run('registerBroker', {
      ...(cleanBrokerEpoch === undefined ? {} : { cleanBrokerEpoch }),
      ...(replaces === undefined ? {} : { replaces }),
      clusterId: cluster.id,
      broker: {
        id: nodeId(id),
        incarnation: options.incarnation ?? testUuid(id),
        rack: options.rack ?? null,
        listeners: [{ name: 'PLAINTEXT', host: 'localhost', port: 9092 }],
        directories: options.directories ?? [testUuid(100 + id)],
        features: BROKER_FEATURES,
      },
    });
  }

  /** Eligible leader replicas are kept from now on (KIP-966). */
  keepEligible(): this {
    this.replay([{ kind: 'featureLevel', name: ELIGIBLE_LEADERS_FEATURE, level: 1, epoch: 0 }]);
    return this;
  }

  setTopicConfig(topic: string, key: string, value: string) {
    const changes = [{ key, operation: AlterOperation.Set, value }];
    const resources = [{ type: ResourceType.Topic, name: topic, changes }];
    return this.run('incrementalAlterConfigs', { validateOnly: false, resources })[0];
  }

  /** The leader of partition 0 says who is in sync with it. */
  alterIsr(topic: string, isr: readonly number[], change: Partial<AlteredIsr> = {}) {
    const { id: topicId } = this.topic(topic);
    const state = this.state(topic);
    const members = isr.map((id) => ({ id, brokerEpoch: this.brokerCommand(id).brokerEpoch }));
    const { leaderEpoch, partitionEpoch } = state;
    const altered = { topicId, partition: 0, leaderEpoch, partitionEpoch, isr: members, ...change };
    return this.run('alterPartition', { ...this.brokerCommand(state.leader ?? -1), partitions: [altered] });
  }

  topic(name: string): Topic {
    const topic = this.image.topic(name);
    assert(topic !== undefined, `no topic ${name}`);
    return topic;
  }

  state(topic: string, partition = 0): Partition {
    const state = this.image.partition(topic, partition);
    assert(state !== undefined, `no partition ${topic}-${partition}`);
    return state;
  }

  brokerCommand(id: number): { readonly id: NodeId; readonly brokerEpoch: number } {
    return { id: id as NodeId, brokerEpoch: this.image.brokers.get(id as NodeId)?.brokerEpoch ?? -1 };
  }

  unfence(id: number) {
    return this.run('unfenceBroker', this.brokerCommand(id));
  }

  fence(id: number) {
    return this.run('fenceBroker', this.brokerCommand(id));
  }

  create(
    name: string,
    options: { partitions?: number; factor?: number; configs?: Record<string, string | null> } = {},
  ) {
    const [result] = this.run('createTopics', {
      validateOnly: false,
      topics: [
        {
          name,
          partitionCount: options.partitions ?? -1,
          replicationFactor: options.factor ?? -1,
          assignments: [],
          configs: new Map(Object.entries(options.configs ?? {})),
        },
      ],
    });
    assert(result !== undefined, 'one result');
    return result;
  }

  createAssigned(name: string, assignments: readonly (readonly number[])[]) {
    const [result] = this.run('createTopics', {
      validateOnly: false,
      topics: [
        {
          name,
          partitionCount: -1,
          replicationFactor: -1,
          assignments: assignments.map((replicas, partition) => ({ partition, replicas })),
          configs: new Map(),
        },
      ],
    });
    assert(result !== undefined, 'one result');
    return result;
  }
}

/** Everything that an image holds, for comparing. */
export function contents(image: MetadataImage) {
  return {
    cluster: image.cluster,
    features: [...image.features.values()],
    featuresEpoch: image.featuresEpoch,
    brokers: [...image.brokers.values()],
    nextProducerId: image.nextProducerId,
    topicCount: image.topicCount,
    partitionCount: image.partitionCount,
    topics: [...image.topics()].map(({ name, id, partitions }) => ({
      name,
      id,
      partitions,
      like: image.topicLike(name)?.id,
    })),
    records: [...image.snapshot()],
  };
}
