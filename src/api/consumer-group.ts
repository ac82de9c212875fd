/** The consumer group protocol (KIP-848): ConsumerGroupHeartbeat and ConsumerGroupDescribe. */
import { failedConsumerHeartbeat } from '#coordinator/failures';
import { ErrorCode } from '#model/errors';
import { ApiKey } from '#protocol/generated/apis';
import { readConsumerGroupDescribeRequest } from '#protocol/generated/consumer-group-describe-request';
import { writeConsumerGroupDescribeResponse } from '#protocol/generated/consumer-group-describe-response';
import { readConsumerGroupHeartbeatRequest } from '#protocol/generated/consumer-group-heartbeat-request';
import { writeConsumerGroupHeartbeatResponse } from '#protocol/generated/consumer-group-heartbeat-response';
import type { Broker } from '#runtime/broker';
import { api } from './api.ts';
import { GROUP_OPERATIONS, NOT_ASKED_OPERATIONS } from './authorized-operations.ts';

const HEARTBEAT_FIRST_WITH_MEMBER_ID = 1;

export const consumerGroupHeartbeatApi = api(
  ApiKey.ConsumerGroupHeartbeat,
  readConsumerGroupHeartbeatRequest,
  writeConsumerGroupHeartbeatResponse,
  async (request, { broker, header, exchange }) => {
    if (!isEnabled(broker))
      return { throttleTimeMs: 0, ...failedConsumerHeartbeat(ErrorCode.UnsupportedVersion, null) };
    const response = await broker.groups.consumerHeartbeat({
      ...request,
      clientId: header.clientId ?? '',
      clientHost: `/${exchange.remote.host}`,
      memberIdRequired: header.apiVersion >= HEARTBEAT_FIRST_WITH_MEMBER_ID,
    });
    return { throttleTimeMs: 0, ...response };
  },
);

export const consumerGroupDescribeApi = api(
  ApiKey.ConsumerGroupDescribe,
  readConsumerGroupDescribeRequest,
  writeConsumerGroupDescribeResponse,
  async ({ groupIds, includeAuthorizedOperations }, { broker }) => {
    const authorizedOperations = includeAuthorizedOperations ? GROUP_OPERATIONS : NOT_ASKED_OPERATIONS;
    const groups = isEnabled(broker)
      ? await broker.groups.consumerGroupDescribe(groupIds)
      : groupIds.map((groupId) => ({ groupId, errorCode: ErrorCode.UnsupportedVersion }));
    return {
      throttleTimeMs: 0,
      groups: groups.map((group) => ({
        groupState: '',
        groupEpoch: 0,
        assignmentEpoch: 0,
        assignorName: '',
        members: [],
        ...group,
        authorizedOperations,
      })),
    };
  },
);

/** A cluster that was made before the feature has it when an administrator finalises it. */
function isEnabled({ image, config }: Pick<Broker, 'image' | 'config'>): boolean {
  const level = image.features.get('group.version')?.level ?? 0;
  return level > 0 && config.groupCoordinatorRebalanceProtocols.includes('consumer');
}
