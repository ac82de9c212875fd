import { assert } from '#base/assert';
import type { Random } from '#base/ports';
import { type CommandOf, decide, type OperationName, type ResponseOf } from '#metadata/controller';
import { MetadataImage } from '#metadata/image';
import type { MetadataRecord } from '#metadata/records';
import { SUPPORTED_FEATURES } from '#model/features';
import { type NodeId, nodeId, type Uuid, uuidFromBytes } from '#model/ids';
import { NO_PLANTED_BUGS } from '#model/planted-bugs';

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
}

/** An image with its controller: decides, replays, answers. */
export class TestCluster {
  readonly image = new MetadataImage();
  readonly given: Map<string, string>;
  readonly #random = countingRandom();
  #index = 0;
  lastRecords: readonly MetadataRecord[] = [];

  constructor(given: Readonly<Record<string, string>> = {}, targetSize = 1) {
    this.given = new Map(Object.entries(given));
    const voters = [{ id: nodeId(1), directoryId: testUuid(101), host: 'localhost', port: 9093 }];
    this.run('bootstrap', { voters, targetSize });
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
    const state = { image: this.image, random: this.#random, given: this.given, planted: NO_PLANTED_BUGS };
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
    return this.run('registerBroker', {
      clusterId: cluster.id,
      broker: {
        id: nodeId(id),
        incarnation: options.incarnation ?? testUuid(id),
        rack: options.rack ?? null,
        listeners: [{ name: 'PLAINTEXT', host: 'localhost', port: 9092 }],
        directories: options.directories ?? [testUuid(100 + id)],
        features: SUPPORTED_FEATURES.map(({ name, min, max }) => ({ name, min, max })),
      },
    });
  }

  brokerCommand(id: number): { readonly id: NodeId; readonly brokerEpoch: number } {
    return { id: nodeId(id), brokerEpoch: this.image.brokers.get(nodeId(id))?.brokerEpoch ?? -1 };
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
