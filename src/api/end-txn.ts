import { ApiKey } from '#protocol/generated/apis';
import { readEndTxnRequest } from '#protocol/generated/end-txn-request';
import { writeEndTxnResponse } from '#protocol/generated/end-txn-response';
import { api } from './api.ts';
import { fencedBefore } from './transaction-errors.ts';

const FIRST_WITH_PRODUCER_FENCED = 2;
/** From this version on a client knows that every end bumps its epoch: it works by transaction.version 2. */
const FIRST_WITH_EPOCH_BUMP = 5;

/** The outcome is decided and safe when this is answered; the markers that tell of it follow. */
export const endTxnApi = api(
  ApiKey.EndTxn,
  readEndTxnRequest,
  writeEndTxnResponse,
  async ({ transactionalId, producerId, producerEpoch, committed }, { broker, header }) => {
    const answer = await broker.transactions.endTransaction({
      transactionalId,
      producerId,
      producerEpoch,
      isCommit: committed,
      clientVersion: header.apiVersion < FIRST_WITH_EPOCH_BUMP ? 0 : 2,
    });
    const errorCode = fencedBefore(FIRST_WITH_PRODUCER_FENCED, header.apiVersion, answer.errorCode);
    return { throttleTimeMs: 0, ...answer, errorCode };
  },
);
