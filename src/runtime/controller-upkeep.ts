import type { Clock, Timer } from '#base/ports';
import type { MetadataDelta } from '#metadata/delta';
import type { BrokerSessions } from './broker-sessions.ts';
import type { MetadataController } from './metadata-controller.ts';
import type { MetadataQuorum } from './metadata-quorum.ts';

export interface ControllerUpkeepOptions {
  /** auto.leader.rebalance.enable */
  readonly balancesLeaders: boolean;
  /** leader.imbalance.check.interval.seconds */
  readonly checkMs: number;
}

/**
 * After a broker has come, replicas have caught up or configs are others, things are looked at so much later: until then more may have
 * come. While a directory is full, or was a moment ago, they are looked at as often.
 */
const SOON_MS = 5_000;
/** Leaders that change in one decision; the next one follows at once, and lets others in between. */
const LEADERS_MAX = 200;
/** While internal topics grow. */
const GROWING_MS = 250;
/** Partitions of internal topics that get more replicas at a time. */
const MOVES_MAX = 10;

/**
 * What the active controller does unasked: leaders leave directories that are full, preferred leaders come back, what has no leader gets
 * one where its topic has come to allow that, internal topics grow with the cluster. Idle on every other node.
 */
export class ControllerUpkeep {
  readonly #clock: Clock;
  readonly #quorum: MetadataQuorum;
  readonly #controller: MetadataController;
  readonly #sessions: BrokerSessions;
  readonly #options: ControllerUpkeepOptions;
  readonly #timer: Timer;
  /** When the timer is due. */
  #dueAt = Number.POSITIVE_INFINITY;
  #isWorking = false;
  #stopped = false;

  constructor(
    clock: Clock,
    parts: {
      readonly quorum: MetadataQuorum;
      readonly controller: MetadataController;
      readonly sessions: BrokerSessions;
    },
    options: ControllerUpkeepOptions,
  ) {
    this.#clock = clock;
    this.#quorum = parts.quorum;
    this.#controller = parts.controller;
    this.#sessions = parts.sessions;
    parts.sessions.onDirectoryFull = () => this.#lookWithin(0);
    this.#options = options;
    this.#timer = clock.timer(() => void this.#look());
    parts.quorum.onRole(() => this.#lookWithin(SOON_MS));
    parts.quorum.publisher.subscribe((delta) => {
      if (isNews(delta)) this.#lookWithin(SOON_MS);
    });
  }

  stop(): void {
    this.#stopped = true;
    this.#timer.disarm();
  }

  #lookWithin(delayMs: number): void {
    if (this.#stopped || !this.#quorum.isActive) return;
    const at = this.#clock.now() + delayMs;
    if (at >= this.#dueAt) return;
    this.#dueAt = at;
    this.#timer.arm(delayMs);
  }

  async #look(): Promise<void> {
    this.#dueAt = Number.POSITIVE_INFINITY;
    if (this.#isWorking) return this.#lookWithin(SOON_MS);
    this.#isWorking = true;
    const grown = await this.#controller.submit('growInternalTopics', { movesMax: MOVES_MAX });
    const isGrowing = typeof grown === 'object' && grown.response.moving > 0;
    await this.#leaveFull();
    await this.#balance();
    this.#isWorking = false;
    const isAnyFull = this.#sessions.fullDirectories().length > 0;
    this.#lookWithin(isGrowing ? GROWING_MS : isAnyFull ? SOON_MS : this.#options.checkMs);
  }

  async #leaveFull(): Promise<void> {
    while (!this.#stopped) {
      const directories = this.#sessions.fullDirectories();
      if (directories.length === 0) return;
      const command = { directories, changesMax: LEADERS_MAX };
      const decided = await this.#controller.submit('leaveFullDirectories', command);
      if (typeof decided !== 'object' || !decided.response.isPartial) return;
      await new Promise<void>((resolve) => this.#clock.defer(resolve));
    }
  }

  async #balance(): Promise<void> {
    while (!this.#stopped) {
      const fullDirectories = this.#sessions.fullDirectories();
      const leaderlessOnly = !this.#options.balancesLeaders;
      const command = { fullDirectories, leaderlessOnly, changesMax: LEADERS_MAX };
      const decided = await this.#controller.submit('balanceLeaders', command);
      if (typeof decided !== 'object' || !decided.response.isPartial) return;
      await new Promise<void>((resolve) => this.#clock.defer(resolve));
    }
  }
}

/**
 * Whether something may be better placed now: a broker has changed, more replicas are in sync, or a topic may have come to allow an
 * unclean election.
 */
function isNews({ brokers, configs, partitions }: MetadataDelta): boolean {
  if (brokers.length > 0 || configs.length > 0) return true;
  return partitions.some(({ before, after }) => before && after.isr.length > before.isr.length);
}
