/** Requests that mean something to a node with this topic, in every version that it offers: what the fuzz test mutates. */
import { ALL_APIS } from '#api/all-apis';
import { createCodecs } from '#platform/codecs';
import { encodeMessage } from '#protocol/codec';
import { ApiKey } from '#protocol/generated/apis';
import { findApi, writeRequestHeader } from '#protocol/headers';
import { offeredVersions } from '#protocol/offered-apis';
import { buildBatch } from '#protocol/record-batch-builder';
import { Writer } from '#protocol/writer';
import { messageVectors } from '../protocol/fixtures.ts';

export interface FuzzTopic {
  readonly name: string;
  readonly id: string;
}

const GROUP = 'fuzz-group';
const FIRST_WITH_SCHEMA = 3;
const PRODUCER = { transactionalId: 'fuzz-transactions', producerId: 0, producerEpoch: 0 };
const ACL = { resourceType: 2, resourceName: 'fuzz', principal: 'User:a', host: '*', operation: 3, permissionType: 3 };
const ANY_ACL = { resourceTypeFilter: 1, operation: 1, permissionType: 1 };
const ACL_FILTER = { ...ANY_ACL, resourceNameFilter: 'fuzz', principalFilter: null, hostFilter: null };

/** The batch in base64, as produced. */
function batch(transactional: boolean): string {
  const records = ['a', 'b'].map((value) => ({ timestamp: 1000, key: null, value: Buffer.from(value) }));
  const { producerId, producerEpoch } = PRODUCER;
  const producer = transactional ? { producerId, producerEpoch, baseSequence: 0, transactional } : {};
  const bytes = buildBatch({ baseOffset: 0, leaderEpoch: -1, ...producer, records }, createCodecs());
  return Buffer.from(bytes).toString('base64');
}

function bodyOf(apiKey: number, version: number, topic: FuzzTopic): object {
  const { name, id: topicId } = topic;
  const metadata = Buffer.from('member').toString('base64');
  const config = { name: 'retention.ms', value: '60000' };
  const member = { groupId: GROUP, memberId: 'm' };
  switch (apiKey) {
    case ApiKey.Produce: {
      const transactional = version % 3 === 0;
      const partitionData = [{ index: 0, records: batch(transactional) }];
      const topicData = [version >= 13 ? { topicId, partitionData } : { name, partitionData }];
      const transactionalId = transactional ? PRODUCER.transactionalId : null;
      return { transactionalId, acks: version % 2 === 0 ? -1 : 1, timeoutMs: 1000, topicData };
    }
    case ApiKey.Fetch: {
      const partitions = [{ partition: 0, fetchOffset: 0, partitionMaxBytes: 1000 }];
      const topics = [version >= 13 ? { topicId, partitions } : { topic: name, partitions }];
      const session = version >= 7 ? { sessionEpoch: version % 2 === 0 ? 0 : -1, forgottenTopicsData: [] } : {};
      return { maxWaitMs: 1, minBytes: 1, maxBytes: 10_000, isolationLevel: version % 2, topics, ...session };
    }
    case ApiKey.ListOffsets:
      return { replicaId: -1, topics: [{ name, partitions: [{ partitionIndex: 0, timestamp: -1 - (version % 3) }] }] };
    case ApiKey.Metadata:
      return { topics: [{ name }] };
    case ApiKey.OffsetCommit: {
      const partitions = [{ partitionIndex: 0, committedOffset: 1, committedMetadata: 'x' }];
      return { groupId: GROUP, memberId: '', topics: [version >= 10 ? { topicId, partitions } : { name, partitions }] };
    }
    case ApiKey.OffsetFetch: {
      const partitionIndexes = [0];
      const topics = [version >= 10 ? { topicId, partitionIndexes } : { name, partitionIndexes }];
      return version >= 8 ? { groups: [{ groupId: GROUP, topics }] } : { groupId: GROUP, topics };
    }
    case ApiKey.FindCoordinator:
      return version >= 4 ? { keyType: 0, coordinatorKeys: [GROUP, 'other'] } : { key: GROUP };
    case ApiKey.JoinGroup: {
      const timeouts = { sessionTimeoutMs: 10_000, ...(version >= 1 ? { rebalanceTimeoutMs: 10_000 } : {}) };
      const protocols = [{ name: 'range', metadata }];
      return { groupId: GROUP, memberId: '', protocolType: 'consumer', protocols, ...timeouts };
    }
    case ApiKey.SyncGroup:
      return { ...member, generationId: 1, assignments: [{ memberId: 'm', assignment: metadata }] };
    case ApiKey.Heartbeat:
      return { ...member, generationId: 1 };
    case ApiKey.LeaveGroup:
      return version >= 3 ? { groupId: GROUP, members: [{ memberId: 'm' }] } : member;
    case ApiKey.DescribeGroups:
      return { groups: [GROUP, 'other'] };
    case ApiKey.ConsumerGroupHeartbeat: {
      const subscription = { subscribedTopicNames: [name], ...(version >= 1 ? { subscribedTopicRegex: 'f.*' } : {}) };
      const joining = { memberEpoch: 0, rebalanceTimeoutMs: 10_000, topicPartitions: [] };
      return { groupId: `${GROUP}-new`, memberId: 'm', ...subscription, ...joining };
    }
    case ApiKey.ConsumerGroupDescribe:
      return { groupIds: [GROUP, `${GROUP}-new`], includeAuthorizedOperations: true };
    case ApiKey.ApiVersions:
      return version >= 3 ? { clientSoftwareName: 'fuzz', clientSoftwareVersion: '1.0' } : {};
    case ApiKey.CreateTopics: {
      const topics = [{ name: 'never', numPartitions: 2, replicationFactor: 1, assignments: [], configs: [config] }];
      return { topics, timeoutMs: 1000, validateOnly: true };
    }
    case ApiKey.DeleteTopics: {
      const topics = version >= 6 ? { topics: [{ name: 'nothing', topicId: zero }] } : { topicNames: ['nothing'] };
      return { ...topics, timeoutMs: 1000 };
    }
    case ApiKey.DeleteRecords:
      return { topics: [{ name, partitions: [{ partitionIndex: 0, offset: 0 }] }], timeoutMs: 1000 };
    case ApiKey.InitProducerId:
      return { transactionalId: null, transactionTimeoutMs: 1000 };
    case ApiKey.OffsetForLeaderEpoch:
      return { topics: [{ topic: name, partitions: [{ partition: 0, leaderEpoch: 0 }] }] };
    case ApiKey.DescribeConfigs:
      return { resources: [{ resourceType: 2, resourceName: name, configurationKeys: null }] };
    case ApiKey.AlterConfigs:
      return { resources: [{ resourceType: 2, resourceName: name, configs: [config] }], validateOnly: true };
    case ApiKey.IncrementalAlterConfigs: {
      const configs = [{ ...config, configOperation: 0 }];
      return { resources: [{ resourceType: 2, resourceName: name, configs }], validateOnly: true };
    }
    case ApiKey.AlterReplicaLogDirs:
      return { dirs: [{ path: '/nowhere', topics: [{ name, partitions: [0] }] }] };
    case ApiKey.DescribeLogDirs:
      return { topics: null };
    case ApiKey.CreatePartitions:
      return { topics: [{ name, count: 2, assignments: null }], timeoutMs: 1000, validateOnly: true };
    case ApiKey.ElectLeaders: {
      const topicPartitions = [{ topic: name, partitions: [0] }];
      return { topicPartitions, timeoutMs: 1000, ...(version === 0 ? {} : { electionType: 0 }) };
    }
    case ApiKey.AlterPartitionReassignments:
      return { topics: [{ name, partitions: [{ partitionIndex: 0, replicas: null }] }], timeoutMs: 1000 };
    case ApiKey.ListPartitionReassignments:
      return { topics: null, timeoutMs: 1000 };
    case ApiKey.DeleteGroups:
      return { groupsNames: ['other'] };
    case ApiKey.OffsetDelete:
      return { groupId: GROUP, topics: [{ name, partitions: [{ partitionIndex: 0 }] }] };
    case ApiKey.DescribeTopicPartitions:
      return { topics: [{ name }], responsePartitionLimit: 10, cursor: null };
    case ApiKey.DescribeQuorum:
      return { topics: [{ topicName: '__cluster_metadata', partitions: [{ partitionIndex: 0 }] }] };
    case ApiKey.UpdateFeatures:
      return {
        timeoutMs: 1000,
        featureUpdates: [
          { feature: 'metadata.version', maxVersionLevel: 30, ...(version === 0 ? {} : { upgradeType: 1 }) },
        ],
        ...(version === 0 ? {} : { validateOnly: true }),
      };
    case ApiKey.UnregisterBroker:
      return { brokerId: 77 };
    case ApiKey.AddRaftVoter:
      return {
        clusterId: null,
        timeoutMs: 10,
        voterId: 77,
        voterDirectoryId: topicId,
        listeners: [{ name: 'PEER', host: 'h', port: 9093 }],
        ...(version === 0 ? {} : { ackWhenCommitted: true }),
      };
    case ApiKey.RemoveRaftVoter:
      return { clusterId: null, voterId: 77, voterDirectoryId: topicId };
    case ApiKey.DescribeCluster:
      return { includeClusterAuthorizedOperations: true };
    case ApiKey.ListGroups:
      return {};
    case ApiKey.ListConfigResources:
      return version >= 1 ? { resourceTypes: [2, 4, 32] } : {};
    case ApiKey.AddPartitionsToTxn: {
      const topics = [{ name, partitions: [0] }];
      if (version >= 4) return { transactions: [{ ...PRODUCER, verifyOnly: version % 2 === 0, topics }] };
      const { transactionalId, producerId, producerEpoch } = PRODUCER;
      return {
        v3AndBelowTransactionalId: transactionalId,
        v3AndBelowProducerId: producerId,
        v3AndBelowProducerEpoch: producerEpoch,
        v3AndBelowTopics: topics,
      };
    }
    case ApiKey.AddOffsetsToTxn:
      return { ...PRODUCER, groupId: GROUP };
    case ApiKey.EndTxn:
      return { ...PRODUCER, committed: version % 2 === 0 };
    case ApiKey.WriteTxnMarkers: {
      const { producerId, producerEpoch } = PRODUCER;
      const topics = [{ name, partitionIndexes: [0] }];
      const marker = { producerId, producerEpoch, transactionResult: false, topics, coordinatorEpoch: 0 };
      return { markers: [version >= 2 ? { ...marker, transactionVersion: 2 } : marker] };
    }
    case ApiKey.TxnOffsetCommit: {
      const partitions = [{ partitionIndex: 0, committedOffset: 1, committedMetadata: 'x' }];
      return { ...PRODUCER, groupId: GROUP, topics: [{ name, partitions }] };
    }
    case ApiKey.DescribeAcls:
      return ACL_FILTER;
    case ApiKey.CreateAcls:
      return { creations: [ACL] };
    case ApiKey.DeleteAcls:
      return { filters: [ACL_FILTER, ACL_FILTER] };
    case ApiKey.DescribeProducers:
      return { topics: [{ name, partitionIndexes: [0, 7] }] };
    case ApiKey.DescribeTransactions:
      return { transactionalIds: [PRODUCER.transactionalId] };
    case ApiKey.ListTransactions:
      return {
        stateFilters: ['Ongoing'],
        producerIdFilters: [],
        ...(version >= 1 ? { durationFilter: 0 } : {}),
        ...(version >= 2 ? { transactionalIdPattern: 'fuzz.*' } : {}),
      };
    default:
      throw new Error(`no request for api ${apiKey}: add one`);
  }
}

const zero = 'AAAAAAAAAAAAAAAAAAAAAA';

/** A request, and how it is written. */
export interface BaseRequest {
  readonly apiKey: number;
  readonly version: number;
  /** In the shape of `encodeMessage`. */
  readonly json: unknown;
}

/** The frame with its length prefix. Throws ProtocolError where the json fits no message of this version. */
export function frameOf({ apiKey, version, json }: BaseRequest): Buffer {
  const body = encodeMessage(`${findApi(apiKey)?.name}Request`, version, json);
  const writer = new Writer();
  writeRequestHeader(writer, { apiKey, apiVersion: version, correlationId: 0, clientId: 'fuzz' });
  const request = Buffer.concat([...writer.chunks(), body]);
  const prefix = Buffer.alloc(4);
  prefix.writeInt32BE(request.length);
  return Buffer.concat([prefix, request]);
}

/** Every served API in every offered version that has a schema. */
export function meaningfulRequests(topic: FuzzTopic): BaseRequest[] {
  return ALL_APIS.flatMap(({ key }) => {
    const offered = offeredVersions(key);
    if (offered === undefined) throw new Error(`api ${key} is not offered`);
    const first = key === ApiKey.Produce ? FIRST_WITH_SCHEMA : offered.min;
    const versions = Array.from({ length: offered.max - first + 1 }, (_, index) => first + index);
    return versions.map((version) => ({ apiKey: key, version, json: bodyOf(key, version, topic) }));
  });
}

/** What Kafka's Java client has written of the same requests, with fields of any content. */
export function arbitraryRequests(): BaseRequest[] {
  const keys = new Map(ALL_APIS.map(({ key }) => [`${findApi(key)?.name}Request`, key]));
  return messageVectors().flatMap(({ name, version, json }) => {
    const apiKey = keys.get(name);
    return apiKey === undefined ? [] : [{ apiKey, version, json }];
  });
}
