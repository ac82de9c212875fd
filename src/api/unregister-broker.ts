import { ErrorCode } from '#model/errors';
import { nodeId } from '#model/ids';
import { ApiKey } from '#protocol/generated/apis';
import { readUnregisterBrokerRequest } from '#protocol/generated/unregister-broker-request';
import { writeUnregisterBrokerResponse } from '#protocol/generated/unregister-broker-response';
import { api } from './api.ts';
import { askController } from './controller-call.ts';

const DECISION_MS = 30_000;

/** The broker is forgotten until it comes again. */
export const unregisterBrokerApi = api(
  ApiKey.UnregisterBroker,
  readUnregisterBrokerRequest,
  writeUnregisterBrokerResponse,
  async ({ brokerId }, { broker }) => {
    if (brokerId < 0) {
      const errorMessage = `Broker ID ${brokerId} is not currently registered.`;
      return { throttleTimeMs: 0, errorCode: ErrorCode.BrokerIdNotRegistered, errorMessage };
    }
    const { errorCode, message } = await askController(
      broker,
      'unregisterBroker',
      { id: nodeId(brokerId) },
      DECISION_MS,
    );
    return { throttleTimeMs: 0, errorCode, errorMessage: message };
  },
);
