import type { ProducerIdentity } from '#coordinator/transaction-commands';
import { ErrorCode } from '#model/errors';
import { ApiKey } from '#protocol/generated/apis';
import { type InitProducerIdRequest, readInitProducerIdRequest } from '#protocol/generated/init-producer-id-request';
import { writeInitProducerIdResponse } from '#protocol/generated/init-producer-id-response';
import { api } from './api.ts';
import { fencedBefore } from './transaction-errors.ts';

const FIRST_WITH_PRODUCER_FENCED = 4;
const NONE = -1;

/**
 * The id and epoch of a producer. Without a transactional id it is a new one, at epoch 0, from blocks in the metadata log, and never given
 * twice; with one its coordinator decides.
 */
export const initProducerIdApi = api(
  ApiKey.InitProducerId,
  readInitProducerIdRequest,
  writeInitProducerIdResponse,
  async (request, { broker, header }) => {
    const { transactionalId, transactionTimeoutMs: timeoutMs, producerId, producerEpoch } = request;
    const refused = (errorCode: ErrorCode) => ({ throttleTimeMs: 0, errorCode, producerId: NONE, producerEpoch: NONE });
    if ((producerId === NONE) !== (producerEpoch === NONE)) return refused(ErrorCode.InvalidRequest);
    if (transactionalId === null) {
      const id = await broker.producerIds.next();
      // The one that clients just retry: others make them look for a coordinator, which this producer has not.
      if (id === undefined) return refused(ErrorCode.CoordinatorLoadInProgress);
      return { throttleTimeMs: 0, errorCode: ErrorCode.None, producerId: id, producerEpoch: 0 };
    }
    const expected = expectedProducer(request);
    const answer = await broker.transactions.initProducerId({ transactionalId, timeoutMs, expected });
    const errorCode = fencedBefore(FIRST_WITH_PRODUCER_FENCED, header.apiVersion, answer.errorCode);
    return { throttleTimeMs: 0, ...answer, errorCode };
  },
);

function expectedProducer({ producerId, producerEpoch }: InitProducerIdRequest): ProducerIdentity | undefined {
  return producerId === NONE ? undefined : { producerId, producerEpoch };
}
