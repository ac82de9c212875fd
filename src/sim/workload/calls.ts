/** The requests of the workload, each in one version that every node offers. */
import {
  type AlterPartitionReassignmentsRequestInput,
  writeAlterPartitionReassignmentsRequest,
} from '#protocol/generated/alter-partition-reassignments-request';
import {
  type AlterPartitionReassignmentsResponse,
  readAlterPartitionReassignmentsResponse,
} from '#protocol/generated/alter-partition-reassignments-response';
import { ApiKey } from '#protocol/generated/apis';
import {
  type CreatePartitionsRequestInput,
  writeCreatePartitionsRequest,
} from '#protocol/generated/create-partitions-request';
import {
  type CreatePartitionsResponse,
  readCreatePartitionsResponse,
} from '#protocol/generated/create-partitions-response';
import { type CreateTopicsRequestInput, writeCreateTopicsRequest } from '#protocol/generated/create-topics-request';
import { type CreateTopicsResponse, readCreateTopicsResponse } from '#protocol/generated/create-topics-response';
import { type DeleteTopicsRequestInput, writeDeleteTopicsRequest } from '#protocol/generated/delete-topics-request';
import { type DeleteTopicsResponse, readDeleteTopicsResponse } from '#protocol/generated/delete-topics-response';
import {
  type DescribeClusterRequestInput,
  writeDescribeClusterRequest,
} from '#protocol/generated/describe-cluster-request';
import {
  type DescribeClusterResponse,
  readDescribeClusterResponse,
} from '#protocol/generated/describe-cluster-response';
import {
  type DescribeConfigsRequestInput,
  writeDescribeConfigsRequest,
} from '#protocol/generated/describe-configs-request';
import {
  type DescribeConfigsResponse,
  readDescribeConfigsResponse,
} from '#protocol/generated/describe-configs-response';
import { type FetchRequestInput, writeFetchRequest } from '#protocol/generated/fetch-request';
import { type FetchResponse, readFetchResponse } from '#protocol/generated/fetch-response';
import {
  type IncrementalAlterConfigsRequestInput,
  writeIncrementalAlterConfigsRequest,
} from '#protocol/generated/incremental-alter-configs-request';
import {
  type IncrementalAlterConfigsResponse,
  readIncrementalAlterConfigsResponse,
} from '#protocol/generated/incremental-alter-configs-response';
import {
  type InitProducerIdRequestInput,
  writeInitProducerIdRequest,
} from '#protocol/generated/init-producer-id-request';
import { type InitProducerIdResponse, readInitProducerIdResponse } from '#protocol/generated/init-producer-id-response';
import { type MetadataRequestInput, writeMetadataRequest } from '#protocol/generated/metadata-request';
import { type MetadataResponse, readMetadataResponse } from '#protocol/generated/metadata-response';
import { type ProduceRequestInput, writeProduceRequest } from '#protocol/generated/produce-request';
import { type ProduceResponse, readProduceResponse } from '#protocol/generated/produce-response';
import type { Call } from './kafka-client.ts';

export const CREATE_TOPICS: Call<CreateTopicsRequestInput, CreateTopicsResponse> = {
  apiKey: ApiKey.CreateTopics,
  version: 7,
  write: writeCreateTopicsRequest,
  read: readCreateTopicsResponse,
};

export const DELETE_TOPICS: Call<DeleteTopicsRequestInput, DeleteTopicsResponse> = {
  apiKey: ApiKey.DeleteTopics,
  version: 6,
  write: writeDeleteTopicsRequest,
  read: readDeleteTopicsResponse,
};

export const CREATE_PARTITIONS: Call<CreatePartitionsRequestInput, CreatePartitionsResponse> = {
  apiKey: ApiKey.CreatePartitions,
  version: 3,
  write: writeCreatePartitionsRequest,
  read: readCreatePartitionsResponse,
};

export const ALTER_CONFIGS: Call<IncrementalAlterConfigsRequestInput, IncrementalAlterConfigsResponse> = {
  apiKey: ApiKey.IncrementalAlterConfigs,
  version: 1,
  write: writeIncrementalAlterConfigsRequest,
  read: readIncrementalAlterConfigsResponse,
};

export const ALTER_REASSIGNMENTS: Call<AlterPartitionReassignmentsRequestInput, AlterPartitionReassignmentsResponse> = {
  apiKey: ApiKey.AlterPartitionReassignments,
  version: 1,
  write: writeAlterPartitionReassignmentsRequest,
  read: readAlterPartitionReassignmentsResponse,
};

export const DESCRIBE_CONFIGS: Call<DescribeConfigsRequestInput, DescribeConfigsResponse> = {
  apiKey: ApiKey.DescribeConfigs,
  version: 4,
  write: writeDescribeConfigsRequest,
  read: readDescribeConfigsResponse,
};

export const INIT_PRODUCER_ID: Call<InitProducerIdRequestInput, InitProducerIdResponse> = {
  apiKey: ApiKey.InitProducerId,
  version: 4,
  write: writeInitProducerIdRequest,
  read: readInitProducerIdResponse,
};

export const PRODUCE: Call<ProduceRequestInput, ProduceResponse> = {
  apiKey: ApiKey.Produce,
  version: 9,
  write: writeProduceRequest,
  read: readProduceResponse,
};

export const FETCH: Call<FetchRequestInput, FetchResponse> = {
  apiKey: ApiKey.Fetch,
  version: 12,
  write: writeFetchRequest,
  read: readFetchResponse,
};

export const METADATA: Call<MetadataRequestInput, MetadataResponse> = {
  apiKey: ApiKey.Metadata,
  version: 12,
  write: writeMetadataRequest,
  read: readMetadataResponse,
};

export const DESCRIBE_CLUSTER: Call<DescribeClusterRequestInput, DescribeClusterResponse> = {
  apiKey: ApiKey.DescribeCluster,
  version: 2,
  write: writeDescribeClusterRequest,
  read: readDescribeClusterResponse,
};
