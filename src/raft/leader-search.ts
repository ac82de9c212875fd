import type { JoinRequest, JoinResponse, PeerAddress } from './messages.ts';
import type { Replica } from './replica.ts';

/** How a replica that hears of no leader finds one that takes it in. */
export class LeaderSearch {
  readonly #replica: Replica;
  #asked = 0;
  /** One hint per question is followed, so that two replicas that name each other do not keep it running. */
  #mayFollowHint = false;

  constructor(replica: Replica) {
    this.#replica = replica;
  }

  /** One after the other. */
  ask(): void {
    const targets = this.#targets();
    const target = targets[this.#asked % targets.length];
    this.#asked += 1;
    this.#mayFollowHint = true;
    if (target !== undefined) this.#join(target);
  }

  askAll(): void {
    this.#mayFollowHint = true;
    for (const target of this.#targets()) this.#join(target);
  }

  answered({ leader }: JoinResponse): void {
    if (leader === undefined || !this.#mayFollowHint || isSameListener(leader, this.#replica.self)) return;
    this.#mayFollowHint = false;
    this.#join(leader);
  }

  #targets(): readonly PeerAddress[] {
    const { membership, options, self } = this.#replica;
    const found: PeerAddress[] = [];
    for (const address of [...membership.voters, ...options.contacts])
      if (![self, ...found].some((other) => isSameListener(other, address))) found.push(address);
    return found;
  }

  #join(to: PeerAddress): void {
    const { epoch, log, options, outbox, self } = this.#replica;
    const request: JoinRequest = {
      kind: 'join',
      epoch,
      observer: self,
      lastIndex: log.lastIndex,
      lastEpoch: log.lastEpoch,
      wantsVote: options.wantsVote,
    };
    outbox.send(to, request);
  }
}

/** By address, not by id: a voter that this very node was before its disk was wiped is no one to ask. */
function isSameListener(a: PeerAddress, b: PeerAddress): boolean {
  return a.host === b.host && a.port === b.port;
}
