import { isFault } from '#metadata/decision';
import { ErrorCode } from '#model/errors';
import { ApiKey } from '#protocol/generated/apis';
import { readElectLeadersRequest } from '#protocol/generated/elect-leaders-request';
import { writeElectLeadersResponse } from '#protocol/generated/elect-leaders-response';
import { api } from './api.ts';
import { askController } from './controller-call.ts';

/** Preferred leaders come back, or any replica leads where nobody else can (KIP-460). */
export const electLeadersApi = api(
  ApiKey.ElectLeaders,
  readElectLeadersRequest,
  writeElectLeadersResponse,
  async ({ electionType: type, topicPartitions, timeoutMs }, { broker, header }) => {
    const partitions =
      topicPartitions?.flatMap(({ topic, partitions }) => partitions.map((partition) => ({ topic, partition }))) ??
      null;
    const elected = await askController(broker, 'electLeaders', { type, partitions }, timeoutMs);
    // Version 0 has no error for the whole: each partition is told.
    const isTold = header.apiVersion > 0 || elected.errorCode === ErrorCode.None;
    const failed = isTold ? [] : (partitions ?? []);
    const { errorCode, message } = elected;
    const results = isFault(elected) || !('partitions' in elected) ? [] : elected.partitions;
    const all = [...results, ...failed.map((each) => ({ ...each, errorCode, message }))];
    return {
      throttleTimeMs: 0,
      errorCode: isTold ? errorCode : ErrorCode.None,
      replicaElectionResults: [...Map.groupBy(all, ({ topic }) => topic)].map(([topic, ofTopic]) => ({
        topic,
        partitionResult: ofTopic.map((result) => ({
          partitionId: result.partition,
          errorCode: result.errorCode,
          errorMessage: result.message,
        })),
      })),
    };
  },
);
