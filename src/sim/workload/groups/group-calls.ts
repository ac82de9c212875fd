/** The requests of a group's members: those of the classic protocol, and those of KIP-848. */

import type { Call } from '#protocol/calls';
import { ApiKey } from '#protocol/generated/apis';
import {
  type ConsumerGroupHeartbeatRequestInput,
  writeConsumerGroupHeartbeatRequest,
} from '#protocol/generated/consumer-group-heartbeat-request';
import {
  type ConsumerGroupHeartbeatResponse,
  readConsumerGroupHeartbeatResponse,
} from '#protocol/generated/consumer-group-heartbeat-response';
import { type HeartbeatRequestInput, writeHeartbeatRequest } from '#protocol/generated/heartbeat-request';
import { type HeartbeatResponse, readHeartbeatResponse } from '#protocol/generated/heartbeat-response';
import { type JoinGroupRequestInput, writeJoinGroupRequest } from '#protocol/generated/join-group-request';
import { type JoinGroupResponse, readJoinGroupResponse } from '#protocol/generated/join-group-response';
import { type LeaveGroupRequestInput, writeLeaveGroupRequest } from '#protocol/generated/leave-group-request';
import { type LeaveGroupResponse, readLeaveGroupResponse } from '#protocol/generated/leave-group-response';
import { type OffsetCommitRequestInput, writeOffsetCommitRequest } from '#protocol/generated/offset-commit-request';
import { type OffsetCommitResponse, readOffsetCommitResponse } from '#protocol/generated/offset-commit-response';
import { type OffsetFetchRequestInput, writeOffsetFetchRequest } from '#protocol/generated/offset-fetch-request';
import { type OffsetFetchResponse, readOffsetFetchResponse } from '#protocol/generated/offset-fetch-response';
import { type SyncGroupRequestInput, writeSyncGroupRequest } from '#protocol/generated/sync-group-request';
import { readSyncGroupResponse, type SyncGroupResponse } from '#protocol/generated/sync-group-response';

export const JOIN_GROUP: Call<JoinGroupRequestInput, JoinGroupResponse> = {
  apiKey: ApiKey.JoinGroup,
  version: 9,
  write: writeJoinGroupRequest,
  read: readJoinGroupResponse,
};

export const SYNC_GROUP: Call<SyncGroupRequestInput, SyncGroupResponse> = {
  apiKey: ApiKey.SyncGroup,
  version: 5,
  write: writeSyncGroupRequest,
  read: readSyncGroupResponse,
};

export const HEARTBEAT: Call<HeartbeatRequestInput, HeartbeatResponse> = {
  apiKey: ApiKey.Heartbeat,
  version: 4,
  write: writeHeartbeatRequest,
  read: readHeartbeatResponse,
};

export const LEAVE_GROUP: Call<LeaveGroupRequestInput, LeaveGroupResponse> = {
  apiKey: ApiKey.LeaveGroup,
  version: 5,
  write: writeLeaveGroupRequest,
  read: readLeaveGroupResponse,
};

export const CONSUMER_GROUP_HEARTBEAT: Call<ConsumerGroupHeartbeatRequestInput, ConsumerGroupHeartbeatResponse> = {
  apiKey: ApiKey.ConsumerGroupHeartbeat,
  version: 1,
  write: writeConsumerGroupHeartbeatRequest,
  read: readConsumerGroupHeartbeatResponse,
};

export const OFFSET_COMMIT: Call<OffsetCommitRequestInput, OffsetCommitResponse> = {
  apiKey: ApiKey.OffsetCommit,
  version: 9,
  write: writeOffsetCommitRequest,
  read: readOffsetCommitResponse,
};

export const OFFSET_FETCH: Call<OffsetFetchRequestInput, OffsetFetchResponse> = {
  apiKey: ApiKey.OffsetFetch,
  version: 9,
  write: writeOffsetFetchRequest,
  read: readOffsetFetchResponse,
};
