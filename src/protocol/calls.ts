/** Requests as a client of these nodes sends them, each in one version that every node offers. */
import {
  type AlterPartitionReassignmentsRequestInput,
  writeAlterPartitionReassignmentsRequest,
} from './generated/alter-partition-reassignments-request.ts';
import {
  type AlterPartitionReassignmentsResponse,
  readAlterPartitionReassignmentsResponse,
} from './generated/alter-partition-reassignments-response.ts';
import { ApiKey } from './generated/apis.ts';
import {
  type CreatePartitionsRequestInput,
  writeCreatePartitionsRequest,
} from './generated/create-partitions-request.ts';
import { type CreatePartitionsResponse, readCreatePartitionsResponse } from './generated/create-partitions-response.ts';
import { type CreateTopicsRequestInput, writeCreateTopicsRequest } from './generated/create-topics-request.ts';
import { type CreateTopicsResponse, readCreateTopicsResponse } from './generated/create-topics-response.ts';
import { type DeleteRecordsRequestInput, writeDeleteRecordsRequest } from './generated/delete-records-request.ts';
import { type DeleteRecordsResponse, readDeleteRecordsResponse } from './generated/delete-records-response.ts';
import { type DeleteTopicsRequestInput, writeDeleteTopicsRequest } from './generated/delete-topics-request.ts';
import { type DeleteTopicsResponse, readDeleteTopicsResponse } from './generated/delete-topics-response.ts';
import { type DescribeClusterRequestInput, writeDescribeClusterRequest } from './generated/describe-cluster-request.ts';
import { type DescribeClusterResponse, readDescribeClusterResponse } from './generated/describe-cluster-response.ts';
import { type DescribeConfigsRequestInput, writeDescribeConfigsRequest } from './generated/describe-configs-request.ts';
import { type DescribeConfigsResponse, readDescribeConfigsResponse } from './generated/describe-configs-response.ts';
import { type DescribeQuorumRequestInput, writeDescribeQuorumRequest } from './generated/describe-quorum-request.ts';
import { type DescribeQuorumResponse, readDescribeQuorumResponse } from './generated/describe-quorum-response.ts';
import { type FetchRequestInput, writeFetchRequest } from './generated/fetch-request.ts';
import { type FetchResponse, readFetchResponse } from './generated/fetch-response.ts';
import {
  type IncrementalAlterConfigsRequestInput,
  writeIncrementalAlterConfigsRequest,
} from './generated/incremental-alter-configs-request.ts';
import {
  type IncrementalAlterConfigsResponse,
  readIncrementalAlterConfigsResponse,
} from './generated/incremental-alter-configs-response.ts';
import { type InitProducerIdRequestInput, writeInitProducerIdRequest } from './generated/init-producer-id-request.ts';
import { type InitProducerIdResponse, readInitProducerIdResponse } from './generated/init-producer-id-response.ts';
import { type MetadataRequestInput, writeMetadataRequest } from './generated/metadata-request.ts';
import { type MetadataResponse, readMetadataResponse } from './generated/metadata-response.ts';
import { type ProduceRequestInput, writeProduceRequest } from './generated/produce-request.ts';
import { type ProduceResponse, readProduceResponse } from './generated/produce-response.ts';
import type { Reader } from './reader.ts';
import type { Writer } from './writer.ts';

/** How one request of an API is put on the wire, and its answer taken off. */
export interface Call<Request, Response> {
  readonly apiKey: number;
  readonly version: number;
  readonly write: (writer: Writer, value: Request, version: number) => void;
  readonly read: (reader: Reader, version: number) => Response;
}

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

export const DELETE_RECORDS: Call<DeleteRecordsRequestInput, DeleteRecordsResponse> = {
  apiKey: ApiKey.DeleteRecords,
  version: 2,
  write: writeDeleteRecordsRequest,
  read: readDeleteRecordsResponse,
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

export const DESCRIBE_QUORUM: Call<DescribeQuorumRequestInput, DescribeQuorumResponse> = {
  apiKey: ApiKey.DescribeQuorum,
  version: 1,
  write: writeDescribeQuorumRequest,
  read: readDescribeQuorumResponse,
};
