import { isOperation } from '#metadata/controller';
import { ErrorCode } from '#model/errors';
import type { BrokerSessions } from './broker-sessions.ts';
import type { ConfigDifferences } from './config-differences.ts';
import {
  DECIDE,
  DESCRIBE_QUORUM,
  type DecideAnswer,
  type DecideRequest,
  HEARTBEAT,
  type Heartbeat,
  type HeartbeatAnswer,
  type QuorumAnswer,
  type QuorumDescription,
} from './controller-protocol.ts';
import type { MetadataController } from './metadata-controller.ts';
import type { MetadataQuorum } from './metadata-quorum.ts';
import type { PeerNetwork } from './peer-network.ts';

/** Answers for this node while it is the active controller: commands, heartbeats and what the quorum looks like. */
export class ControllerHost {
  readonly #quorum: MetadataQuorum;
  readonly #controller: MetadataController;
  readonly #sessions: BrokerSessions;
  readonly #differences: ConfigDifferences;
  readonly #wall: () => number;
  readonly #now: () => number;

  constructor(
    parts: {
      readonly quorum: MetadataQuorum;
      readonly controller: MetadataController;
      readonly sessions: BrokerSessions;
      readonly differences: ConfigDifferences;
    },
    clock: { readonly wall: () => number; readonly now: () => number },
  ) {
    this.#quorum = parts.quorum;
    this.#controller = parts.controller;
    this.#sessions = parts.sessions;
    this.#differences = parts.differences;
    this.#wall = clock.wall;
    this.#now = clock.now;
  }

  heartbeat(heartbeat: Heartbeat): HeartbeatAnswer {
    const answer = this.#sessions.heard(heartbeat);
    if (answer.errorCode === ErrorCode.None) this.#differences.heard(heartbeat.id, heartbeat.clusterConfigs);
    return answer;
  }

  /** Confirmed by a majority: no leader that was deposed meanwhile answers, nor one that led when it was asked and follows now. */
  describeQuorum(): Promise<QuorumAnswer> {
    return new Promise((answer) => {
      this.#quorum.confirm((hasLed) =>
        answer(hasLed && this.#quorum.isActive ? this.#describe() : { errorCode: ErrorCode.NotLeaderOrFollower }),
      );
    });
  }

  /** Before the peers' listener opens. `host`: once there is one. */
  static serve(peers: PeerNetwork, host: () => ControllerHost | undefined): void {
    peers.handle(DECIDE, (request) => {
      const { operation, command } = request.body as DecideRequest;
      const answer = (body: DecideAnswer) => request.answer(body);
      const here = host();
      if (here === undefined) return answer({ undecided: 'notController' });
      if (!isOperation(operation)) return request.refuse(`this version does not know the command ${operation}`);
      void here.#controller
        .submit(operation, command as never)
        .then((decided) => answer(typeof decided === 'object' ? decided : { undecided: decided }));
    });
    peers.handle(HEARTBEAT, (request) => {
      const here = host();
      const answer = here?.heartbeat(request.body as Heartbeat) ?? { errorCode: ErrorCode.NotController };
      request.answer(answer);
    });
    peers.handle(DESCRIBE_QUORUM, (request) => {
      const here = host();
      if (here === undefined) return request.answer({ errorCode: ErrorCode.NotLeaderOrFollower });
      void here.describeQuorum().then((answer) => request.answer(answer));
    });
  }

  #describe(): QuorumDescription {
    const { self, epoch, commitIndex, voters } = this.#quorum;
    const toWall = (at: number | undefined) => (at === undefined ? -1 : Math.round(this.#wall() - (this.#now() - at)));
    const replicas = this.#quorum.progress().map((replica) => ({
      isVoter: replica.isVoter,
      id: replica.key.id,
      directoryId: replica.key.directoryId,
      // One more than the last entry, as offsets are.
      endOffset: replica.matchIndex + 1,
      lastFetchTimestamp: toWall(replica.lastContactAt),
      lastCaughtUpTimestamp: toWall(replica.lastCaughtUpAt),
      isCaughtUp: replica.isCaughtUp,
    }));
    return {
      leaderId: self.id,
      leaderEpoch: epoch,
      highWatermark: commitIndex + 1,
      voters: replicas.filter(({ isVoter }) => isVoter),
      observers: replicas.filter(({ isVoter }) => !isVoter),
      addresses: voters,
    };
  }
}
