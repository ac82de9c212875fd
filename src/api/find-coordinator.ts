import { ErrorCode } from '#model/errors';
import { readFindCoordinatorRequest } from '#protocol/generated/find-coordinator-request';
import { writeFindCoordinatorResponse } from '#protocol/generated/find-coordinator-response';
import type { Broker } from '#runtime/broker';
import { api } from './api.ts';
import { clientBrokers } from './client-brokers.ts';

const FIND_COORDINATOR = 10;
const FIRST_WITH_KEYS = 4;
const GROUP = 0;
const TRANSACTION = 1;

interface Coordinator {
  readonly key: string;
  readonly nodeId: number;
  readonly host: string;
  readonly port: number;
  readonly errorCode: ErrorCode;
  readonly errorMessage: string | null;
}

export const findCoordinatorApi = api(
  FIND_COORDINATOR,
  readFindCoordinatorRequest,
  writeFindCoordinatorResponse,
  (request, { broker, header, exchange }) => {
    if (header.apiVersion >= FIRST_WITH_KEYS) {
      return {
        throttleTimeMs: 0,
        coordinators: request.coordinatorKeys.map((key) => find(key, request.keyType, broker, exchange.listenerName)),
      };
    }
    return {
      throttleTimeMs: 0,
      ...find(request.key, request.keyType, broker, exchange.listenerName),
      coordinators: [],
    };
  },
);

function find(key: string, keyType: number, broker: Broker, listenerName: string): Coordinator {
  // An answer that clients do not retry: they fail at once and say why.
  if (keyType !== GROUP && keyType !== TRANSACTION)
    return nowhere(key, ErrorCode.InvalidRequest, `coordinators of key type ${keyType} are not served`);
  const leader = (keyType === GROUP ? broker.groups : broker.transactions).coordinatorOf(key);
  const node = clientBrokers(broker.image, listenerName).find(({ nodeId }) => nodeId === leader);
  if (node === undefined) return nowhere(key, ErrorCode.CoordinatorNotAvailable, null);
  return { key, nodeId: node.nodeId, host: node.host, port: node.port, errorCode: ErrorCode.None, errorMessage: null };
}

function nowhere(key: string, errorCode: ErrorCode, errorMessage: string | null): Coordinator {
  return { key, nodeId: -1, host: '', port: -1, errorCode, errorMessage };
}
