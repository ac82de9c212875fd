/** Who votes, and who has which replicas, changes under load. */
import { at } from '#base/assert';
import type { Random } from '#base/ports';
import { ErrorCode } from '#model/errors';
import type { Call } from '#protocol/calls';
import { ALTER_REASSIGNMENTS, METADATA } from '#protocol/calls';
import { type AddRaftVoterRequestInput, writeAddRaftVoterRequest } from '#protocol/generated/add-raft-voter-request';
import { type AddRaftVoterResponse, readAddRaftVoterResponse } from '#protocol/generated/add-raft-voter-response';
import { ApiKey } from '#protocol/generated/apis';
import {
  type DescribeQuorumRequestInput,
  writeDescribeQuorumRequest,
} from '#protocol/generated/describe-quorum-request';
import { type DescribeQuorumResponse, readDescribeQuorumResponse } from '#protocol/generated/describe-quorum-response';
import {
  type RemoveRaftVoterRequestInput,
  writeRemoveRaftVoterRequest,
} from '#protocol/generated/remove-raft-voter-request';
import {
  type RemoveRaftVoterResponse,
  readRemoveRaftVoterResponse,
} from '#protocol/generated/remove-raft-voter-response';
import { sleep, until } from '../../test/support/process.ts';
import { Session } from '../workloads/session.ts';
import type { Fault, Scene } from './fault.ts';
import { repeated } from './repeated.ts';

const DESCRIBE_QUORUM: Call<DescribeQuorumRequestInput, DescribeQuorumResponse> = {
  apiKey: ApiKey.DescribeQuorum,
  version: 2,
  write: writeDescribeQuorumRequest,
  read: readDescribeQuorumResponse,
};

const ADD_VOTER: Call<AddRaftVoterRequestInput, AddRaftVoterResponse> = {
  apiKey: ApiKey.AddRaftVoter,
  version: 0,
  write: writeAddRaftVoterRequest,
  read: readAddRaftVoterResponse,
};

const REMOVE_VOTER: Call<RemoveRaftVoterRequestInput, RemoveRaftVoterResponse> = {
  apiKey: ApiKey.RemoveRaftVoter,
  version: 0,
  write: writeRemoveRaftVoterRequest,
  read: readRemoveRaftVoterResponse,
};

const CHANGE_MS = 60_000;
const REPLICAS = 3;
const MOVE_PAUSE_MS = 500;
/** In which few of the moves come to their end. */
const HALF_WAY_MS = 30;

/** As the quorum's leader tells it: who votes, with which disk and where. */
async function voters(session: Session): Promise<readonly Omit<AddRaftVoterRequestInput, 'clusterId' | 'timeoutMs'>[]> {
  const request = { topics: [{ topicName: '__cluster_metadata', partitions: [{ partitionIndex: 0 }] }] };
  const { topics, nodes } = await session.ask(session.any(), DESCRIBE_QUORUM, request);
  const current = topics[0]?.partitions[0]?.currentVoters ?? [];
  return current.map(({ replicaId, replicaDirectoryId }) => ({
    voterId: replicaId,
    voterDirectoryId: replicaDirectoryId,
    listeners: nodes.find(({ nodeId }) => nodeId === replicaId)?.listeners ?? [],
  }));
}

/** Asks until the quorum is told to be so; an answer that is lost may have been a change all the same. */
async function change(
  what: string,
  session: Session,
  isDone: (ids: readonly number[]) => boolean,
  ask: () => Promise<unknown>,
): Promise<void> {
  await until(what, CHANGE_MS, async () => {
    const current = await voters(session).catch(() => []);
    if (current.length > 0 && isDone(current.map(({ voterId }) => voterId))) return true;
    await ask().catch(() => undefined);
    return undefined;
  });
}

function changeOfVoters(): Fault {
  let removed: Awaited<ReturnType<typeof voters>>[number] | undefined;
  const sessionOf = ({ cluster }: Scene): Session => new Session(cluster.members, 0);
  return {
    name: 'voters',
    what: 'a voter of the metadata is removed, and added again',
    expected: 'the quorum goes on with four, then with five',
    needsHosts: false,
    mixes: false,
    begin: async (scene, target) => {
      const session = sessionOf(scene);
      const current = await until('voters', CHANGE_MS, async () => {
        const found = await voters(session).catch(() => []);
        return found.length > 0 ? found : undefined;
      });
      const one = current.find(({ voterId }) => voterId === target) ?? at(current, 0);
      removed = one;
      const request = { clusterId: null, voterId: one.voterId, voterDirectoryId: one.voterDirectoryId };
      await change(
        'a voter removed',
        session,
        (ids) => !ids.includes(one.voterId),
        () => session.ask(session.any(), REMOVE_VOTER, request),
      );
      session.close();
    },
    end: async (scene) => {
      const one = removed;
      if (one === undefined) throw new Error('no voter has been removed');
      const session = sessionOf(scene);
      await change(
        'a voter added',
        session,
        (ids) => ids.includes(one.voterId),
        () => session.ask(session.any(), ADD_VOTER, { clusterId: null, timeoutMs: 1_500, ...one }),
      );
      session.close();
    },
  };
}

function draw(ids: readonly number[], random: Random): readonly number[] {
  const left = [...ids];
  return Array.from({ length: REPLICAS }, () => at(left.splice(random.uint32() % left.length, 1), 0));
}

interface Move {
  readonly partitionIndex: number;
  /** Null: back to what was before, if it is still on its way. */
  readonly replicas: readonly number[] | null;
}

/** How many of these moves of one topic's partitions were. */
async function accepted(session: Session, name: string, partitions: readonly Move[]): Promise<number> {
  if (partitions.length === 0) return 0;
  const move = { timeoutMs: 1_500, topics: [{ name, partitions }] };
  const answer = await session.ask(session.any(), ALTER_REASSIGNMENTS, move).catch(() => undefined);
  const answers = answer?.responses[0]?.partitions ?? [];
  return answers.filter(({ errorCode }) => errorCode === ErrorCode.None).length;
}

const reassignment = repeated(
  {
    name: 'reassignment',
    what: 'partitions move to other nodes, and some of the moves are taken back half way',
    expected: 'each comes to its end, or back',
    needsHosts: false,
    mixes: false,
  },
  async ({ cluster, random, topics }) => {
    const session = new Session(cluster.members, random.uint32());
    const name = at(topics, random.uint32() % topics.length);
    const request = { topics: [{ name }], allowAutoTopicCreation: false };
    const { topics: known } = await session.ask(session.any(), METADATA, request).catch(() => ({ topics: [] }));
    const indexes = (known[0]?.partitions ?? []).map(({ partitionIndex }) => partitionIndex);
    const moves = indexes.map((partitionIndex) => ({ partitionIndex, replicas: draw(cluster.ids, random) }));
    const moved = await accepted(session, name, moves);
    await sleep(random.uint32() % HALF_WAY_MS);
    const backs = indexes.filter(() => random.uint32() % 2 === 0);
    const takenBack = await accepted(
      session,
      name,
      backs.map((partitionIndex) => ({ partitionIndex, replicas: null })),
    );
    session.close();
    await sleep(MOVE_PAUSE_MS);
    return moved > 0 && takenBack > 0;
  },
);

export const MEMBERSHIP_FAULTS: readonly Fault[] = [changeOfVoters(), reassignment];
