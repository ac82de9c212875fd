import type { Clock, Timer } from '#base/ports';
import type { MetadataImage } from '#metadata/image';
import type { AssignedReplica } from '#metadata/replica-directories';
import { ErrorCode } from '#model/errors';
import type { NodeId, Uuid } from '#model/ids';
import type { LogStore } from '#storage/log-store';
import type { BrokerLifecycle } from './broker-lifecycle.ts';
import type { ControllerLink } from './controller-link.ts';
import type { Partition } from './partition.ts';
import type { ReplicaObserver } from './partition-table.ts';

/** What has been opened within such a time is reported together. */
const GATHER_MS = 50;
const RETRY_MS = 1_000;
/** Between two reports of a replica that alone had everything: another one may have come to lead without it. */
const LAST_MS = 5_000;
const SUBMIT_MS = 5_000;
/** In one request; more follow. */
const REPLICAS_MAX = 1_000;

/**
 * Tells the controller in which of this node's data directories its replicas are (KIP-858), and which directories have failed. A node
 * with one directory has nothing to tell but its failure.
 */
export class DirectoryReports implements ReplicaObserver {
  readonly #id: NodeId;
  readonly #image: MetadataImage;
  readonly #store: LogStore;
  readonly #link: ControllerLink;
  readonly #lifecycle: BrokerLifecycle;
  readonly #timer: Timer;
  readonly #lastTimer: Timer;
  /** By topic id and number; as many as there are partitions here. */
  readonly #unreported = new Map<string, AssignedReplica>();
  /** Refused, since only the directory that is gone had what was acknowledged: none of them can be in sync before it is told again. */
  readonly #last = new Map<string, AssignedReplica>();
  #isReporting = false;
  /** Something has come up since the report that is under way began. */
  #isDueAgain = false;
  #stopped = false;

  constructor(
    clock: Clock,
    parts: {
      readonly id: NodeId;
      readonly image: MetadataImage;
      readonly store: LogStore;
      readonly link: ControllerLink;
      readonly lifecycle: BrokerLifecycle;
    },
  ) {
    this.#id = parts.id;
    this.#image = parts.image;
    this.#store = parts.store;
    this.#link = parts.link;
    this.#lifecycle = parts.lifecycle;
    this.#timer = clock.timer(() => void this.#report());
    this.#lastTimer = clock.timer(() => this.#tellAgain());
  }

  opened({ topicId, index, log }: Partition): void {
    const directory = log === undefined ? undefined : this.#store.directoryIdOf(log);
    const state = this.#image.topicById(topicId)?.partitions[index];
    if (directory === undefined || state === undefined) return;
    const replica = { directory, topicId, partition: index };
    const name = nameOf(replica);
    this.#last.delete(name);
    if (state.directories[state.replicas.indexOf(this.#id)] === directory) return;
    this.#unreported.set(name, replica);
    this.#timer.arm(GATHER_MS);
  }

  closing({ topicId, index }: Partition): void {
    const name = nameOf({ topicId, partition: index });
    this.#unreported.delete(name);
    this.#last.delete(name);
  }

  /** A directory has gone offline. */
  directoryFailed(): void {
    this.#timer.arm(0);
  }

  stop(): void {
    this.#stopped = true;
    this.#timer.disarm();
    this.#lastTimer.disarm();
  }

  #tellAgain(): void {
    for (const [name, replica] of this.#last) this.#unreported.set(name, replica);
    this.#last.clear();
    this.#timer.arm(0);
  }

  async #report(): Promise<void> {
    if (this.#stopped) return;
    if (this.#isReporting) {
      this.#isDueAgain = true;
      return;
    }
    this.#isReporting = true;
    this.#isDueAgain = false;
    const isDone = (await this.#reportFailed()) && (await this.#reportReplicas());
    this.#isReporting = false;
    if (this.#stopped) return;
    if (!isDone) this.#timer.arm(RETRY_MS);
    else if (this.#isDueAgain || this.#unreported.size > 0) this.#timer.arm(0);
  }

  async #reportFailed(): Promise<boolean> {
    const registered = this.#lifecycle.registered;
    if (registered === undefined) return false;
    const online: ReadonlySet<Uuid> = new Set(this.#store.directoryIds);
    const failed = registered.directories.filter((directory) => !online.has(directory));
    if (failed.length === 0) return true;
    const { brokerEpoch } = registered;
    const command = { id: this.#id, brokerEpoch, directories: failed };
    const answer = await this.#link.submit('failDirectories', command, SUBMIT_MS);
    // Refused, it was of an earlier registration of this node.
    return typeof answer === 'object' && answer.errorCode === ErrorCode.None;
  }

  async #reportReplicas(): Promise<boolean> {
    const replicas = [...this.#unreported.values()].slice(0, REPLICAS_MAX);
    if (replicas.length === 0) return true;
    const { brokerEpoch } = this.#lifecycle;
    const answer = await this.#link.submit('assignReplicas', { id: this.#id, brokerEpoch, replicas }, SUBMIT_MS);
    if (typeof answer !== 'object' || answer.errorCode !== ErrorCode.None) return false;
    for (const [place, replica] of replicas.entries()) {
      const name = nameOf(replica);
      // It may have moved, or gone, meanwhile.
      if (this.#unreported.get(name) !== replica) continue;
      // Also what was refused for another reason: the topic is gone, or another report says better.
      this.#unreported.delete(name);
      if (answer.replicas[place]?.errorCode === ErrorCode.IneligibleReplica) this.#last.set(name, replica);
    }
    if (this.#last.size > 0) this.#lastTimer.arm(LAST_MS);
    return true;
  }
}

function nameOf({ topicId, partition }: { readonly topicId: Uuid; readonly partition: number }): string {
  return `${topicId}-${partition}`;
}
