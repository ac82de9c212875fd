/** ACLs, of which there are none: tools are told what a Kafka without an authorizer tells them, and know how to go on (MirrorMaker does). */
import { ErrorCode } from '#model/errors';
import { ApiKey } from '#protocol/generated/apis';
import { readCreateAclsRequest } from '#protocol/generated/create-acls-request';
import { writeCreateAclsResponse } from '#protocol/generated/create-acls-response';
import { readDeleteAclsRequest } from '#protocol/generated/delete-acls-request';
import { writeDeleteAclsResponse } from '#protocol/generated/delete-acls-response';
import { readDescribeAclsRequest } from '#protocol/generated/describe-acls-request';
import { writeDescribeAclsResponse } from '#protocol/generated/describe-acls-response';
import { api } from './api.ts';

const DISABLED = { errorCode: ErrorCode.SecurityDisabled, errorMessage: 'No Authorizer is configured.' };

export const describeAclsApi = api(ApiKey.DescribeAcls, readDescribeAclsRequest, writeDescribeAclsResponse, () => ({
  throttleTimeMs: 0,
  ...DISABLED,
  resources: [],
}));

export const createAclsApi = api(
  ApiKey.CreateAcls,
  readCreateAclsRequest,
  writeCreateAclsResponse,
  ({ creations }) => ({ throttleTimeMs: 0, results: creations.map(() => DISABLED) }),
);

export const deleteAclsApi = api(ApiKey.DeleteAcls, readDeleteAclsRequest, writeDeleteAclsResponse, ({ filters }) => ({
  throttleTimeMs: 0,
  filterResults: filters.map(() => ({ ...DISABLED, matchingAcls: [] })),
}));
