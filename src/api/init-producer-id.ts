import { ErrorCode } from '#model/errors';
import { readInitProducerIdRequest } from '#protocol/generated/init-producer-id-request';
import { writeInitProducerIdResponse } from '#protocol/generated/init-producer-id-response';
import { api } from './api.ts';

const INIT_PRODUCER_ID = 22;

/** A new id for an idempotent producer, at epoch 0. Ids come from blocks in the metadata log and are never given twice. */
export const initProducerIdApi = api(
  INIT_PRODUCER_ID,
  readInitProducerIdRequest,
  writeInitProducerIdResponse,
  async (request, { broker }) => {
    const refused = (errorCode: ErrorCode) => ({ throttleTimeMs: 0, errorCode, producerId: -1, producerEpoch: -1 });
    // Transactions are not served, and the answer must not be one that clients retry for ever.
    if (request.transactionalId !== null) return refused(ErrorCode.InvalidRequest);
    const id = await broker.producerIds.next();
    if (id === undefined) return refused(ErrorCode.CoordinatorNotAvailable);
    return { throttleTimeMs: 0, errorCode: ErrorCode.None, producerId: id, producerEpoch: 0 };
  },
);
