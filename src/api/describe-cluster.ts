import { ErrorCode } from '#model/errors';
import { readDescribeClusterRequest } from '#protocol/generated/describe-cluster-request';
import { writeDescribeClusterResponse } from '#protocol/generated/describe-cluster-response';
import { api } from './api.ts';
import { CLUSTER_OPERATIONS, NOT_ASKED_OPERATIONS } from './authorized-operations.ts';
import { controllerFor, registeredBrokers } from './client-brokers.ts';

const DESCRIBE_CLUSTER = 60;
const BROKERS = 1;
const CONTROLLERS = 2;

export const describeClusterApi = api(
  DESCRIBE_CLUSTER,
  readDescribeClusterRequest,
  writeDescribeClusterResponse,
  (request, { broker, exchange }) => {
    const clusterId = broker.image.cluster?.id ?? '';
    if (request.endpointType !== BROKERS) {
      return {
        throttleTimeMs: 0,
        errorCode:
          request.endpointType === CONTROLLERS ? ErrorCode.MismatchedEndpointType : ErrorCode.UnsupportedEndpointType,
        errorMessage: 'This is a broker listener: ask it for brokers',
        clusterId,
        brokers: [],
      };
    }
    const known = registeredBrokers(broker.image, exchange.listenerName);
    const live = known.filter(({ fenced }) => !fenced);
    const brokers = (request.includeFencedBrokers ? known : live).map(({ nodeId, host, port, rack, fenced }) => ({
      brokerId: nodeId,
      host,
      port,
      rack,
      isFenced: fenced,
    }));
    return {
      throttleTimeMs: 0,
      errorCode: ErrorCode.None,
      errorMessage: null,
      endpointType: BROKERS,
      clusterId,
      controllerId: controllerFor(broker, live),
      brokers,
      clusterAuthorizedOperations: request.includeClusterAuthorizedOperations
        ? CLUSTER_OPERATIONS
        : NOT_ASKED_OPERATIONS,
    };
  },
);
