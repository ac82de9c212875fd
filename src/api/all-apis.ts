import { createAclsApi, deleteAclsApi, describeAclsApi } from './acls.ts';
import { addOffsetsToTxnApi } from './add-offsets-to-txn.ts';
import { addPartitionsToTxnApi } from './add-partitions-to-txn.ts';
import { alterConfigsApi, incrementalAlterConfigsApi } from './alter-configs.ts';
import { alterReplicaLogDirsApi } from './alter-replica-log-dirs.ts';
import type { Api } from './api.ts';
import { apiVersionsApi } from './api-versions.ts';
import { consumerGroupDescribeApi, consumerGroupHeartbeatApi } from './consumer-group.ts';
import { createPartitionsApi } from './create-partitions.ts';
import { createTopicsApi } from './create-topics.ts';
import { deleteRecordsApi } from './delete-records.ts';
import { deleteTopicsApi } from './delete-topics.ts';
import { describeClusterApi } from './describe-cluster.ts';
import { describeConfigsApi } from './describe-configs.ts';
import { describeLogDirsApi } from './describe-log-dirs.ts';
import { describeProducersApi } from './describe-producers.ts';
import { describeQuorumApi } from './describe-quorum.ts';
import { describeTopicPartitionsApi } from './describe-topic-partitions.ts';
import { describeTransactionsApi } from './describe-transactions.ts';
import { electLeadersApi } from './elect-leaders.ts';
import { endTxnApi } from './end-txn.ts';
import { fetchApi } from './fetch.ts';
import { findCoordinatorApi } from './find-coordinator.ts';
import { deleteGroupsApi, describeGroupsApi, listGroupsApi } from './group-admin.ts';
import { heartbeatApi, joinGroupApi, leaveGroupApi, syncGroupApi } from './group-membership.ts';
import { initProducerIdApi } from './init-producer-id.ts';
import { listConfigResourcesApi } from './list-config-resources.ts';
import { listOffsetsApi } from './list-offsets.ts';
import { listTransactionsApi } from './list-transactions.ts';
import { metadataApi } from './metadata.ts';
import { offsetCommitApi } from './offset-commit.ts';
import { offsetDeleteApi } from './offset-delete.ts';
import { offsetFetchApi } from './offset-fetch.ts';
import { offsetForLeaderEpochApi } from './offset-for-leader-epoch.ts';
import { alterPartitionReassignmentsApi, listPartitionReassignmentsApi } from './partition-reassignments.ts';
import { produceApi } from './produce.ts';
import { txnOffsetCommitApi } from './txn-offset-commit.ts';
import { unregisterBrokerApi } from './unregister-broker.ts';
import { updateFeaturesApi } from './update-features.ts';
import { addRaftVoterApi, removeRaftVoterApi } from './voters.ts';
import { writeTxnMarkersApi } from './write-txn-markers.ts';

/** Every API that a broker serves; ApiVersions offers these and no more. */
export const ALL_APIS: readonly Api[] = [
  produceApi,
  fetchApi,
  listOffsetsApi,
  metadataApi,
  offsetCommitApi,
  offsetFetchApi,
  findCoordinatorApi,
  joinGroupApi,
  heartbeatApi,
  leaveGroupApi,
  syncGroupApi,
  describeGroupsApi,
  listGroupsApi,
  apiVersionsApi,
  createTopicsApi,
  deleteTopicsApi,
  deleteRecordsApi,
  initProducerIdApi,
  offsetForLeaderEpochApi,
  addPartitionsToTxnApi,
  addOffsetsToTxnApi,
  endTxnApi,
  writeTxnMarkersApi,
  txnOffsetCommitApi,
  describeAclsApi,
  createAclsApi,
  deleteAclsApi,
  describeConfigsApi,
  alterConfigsApi,
  alterReplicaLogDirsApi,
  describeLogDirsApi,
  createPartitionsApi,
  deleteGroupsApi,
  electLeadersApi,
  incrementalAlterConfigsApi,
  alterPartitionReassignmentsApi,
  listPartitionReassignmentsApi,
  offsetDeleteApi,
  describeQuorumApi,
  updateFeaturesApi,
  describeClusterApi,
  describeProducersApi,
  unregisterBrokerApi,
  describeTransactionsApi,
  listTransactionsApi,
  consumerGroupHeartbeatApi,
  consumerGroupDescribeApi,
  listConfigResourcesApi,
  describeTopicPartitionsApi,
  addRaftVoterApi,
  removeRaftVoterApi,
];
