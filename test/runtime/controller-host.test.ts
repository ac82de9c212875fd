import { expect, test } from 'vitest';
import { ErrorCode } from '#model/errors';
import { nodeId, uuid } from '#model/ids';
import { ControllerHost } from '#runtime/controller-host';

const SELF = { id: nodeId(1), directoryId: uuid('BwcHBwcHBwcHBwcHBwcHBw'), host: 'localhost', port: 9093 };

test('a leader that was deposed between the proof that it led and its answer describes no quorum', async () => {
  const quorum = {
    self: SELF,
    isActive: true,
    epoch: 3,
    commitIndex: 7,
    voters: [SELF],
    progress: () => [],
    confirm: (done: (isLeader: boolean) => void) => done(true),
  };
  const host = new ControllerHost({ quorum } as never, { wall: () => 0, now: () => 0 });
  expect(await host.describeQuorum()).toMatchObject({ leaderId: 1, leaderEpoch: 3 });
  // Another one leads in epoch 4.
  Object.assign(quorum, { isActive: false, epoch: 4 });
  expect(await host.describeQuorum()).toEqual({ errorCode: ErrorCode.NotLeaderOrFollower });
});
