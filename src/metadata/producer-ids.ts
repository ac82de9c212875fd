/** Blocks of producer ids: an id is in one block of one broker's process, ever. */
import { ErrorCode } from '#model/errors';
import { type ProducerId, producerId } from '#model/ids';
import { type BrokerCommand, currentBroker } from './broker-states.ts';
import { type ControllerState, type Decision, fault, isFault, OK, type Outcome } from './decision.ts';

export const PRODUCER_ID_BLOCK_SIZE = 1000;

export interface ProducerIdBlock extends Outcome {
  readonly first: ProducerId;
  /** 0 with an error. */
  readonly count: number;
}

export function allocateProducerIds(state: ControllerState, command: BrokerCommand): Decision<ProducerIdBlock> {
  const first = state.image.nextProducerId;
  const broker = currentBroker(state, command);
  if (isFault(broker)) return { records: [], response: { ...broker, first, count: 0 } };
  if (first > Number.MAX_SAFE_INTEGER - PRODUCER_ID_BLOCK_SIZE) {
    const exhausted = fault(ErrorCode.UnknownServerError, 'Exhausted all producer ids.');
    return { records: [], response: { ...exhausted, first, count: 0 } };
  }
  const { id: brokerId, brokerEpoch } = broker;
  const nextProducerId = producerId(first + PRODUCER_ID_BLOCK_SIZE);
  return {
    records: [{ kind: 'producerIds', brokerId, brokerEpoch, nextProducerId }],
    response: { ...OK, first, count: PRODUCER_ID_BLOCK_SIZE },
  };
}
