import { setImmediate } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { electLeadersApi } from '#api/elect-leaders';
import { alterPartitionReassignmentsApi, listPartitionReassignmentsApi } from '#api/partition-reassignments';
import { produceApi } from '#api/produce';
import { ErrorCode } from '#model/errors';
import { leaderEpoch } from '#model/ids';
import { writeAlterPartitionReassignmentsRequest } from '#protocol/generated/alter-partition-reassignments-request';
import { readAlterPartitionReassignmentsResponse } from '#protocol/generated/alter-partition-reassignments-response';
import { writeElectLeadersRequest } from '#protocol/generated/elect-leaders-request';
import { readElectLeadersResponse } from '#protocol/generated/elect-leaders-response';
import { writeListPartitionReassignmentsRequest } from '#protocol/generated/list-partition-reassignments-request';
import { readListPartitionReassignmentsResponse } from '#protocol/generated/list-partition-reassignments-response';
import { writeProduceRequest } from '#protocol/generated/produce-request';
import { readProduceResponse } from '#protocol/generated/produce-response';
import { viewOf } from '../runtime/replica-stage.ts';
import { batchOf } from '../runtime/stub-log.ts';
import { ApiStage, versionsOf } from './api-stage.ts';

const electLeaders = { write: writeElectLeadersRequest, read: readElectLeadersResponse };
const alter = { write: writeAlterPartitionReassignmentsRequest, read: readAlterPartitionReassignmentsResponse };
const list = { write: writeListPartitionReassignmentsRequest, read: readListPartitionReassignmentsResponse };

/** t-0 is on the brokers 1, 2 and 3 and led by 2, since 1 was away; broker 4 has nothing. */
function stageOf(): ApiStage {
  const stage = new ApiStage();
  const { cluster } = stage;
  for (const id of [2, 3, 4]) {
    cluster.register(id);
    cluster.unfence(id);
  }
  cluster.createAssigned('t', [[1, 2, 3]]);
  cluster.fence(1);
  cluster.unfence(1);
  cluster.alterIsr('t', [1, 2, 3]);
  return stage;
}

const stateOf = ({ cluster }: ApiStage) => cluster.image.partition('t', 0);

describe('ElectLeaders (KIP-460)', () => {
  test.each(versionsOf(electLeadersApi))(
    'version %i brings the preferred leader back, and says why not',
    async (version) => {
      const stage = stageOf();
      expect(stateOf(stage)?.leader).toBe(2);
      const topicPartitions = [
        { topic: 't', partitions: [0] },
        { topic: 'nothing', partitions: [3] },
      ];
      const request = { electionType: 0, topicPartitions, timeoutMs: 1000 };
      const answer = await stage.call(electLeadersApi, electLeaders, version, request);
      expect(stateOf(stage)?.leader).toBe(1);
      expect(answer).toMatchObject({
        errorCode: ErrorCode.None,
        replicaElectionResults: [
          { topic: 't', partitionResult: [{ partitionId: 0, errorCode: ErrorCode.None, errorMessage: null }] },
          { topic: 'nothing', partitionResult: [{ partitionId: 3, errorCode: ErrorCode.UnknownTopicOrPartition }] },
        ],
      });
      const again = await stage.call(electLeadersApi, electLeaders, version, request);
      expect(again.replicaElectionResults[0]?.partitionResult[0]?.errorCode).toBe(ErrorCode.ElectionNotNeeded);
    },
  );

  test('of all partitions leaves out those that need none', async () => {
    const stage = stageOf();
    const request = { electionType: 0, topicPartitions: null, timeoutMs: 1000 };
    expect((await stage.call(electLeadersApi, electLeaders, 2, request)).replicaElectionResults).toHaveLength(1);
    expect((await stage.call(electLeadersApi, electLeaders, 2, request)).replicaElectionResults).toEqual([]);
  });

  test.each(versionsOf(electLeadersApi))('version %i tells that the controller takes nothing now', async (version) => {
    const stage = stageOf();
    stage.refusal = 'busy';
    const request = { electionType: 0, topicPartitions: [{ topic: 't', partitions: [0] }], timeoutMs: 1000 };
    const answer = await stage.call(electLeadersApi, electLeaders, version, request);
    const told = version === 0 ? answer.replicaElectionResults[0]?.partitionResult[0]?.errorCode : answer.errorCode;
    expect(told).toBe(ErrorCode.RequestTimedOut);
  });
});

describe('a Produce to the leader to be, from a client that was told of it by another node', () => {
  const produce = { write: writeProduceRequest, read: readProduceResponse };
  const [records] = batchOf(1);
  const request = {
    transactionalId: null,
    acks: -1,
    timeoutMs: 1_000,
    topicData: [{ name: 't', partitionData: [{ index: 0, records: [records] }] }],
  };

  function stageOfFollower() {
    const stage = new ApiStage();
    stage.topic('t');
    const partition = stage.partition('t', 0);
    partition.follow(leaderEpoch(1));
    partition.follow(leaderEpoch(2));
    let error: ErrorCode | undefined;
    const send = () => {
      error = undefined;
      void stage.call(produceApi, produce, 9, request).then(({ responses }) => {
        error = responses[0]?.partitionResponses[0]?.errorCode as ErrorCode;
      });
    };
    const answered = async (): Promise<ErrorCode | undefined> => {
      await setImmediate();
      return error;
    };
    return { stage, partition, send, answered };
  }

  test('waits until the node knows too', async () => {
    const { stage, partition, send, answered } = stageOfFollower();
    send();
    stage.clock.advance(10);
    expect(await answered()).toBeUndefined();
    expect(stage.reachedLog).toEqual([]);
    partition.lead(viewOf(3), 1);
    expect(await answered()).toBe(ErrorCode.None);
    expect(stage.log('t', 0).logEndOffset).toBe(1);
  });

  test('is refused when the node hears of nothing', async () => {
    const { stage, send, answered } = stageOfFollower();
    send();
    stage.clock.advance(49);
    expect(await answered()).toBeUndefined();
    stage.clock.advance(1);
    expect(await answered()).toBe(ErrorCode.NotLeaderOrFollower);
    expect(stage.log('t', 0).logEndOffset).toBe(0);
  });

  test('is refused at once by the leader of the epoch before: there the client is behind', async () => {
    const { partition, send, answered } = stageOfFollower();
    partition.lead(viewOf(3), 1);
    partition.follow(leaderEpoch(4));
    send();
    expect(await answered()).toBe(ErrorCode.NotLeaderOrFollower);
  });
});

describe('reassignments (KIP-455)', () => {
  const move = (replicas: number[] | null, name = 't') => ({
    topics: [{ name, partitions: [{ partitionIndex: 0, replicas }] }],
    timeoutMs: 1000,
  });

  test.each(versionsOf(alterPartitionReassignmentsApi))(
    'version %i sets a target, lists it, and takes it back',
    async (version) => {
      const stage = stageOf();
      const begun = await stage.call(alterPartitionReassignmentsApi, alter, version, move([4, 2, 3]));
      expect(begun).toMatchObject({
        errorCode: ErrorCode.None,
        responses: [{ name: 't', partitions: [{ partitionIndex: 0, errorCode: ErrorCode.None, errorMessage: null }] }],
      });
      const listed = await stage.call(listPartitionReassignmentsApi, list, 0, { topics: null, timeoutMs: 1000 });
      expect(listed.topics).toMatchObject([
        {
          name: 't',
          partitions: [{ partitionIndex: 0, replicas: [4, 2, 3, 1], addingReplicas: [4], removingReplicas: [1] }],
        },
      ]);
      const cancelled = await stage.call(alterPartitionReassignmentsApi, alter, version, move(null));
      expect(cancelled.responses[0]?.partitions[0]?.errorCode).toBe(ErrorCode.None);
      expect(stateOf(stage)?.replicas.toSorted()).toEqual([1, 2, 3]);
      const after = await stage.call(listPartitionReassignmentsApi, list, 0, { topics: null, timeoutMs: 1000 });
      expect(after.topics).toEqual([]);
    },
  );

  test('end when all that stay are in sync', async () => {
    const stage = stageOf();
    await stage.call(alterPartitionReassignmentsApi, alter, 1, move([4, 2, 3]));
    stage.cluster.alterIsr('t', [1, 2, 3, 4]);
    expect(stateOf(stage)).toMatchObject({ replicas: [4, 2, 3], adding: [], removing: [] });
  });

  test('are listed for the partitions that are named', async () => {
    const stage = stageOf();
    await stage.call(alterPartitionReassignmentsApi, alter, 1, move([4, 2, 3]));
    const named = (name: string, partitionIndexes: number[]) =>
      stage.call(listPartitionReassignmentsApi, list, 0, { topics: [{ name, partitionIndexes }], timeoutMs: 1000 });
    expect((await named('t', [0])).topics).toHaveLength(1);
    expect((await named('t', [1])).topics).toEqual([]);
    expect((await named('x', [0])).topics).toEqual([]);
  });

  test.each<readonly [string, number[] | null, string, ErrorCode]>([
    ['to a broker that is not there', [9, 2, 3], 't', ErrorCode.InvalidReplicaAssignment],
    ['to a broker twice', [2, 2, 3], 't', ErrorCode.InvalidReplicaAssignment],
    ['of no topic', [1], 'x', ErrorCode.UnknownTopicOrPartition],
    ['that are to be cancelled and are not under way', null, 't', ErrorCode.NoReassignmentInProgress],
  ])('%s are refused', async (_what, replicas, name, errorCode) => {
    const answer = await stageOf().call(alterPartitionReassignmentsApi, alter, 1, move(replicas, name));
    expect(answer.responses[0]?.partitions[0]?.errorCode).toBe(errorCode);
  });

  test('that change the number of replicas are refused where the client does not want that', async () => {
    const request = { ...move([1, 2]), allowReplicationFactorChange: false };
    const answer = await stageOf().call(alterPartitionReassignmentsApi, alter, 1, request);
    expect(answer.responses[0]?.partitions[0]?.errorCode).toBe(ErrorCode.InvalidReplicationFactor);
  });
});
