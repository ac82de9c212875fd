import type { Clock, Logger, Timer } from '#base/ports';
import { isFault } from '#metadata/decision';
import type { Broker as Registration } from '#metadata/records';
import { ErrorCode, errorName } from '#model/errors';
import type { NodeId, Uuid } from '#model/ids';
import type { ControllerHost } from './controller-host.ts';
import type { ControllerLink } from './controller-link.ts';
import { HEARTBEAT, type Heartbeat, type HeartbeatAnswer } from './controller-protocol.ts';
import type { MetadataQuorum } from './metadata-quorum.ts';

export interface BrokerLifecycleOptions {
  readonly heartbeatMs: number;
  /** This process, without what the controller adds. */
  readonly registration: Omit<Registration, 'brokerEpoch' | 'fenced'>;
  /** Of the process that was stopped cleanly before this one, if the disks say so (KIP-966). */
  readonly cleanBrokerEpoch?: number | undefined;
  /** See `clusterConfigsOf`. */
  readonly clusterConfigs: Heartbeat['clusterConfigs'] | undefined;
  /** Log directories of this node that have no room now. */
  fullDirectories(): readonly Uuid[];
  /** It cannot be a broker of this cluster: a sentence for the user. */
  readonly onRefused: (reason: string) => void;
}

const REGISTER_TRY_MS = 10_000;
/** An answer that takes longer is worth nothing; the next heartbeat is another try. */
const HEARTBEAT_TRY_MS = 1_000;

/** A broker's way into its cluster and through it: registers this process, then tells the active controller that it lives. */
export class BrokerLifecycle {
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #quorum: MetadataQuorum;
  readonly #link: ControllerLink;
  readonly #host: ControllerHost;
  readonly #options: BrokerLifecycleOptions;
  readonly #timer: Timer;
  #isBeating = false;
  #isRegistering = false;
  #wantsWork = false;
  #stopped = false;

  constructor(
    ports: { readonly clock: Clock; readonly logger: Logger },
    parts: { readonly quorum: MetadataQuorum; readonly link: ControllerLink; readonly host: ControllerHost },
    options: BrokerLifecycleOptions,
  ) {
    this.#clock = ports.clock;
    this.#logger = ports.logger;
    this.#quorum = parts.quorum;
    this.#link = parts.link;
    this.#host = parts.host;
    this.#options = options;
    this.#timer = ports.clock.timer(() => void this.#beat());
    parts.quorum.onRole(() => {
      // A new controller hears of this broker at once.
      if (this.#isBeating && parts.quorum.leaderId !== undefined) this.#timer.arm(0);
    });
  }

  get #id(): NodeId {
    return this.#options.registration.id;
  }

  get #incarnation(): Uuid {
    return this.#options.registration.incarnation;
  }

  /** As this node's image has it; undefined while it is not registered, or another process is in its place. */
  get registered(): Registration | undefined {
    const broker = this.#quorum.image.brokers.get(this.#id);
    return broker?.incarnation === this.#incarnation ? broker : undefined;
  }

  /** Of this process; -1 while it is not registered. */
  get brokerEpoch(): number {
    return this.registered?.brokerEpoch ?? -1;
  }

  /** Tries until it is registered, and its image says so. Resolves to why it never will be. */
  async register(): Promise<string | undefined> {
    this.#isRegistering = true;
    const refusal = await this.#register();
    this.#isRegistering = false;
    return refusal;
  }

  /** From now on it tells the controller that it lives; `serve` says that it wants clients too. */
  beginHeartbeats(): void {
    if (this.#stopped) return;
    this.#isBeating = true;
    this.#timer.arm(0);
  }

  wantWork(): void {
    this.#wantsWork = true;
    if (this.#isBeating) this.#timer.arm(0);
  }

  stop(): void {
    this.#stopped = true;
    this.#isBeating = false;
    this.#timer.disarm();
  }

  async #register(): Promise<string | undefined> {
    const { registration, cleanBrokerEpoch } = this.#options;
    let said = '';
    while (!this.#stopped) {
      const clusterId = this.#quorum.image.cluster?.id;
      if (clusterId !== undefined) {
        const replaces = this.#quorum.image.brokers.get(this.#id)?.brokerEpoch ?? -1;
        const clean = cleanBrokerEpoch === undefined ? {} : { cleanBrokerEpoch };
        const command = { clusterId, broker: registration, replaces, ...clean };
        const answer = await this.#link.submit('registerBroker', command, REGISTER_TRY_MS);
        if (typeof answer === 'object') {
          if (!isFault(answer)) {
            if (this.registered !== undefined) return undefined;
          } else if (answer.errorCode === ErrorCode.StaleBrokerEpoch) {
            // Its image is behind: an earlier process of this node registered last.
          } else if (answer.errorCode !== ErrorCode.DuplicateBrokerRegistration) {
            return `${errorName(answer.errorCode)}: ${answer.message}`;
          } else if (said !== answer.message) {
            // The session of the other process may end; if it does not, both go on, and this one waits.
            this.#logger.warn({}, `this node waits with its registration: ${answer.message}`);
            said = answer.message;
          }
        }
      }
      await new Promise<void>((resolve) => this.#clock.timer(() => resolve()).arm(this.#options.heartbeatMs));
    }
    return undefined;
  }

  async #beat(): Promise<void> {
    if (!this.#isBeating) return;
    const { heartbeatMs, clusterConfigs } = this.#options;
    this.#timer.arm(heartbeatMs);
    const { brokerEpoch } = this;
    if (brokerEpoch < 0) {
      this.#replaced();
      return;
    }
    const fullDirectories = this.#options.fullDirectories();
    const heartbeat: Heartbeat = {
      id: this.#id,
      brokerEpoch,
      incarnation: this.#incarnation,
      appliedIndex: this.#quorum.appliedIndex,
      wantsWork: this.#wantsWork,
      ...(fullDirectories.length > 0 && { fullDirectories }),
      ...(clusterConfigs !== undefined && { clusterConfigs }),
    };
    const answer = this.#quorum.isActive
      ? this.#host.heartbeat(heartbeat)
      : ((await this.#link.ask(HEARTBEAT, heartbeat, HEARTBEAT_TRY_MS)) as HeartbeatAnswer | undefined);
    if (answer?.errorCode === ErrorCode.NotController) this.#quorum.doubtLeader();
  }

  /** Its image says so: it was unregistered, and comes back; or another process has its id. */
  #replaced(): void {
    const other = this.#quorum.image.brokers.get(this.#id);
    if (other !== undefined) {
      this.stop();
      this.#options.onRefused(`another process is registered under the id ${this.#id} of this node`);
      return;
    }
    if (this.#isRegistering) return;
    this.#logger.warn({}, 'this node was unregistered, and registers again');
    void this.register().then((refusal) => {
      if (refusal !== undefined && !this.#stopped) this.#options.onRefused(refusal);
    });
  }
}
