import { ErrorCode } from '#model/errors';

/** Clients of before know a fenced producer only by its epoch (KIP-588). */
export function fencedBefore(firstWithFenced: number, version: number, error: ErrorCode): ErrorCode {
  return error === ErrorCode.ProducerFenced && version < firstWithFenced ? ErrorCode.InvalidProducerEpoch : error;
}
