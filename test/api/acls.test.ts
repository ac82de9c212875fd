import { describe, expect, test } from 'vitest';
import { createAclsApi, deleteAclsApi, describeAclsApi } from '#api/acls';
import { ErrorCode } from '#model/errors';
import { writeCreateAclsRequest } from '#protocol/generated/create-acls-request';
import { readCreateAclsResponse } from '#protocol/generated/create-acls-response';
import { writeDeleteAclsRequest } from '#protocol/generated/delete-acls-request';
import { readDeleteAclsResponse } from '#protocol/generated/delete-acls-response';
import { writeDescribeAclsRequest } from '#protocol/generated/describe-acls-request';
import { readDescribeAclsResponse } from '#protocol/generated/describe-acls-response';
import { ApiStage, versionsOf } from './api-stage.ts';

const ANY = 1;
const filter = {
  resourceTypeFilter: ANY,
  resourceNameFilter: null,
  principalFilter: null,
  hostFilter: null,
  operation: ANY,
  permissionType: ANY,
};
const acl = { resourceType: 2, resourceName: 't', principal: 'User:a', host: '*', operation: 3, permissionType: 3 };
const disabled = { errorCode: ErrorCode.SecurityDisabled, errorMessage: 'No Authorizer is configured.' };

describe('whoever asks for ACLs hears, as from a Kafka without an authorizer, that security is disabled', () => {
  test.each(versionsOf(describeAclsApi))('DescribeAcls %i', async (version) => {
    const wire = { write: writeDescribeAclsRequest, read: readDescribeAclsResponse };
    const answer = await new ApiStage().call(describeAclsApi, wire, version, filter);
    expect(answer).toMatchObject({ ...disabled, resources: [] });
  });

  test.each(versionsOf(createAclsApi))('CreateAcls %i, each that was asked for', async (version) => {
    const wire = { write: writeCreateAclsRequest, read: readCreateAclsResponse };
    const answer = await new ApiStage().call(createAclsApi, wire, version, { creations: [acl, acl] });
    expect(answer.results).toMatchObject([disabled, disabled]);
  });

  test.each(versionsOf(deleteAclsApi))('DeleteAcls %i, each filter', async (version) => {
    const wire = { write: writeDeleteAclsRequest, read: readDeleteAclsResponse };
    const answer = await new ApiStage().call(deleteAclsApi, wire, version, { filters: [filter, filter] });
    expect(answer.filterResults).toMatchObject([
      { ...disabled, matchingAcls: [] },
      { ...disabled, matchingAcls: [] },
    ]);
  });
});
