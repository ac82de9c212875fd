import { endMarkerBatch } from '#log/end-marker';
import { ErrorCode } from '#model/errors';
import type { Offset } from '#model/ids';
import { OFFSETS_TOPIC } from '#model/internal-topics';
import { ApiKey } from '#protocol/generated/apis';
import { readWriteTxnMarkersRequest, type WritableTxnMarker } from '#protocol/generated/write-txn-markers-request';
import { writeWriteTxnMarkersResponse } from '#protocol/generated/write-txn-markers-response';
import type { Broker } from '#runtime/broker';
import type { Partition } from '#runtime/partition';
import { api } from './api.ts';

/** From it on the epoch of a producer rises with every end of a transaction (KIP-890). */
const EPOCH_RISES_FROM = 2;

/**
 * The ends of transactions, from their coordinator or from an administrator who ends one that hangs (KIP-664). Answered when all replicas
 * in sync have them, or request.timeout.ms is over.
 */
export const writeTxnMarkersApi = api(
  ApiKey.WriteTxnMarkers,
  readWriteTxnMarkersRequest,
  writeWriteTxnMarkersResponse,
  async ({ markers }, { broker }) => ({ markers: await Promise.all(markers.map((marker) => write(marker, broker))) }),
);

async function write(marker: WritableTxnMarker, broker: Broker) {
  const topics = marker.topics.map(async ({ name, partitionIndexes }) => {
    const partitions = partitionIndexes.map(async (partitionIndex) => ({
      partitionIndex,
      errorCode: await writeTo(name, partitionIndex, marker, broker),
    }));
    return { name, partitions: await Promise.all(partitions) };
  });
  return { producerId: marker.producerId, topics: await Promise.all(topics) };
}

function writeTo(
  topic: string,
  index: number,
  marker: WritableTxnMarker,
  broker: Broker,
): ErrorCode | Promise<ErrorCode> {
  const { producerId, producerEpoch, transactionResult, coordinatorEpoch, transactionVersion } = marker;
  const found = broker.partitions.findByName(topic, index);
  if (typeof found === 'number') return found;
  if (producerId < 0 || producerEpoch < 0) return ErrorCode.InvalidRequest;
  if (found.leadership?.isUnderMinIsr === true) return ErrorCode.NotEnoughReplicas;
  const end = { aborted: !transactionResult, coordinatorEpoch };
  const { clock, codecs } = broker.ports;
  const { bytes, header } = endMarkerBatch({ producerId, producerEpoch }, end, clock.wall(), codecs);
  const append = () => found.appendMarker(bytes, header, end, transactionVersion >= EPOCH_RISES_FROM);
  // What it decides of a group's offsets the group must know before anything else that comes to it.
  if (topic === OFFSETS_TOPIC) return broker.groups.endTransaction(index, producerId, end.aborted, append);
  const outcome = append();
  return outcome.error === ErrorCode.None ? whenCommitted(found, outcome.lastOffset, broker) : outcome.error;
}

function whenCommitted(partition: Partition, last: Offset, { deadlines, config }: Broker): Promise<ErrorCode> {
  return new Promise((resolve) => {
    const deadline = deadlines.after(config.requestTimeoutMs, () => resolve(ErrorCode.RequestTimedOut));
    partition.whenCommitted(last, (error) => {
      deadlines.cancel(deadline);
      resolve(error);
    });
  });
}
