/** AddRaftVoter and RemoveRaftVoter (KIP-853). */
import { isFault } from '#metadata/decision';
import { ErrorCode } from '#model/errors';
import { nodeId } from '#model/ids';
import { readAddRaftVoterRequest } from '#protocol/generated/add-raft-voter-request';
import { writeAddRaftVoterResponse } from '#protocol/generated/add-raft-voter-response';
import { ApiKey } from '#protocol/generated/apis';
import { readRemoveRaftVoterRequest } from '#protocol/generated/remove-raft-voter-request';
import { writeRemoveRaftVoterResponse } from '#protocol/generated/remove-raft-voter-response';
import type { Broker } from '#runtime/broker';
import { api } from './api.ts';
import { askController } from './controller-call.ts';

const REMOVE_MS = 30_000;
/** Between two looks whether the observer has caught up. */
const LOOK_MS = 200;

export const addRaftVoterApi = api(
  ApiKey.AddRaftVoter,
  readAddRaftVoterRequest,
  writeAddRaftVoterResponse,
  async (request, { broker }) => {
    const { voterId, voterDirectoryId, clusterId, listeners, timeoutMs } = request;
    const refuse = (errorCode: ErrorCode, errorMessage: string) => ({ throttleTimeMs: 0, errorCode, errorMessage });
    const [listener] = listeners;
    if (voterId < 0) return refuse(ErrorCode.InvalidRequest, `The voter id ${voterId} is negative.`);
    if (listener === undefined) return refuse(ErrorCode.InvalidRequest, 'The voter has no listener.');
    const until = broker.ports.clock.now() + timeoutMs;
    const voter = {
      id: nodeId(voterId),
      directoryId: voterDirectoryId,
      host: listener.host,
      port: listener.port,
    };
    const isKnown = broker.image.cluster?.voters.some(({ id }) => id === voter.id) === true;
    const isOther = clusterId !== null && clusterId !== broker.image.cluster?.id;
    if (!isKnown && !isOther && !(await hasCaughtUp(broker, voter, until))) {
      const sentence = `The node ${voterId} with the directory ${voterDirectoryId} does not follow the metadata log, or is behind.`;
      return refuse(ErrorCode.RequestTimedOut, sentence);
    }
    const leftMs = Math.max(0, until - broker.ports.clock.now());
    const { errorCode, message } = await askController(broker, 'addVoter', { clusterId, voter }, leftMs);
    return { throttleTimeMs: 0, errorCode, errorMessage: message };
  },
);

export const removeRaftVoterApi = api(
  ApiKey.RemoveRaftVoter,
  readRemoveRaftVoterRequest,
  writeRemoveRaftVoterResponse,
  async ({ clusterId, voterId, voterDirectoryId }, { broker }) => {
    if (voterId < 0) {
      const errorMessage = `The voter id ${voterId} is negative.`;
      return { throttleTimeMs: 0, errorCode: ErrorCode.InvalidRequest, errorMessage };
    }
    const voter = { id: nodeId(voterId), directoryId: voterDirectoryId };
    const removed = await askController(broker, 'removeVoter', { clusterId, voter }, REMOVE_MS);
    const { errorCode, message } = removed;
    return { throttleTimeMs: 0, errorCode, errorMessage: isFault(removed) ? message : null };
  },
);

/** A voter that is behind would hold up every commit that needs it. */
async function hasCaughtUp(
  broker: Broker,
  voter: { readonly id: number; readonly directoryId: string },
  until: number,
): Promise<boolean> {
  const { clock } = broker.ports;
  for (;;) {
    const quorum = await broker.controller.describeQuorum(Math.max(0, until - clock.now()));
    const observer = quorum?.observers.find(({ id, directoryId }) => {
      return id === voter.id && directoryId === voter.directoryId;
    });
    if (observer?.isCaughtUp === true) return true;
    if (clock.now() + LOOK_MS >= until) return false;
    await new Promise<void>((resolve) => void broker.deadlines.after(LOOK_MS, resolve));
  }
}
