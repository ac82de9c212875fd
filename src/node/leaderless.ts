/** Why a voter sees no leader, in a sentence for its user. */
import type { Clock, Logger, Timer } from '#base/ports';
import type { MetadataQuorum } from '#runtime/metadata-quorum';
import type { PeerNetwork } from '#runtime/peer-network';

/** An election that succeeds takes less. */
const LOOK_MS = 3_000;

/** Looks from time to time whether there is a leader, and says so, once, when there has been none for a while. */
export class LeaderlessWarning {
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #quorum: MetadataQuorum;
  readonly #peers: PeerNetwork;
  readonly #timer: Timer;
  #missing = false;
  #said = '';

  constructor(ports: { readonly clock: Clock; readonly logger: Logger }, quorum: MetadataQuorum, peers: PeerNetwork) {
    this.#clock = ports.clock;
    this.#logger = ports.logger;
    this.#quorum = quorum;
    this.#peers = peers;
    this.#timer = this.#clock.timer(() => this.#look());
    this.#timer.arm(LOOK_MS);
  }

  stop(): void {
    this.#timer.disarm();
  }

  #look(): void {
    this.#timer.arm(LOOK_MS);
    const isMissing = this.#quorum.heardLeaderId === undefined && this.#quorum.voters.length > 0;
    if (isMissing && this.#missing) this.#say();
    if (!isMissing) this.#said = '';
    this.#missing = isMissing;
  }

  #say(): void {
    const { voters, self } = this.#quorum;
    const missing = voters.flatMap((voter) => {
      if (voter.id === self.id && voter.directoryId === self.directoryId) return [];
      const name = `voter ${voter.id} (${voter.host}:${voter.port})`;
      const hello = this.#peers.reached(voter.id) ?? this.#peers.heard(voter.id);
      if (voter.id === self.id || (hello !== undefined && hello.directoryId !== voter.directoryId))
        return [`${name} has lost its disk: the one that it has now knows nothing of what was committed`];
      return hello === undefined ? [`${name} is not reached`] : [];
    });
    const majority = Math.floor(voters.length / 2) + 1;
    const needs = `the metadata quorum has no leader: it takes ${majority} of ${voters.length} voters`;
    const sentence = [needs, ...missing].join('; ');
    if (sentence === this.#said) return;
    this.#said = sentence;
    this.#logger.warn({}, sentence);
  }
}
