/** The classic group protocol: JoinGroup, SyncGroup, Heartbeat, LeaveGroup. What depends on a version is settled here. */
import type {
  JoinGroupCommand,
  JoinGroupResponse,
  LeaveGroupCommand,
  LeaveGroupResponse,
} from '#coordinator/group-commands';
import { ErrorCode } from '#model/errors';
import { ApiKey } from '#protocol/generated/apis';
import { readHeartbeatRequest } from '#protocol/generated/heartbeat-request';
import { writeHeartbeatResponse } from '#protocol/generated/heartbeat-response';
import { type JoinGroupRequest, readJoinGroupRequest } from '#protocol/generated/join-group-request';
import { type JoinGroupResponseInput, writeJoinGroupResponse } from '#protocol/generated/join-group-response';
import { type LeaveGroupRequest, readLeaveGroupRequest } from '#protocol/generated/leave-group-request';
import { type LeaveGroupResponseInput, writeLeaveGroupResponse } from '#protocol/generated/leave-group-response';
import { readSyncGroupRequest } from '#protocol/generated/sync-group-request';
import { writeSyncGroupResponse } from '#protocol/generated/sync-group-response';
import { api } from './api.ts';

const JOIN_FIRST_WITH_MEMBER_ID_REQUIRED = 4;
const JOIN_FIRST_WITH_NULL_PROTOCOL = 7;
const JOIN_FIRST_WITH_SKIP_ASSIGNMENT = 9;
const SYNC_FIRST_WITH_PROTOCOL = 5;
const LEAVE_FIRST_WITH_MEMBERS = 3;

export const joinGroupApi = api(
  ApiKey.JoinGroup,
  readJoinGroupRequest,
  writeJoinGroupResponse,
  async (request, { broker, header, exchange }) => {
    const version = header.apiVersion;
    const client = { clientId: header.clientId ?? '', clientHost: `/${exchange.remote.host}` };
    return joinResponse(await broker.groups.joinGroup(joinCommand(request, version, client)), version);
  },
);

export function joinCommand(
  request: JoinGroupRequest,
  version: number,
  client: Pick<JoinGroupCommand, 'clientId' | 'clientHost'>,
): JoinGroupCommand {
  const { groupId, sessionTimeoutMs, rebalanceTimeoutMs, memberId, groupInstanceId, protocolType, protocols } = request;
  return {
    groupId,
    sessionTimeoutMs,
    rebalanceTimeoutMs,
    memberId,
    groupInstanceId,
    protocolType,
    protocols,
    ...client,
    memberIdRequired: version >= JOIN_FIRST_WITH_MEMBER_ID_REQUIRED,
    skipAssignmentKnown: version >= JOIN_FIRST_WITH_SKIP_ASSIGNMENT,
  };
}

export function joinResponse(joined: JoinGroupResponse, version: number): JoinGroupResponseInput {
  const noProtocol = version >= JOIN_FIRST_WITH_NULL_PROTOCOL ? null : '';
  return { throttleTimeMs: 0, ...joined, protocolName: joined.protocolName ?? noProtocol };
}

export const syncGroupApi = api(
  ApiKey.SyncGroup,
  readSyncGroupRequest,
  writeSyncGroupResponse,
  async (request, { broker, header }) => {
    const unnamed = request.protocolType === null || request.protocolName === null;
    if (header.apiVersion >= SYNC_FIRST_WITH_PROTOCOL && unnamed) {
      return { throttleTimeMs: 0, errorCode: ErrorCode.InconsistentGroupProtocol, assignment: new Uint8Array(0) };
    }
    return { throttleTimeMs: 0, ...(await broker.groups.syncGroup(request)) };
  },
);

export const heartbeatApi = api(
  ApiKey.Heartbeat,
  readHeartbeatRequest,
  writeHeartbeatResponse,
  (request, { broker }) => ({ throttleTimeMs: 0, ...broker.groups.heartbeat(request) }),
);

export const leaveGroupApi = api(
  ApiKey.LeaveGroup,
  readLeaveGroupRequest,
  writeLeaveGroupResponse,
  async (request, { broker, header }) => {
    const command = leaveCommand(request, header.apiVersion);
    return leaveResponse(command, await broker.groups.leaveGroup(command), header.apiVersion);
  },
);

export function leaveCommand({ groupId, memberId, members }: LeaveGroupRequest, version: number): LeaveGroupCommand {
  return { groupId, members: version >= LEAVE_FIRST_WITH_MEMBERS ? members : [{ memberId, groupInstanceId: null }] };
}

export function leaveResponse(
  command: LeaveGroupCommand,
  { errorCode, members }: LeaveGroupResponse,
  version: number,
): LeaveGroupResponseInput {
  if (version < LEAVE_FIRST_WITH_MEMBERS) {
    const error = errorCode === ErrorCode.None ? (members[0]?.errorCode ?? ErrorCode.None) : errorCode;
    return { throttleTimeMs: 0, errorCode: error };
  }
  // In an unknown group every member is unknown: admin tools look at the members alone.
  if (errorCode === ErrorCode.UnknownMemberId) {
    const unknown = command.members.map(({ memberId, groupInstanceId }) => ({ memberId, groupInstanceId, errorCode }));
    return { throttleTimeMs: 0, errorCode: ErrorCode.None, members: unknown };
  }
  return { throttleTimeMs: 0, errorCode, members };
}
