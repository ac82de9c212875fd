/** What tools ask about groups: ListGroups, DescribeGroups, DeleteGroups. */
import type { DescribedGroup } from '#coordinator/group-commands';
import { ErrorCode } from '#model/errors';
import { ApiKey } from '#protocol/generated/apis';
import { readDeleteGroupsRequest } from '#protocol/generated/delete-groups-request';
import { writeDeleteGroupsResponse } from '#protocol/generated/delete-groups-response';
import { readDescribeGroupsRequest } from '#protocol/generated/describe-groups-request';
import { type DescribedGroupInput, writeDescribeGroupsResponse } from '#protocol/generated/describe-groups-response';
import { readListGroupsRequest } from '#protocol/generated/list-groups-request';
import { writeListGroupsResponse } from '#protocol/generated/list-groups-response';
import type { UnservedGroup } from '#runtime/group-host';
import { api } from './api.ts';
import { GROUP_OPERATIONS, NOT_ASKED_OPERATIONS } from './authorized-operations.ts';

const DESCRIBE_FIRST_WITH_NOT_FOUND = 6;

/** Of this node's groups only: clients ask every broker. */
export const listGroupsApi = api(
  ApiKey.ListGroups,
  readListGroupsRequest,
  writeListGroupsResponse,
  async (request, { broker }) => ({ throttleTimeMs: 0, ...(await broker.groups.listGroups(request)) }),
);

export const describeGroupsApi = api(
  ApiKey.DescribeGroups,
  readDescribeGroupsRequest,
  writeDescribeGroupsResponse,
  async (request, { broker, header }) => {
    const operations = request.includeAuthorizedOperations ? GROUP_OPERATIONS : NOT_ASKED_OPERATIONS;
    const groups = await broker.groups.describeGroups(request.groups);
    return { throttleTimeMs: 0, groups: groups.map((group) => describedGroup(group, operations, header.apiVersion)) };
  },
);

export function describedGroup(
  group: DescribedGroup | UnservedGroup,
  operations: number,
  version: number,
): DescribedGroupInput {
  if (!('members' in group)) {
    const { groupId, errorCode } = group;
    return { errorCode, groupId, groupState: '', protocolType: '', protocolData: '', members: [] };
  }
  // Older clients know an unknown group by its state alone.
  if (group.errorCode === ErrorCode.GroupIdNotFound && version < DESCRIBE_FIRST_WITH_NOT_FOUND) {
    return { ...group, errorCode: ErrorCode.None, errorMessage: null, authorizedOperations: operations };
  }
  return { ...group, authorizedOperations: operations };
}

export const deleteGroupsApi = api(
  ApiKey.DeleteGroups,
  readDeleteGroupsRequest,
  writeDeleteGroupsResponse,
  async (request, { broker }) => ({
    throttleTimeMs: 0,
    results: await broker.groups.deleteGroups(request.groupsNames),
  }),
);
