/** The requests of transactional clients: those of the first protocol (KIP-98), and those of the second (KIP-890). */

import type { Call } from '#protocol/calls';
import { INIT_PRODUCER_ID, PRODUCE } from '#protocol/calls';
import {
  type AddOffsetsToTxnRequestInput,
  writeAddOffsetsToTxnRequest,
} from '#protocol/generated/add-offsets-to-txn-request';
import {
  type AddOffsetsToTxnResponse,
  readAddOffsetsToTxnResponse,
} from '#protocol/generated/add-offsets-to-txn-response';
import {
  type AddPartitionsToTxnRequestInput,
  writeAddPartitionsToTxnRequest,
} from '#protocol/generated/add-partitions-to-txn-request';
import {
  type AddPartitionsToTxnResponse,
  readAddPartitionsToTxnResponse,
} from '#protocol/generated/add-partitions-to-txn-response';
import { ApiKey } from '#protocol/generated/apis';
import { type EndTxnRequestInput, writeEndTxnRequest } from '#protocol/generated/end-txn-request';
import { type EndTxnResponse, readEndTxnResponse } from '#protocol/generated/end-txn-response';
import {
  type FindCoordinatorRequestInput,
  writeFindCoordinatorRequest,
} from '#protocol/generated/find-coordinator-request';
import {
  type FindCoordinatorResponse,
  readFindCoordinatorResponse,
} from '#protocol/generated/find-coordinator-response';
import { type OffsetFetchRequestInput, writeOffsetFetchRequest } from '#protocol/generated/offset-fetch-request';
import { type OffsetFetchResponse, readOffsetFetchResponse } from '#protocol/generated/offset-fetch-response';
import {
  type TxnOffsetCommitRequestInput,
  writeTxnOffsetCommitRequest,
} from '#protocol/generated/txn-offset-commit-request';
import {
  readTxnOffsetCommitResponse,
  type TxnOffsetCommitResponse,
} from '#protocol/generated/txn-offset-commit-response';

export const FIND_COORDINATOR: Call<FindCoordinatorRequestInput, FindCoordinatorResponse> = {
  apiKey: ApiKey.FindCoordinator,
  version: 4,
  write: writeFindCoordinatorRequest,
  read: readFindCoordinatorResponse,
};

export const ADD_PARTITIONS: Call<AddPartitionsToTxnRequestInput, AddPartitionsToTxnResponse> = {
  apiKey: ApiKey.AddPartitionsToTxn,
  version: 3,
  write: writeAddPartitionsToTxnRequest,
  read: readAddPartitionsToTxnResponse,
};

export const ADD_OFFSETS: Call<AddOffsetsToTxnRequestInput, AddOffsetsToTxnResponse> = {
  apiKey: ApiKey.AddOffsetsToTxn,
  version: 3,
  write: writeAddOffsetsToTxnRequest,
  read: readAddOffsetsToTxnResponse,
};

export const OFFSET_FETCH: Call<OffsetFetchRequestInput, OffsetFetchResponse> = {
  apiKey: ApiKey.OffsetFetch,
  version: 8,
  write: writeOffsetFetchRequest,
  read: readOffsetFetchResponse,
};

const TXN_OFFSET_COMMIT: Omit<Call<TxnOffsetCommitRequestInput, TxnOffsetCommitResponse>, 'version'> = {
  apiKey: ApiKey.TxnOffsetCommit,
  write: writeTxnOffsetCommitRequest,
  read: readTxnOffsetCommitResponse,
};

const END_TXN: Omit<Call<EndTxnRequestInput, EndTxnResponse>, 'version'> = {
  apiKey: ApiKey.EndTxn,
  write: writeEndTxnRequest,
  read: readEndTxnResponse,
};

/** What differs between the two protocols: in the second partitions are added by writing to them, and each end raises the epoch. */
export const PROTOCOLS = {
  1: {
    initProducerId: INIT_PRODUCER_ID,
    produce: { ...PRODUCE, version: 11 },
    txnOffsetCommit: { ...TXN_OFFSET_COMMIT, version: 3 },
    endTxn: { ...END_TXN, version: 4 },
  },
  2: {
    initProducerId: { ...INIT_PRODUCER_ID, version: 5 },
    produce: { ...PRODUCE, version: 12 },
    txnOffsetCommit: { ...TXN_OFFSET_COMMIT, version: 5 },
    endTxn: { ...END_TXN, version: 5 },
  },
} as const;

export type TransactionVersion = keyof typeof PROTOCOLS;
