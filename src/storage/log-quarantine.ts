import type { Logger } from '#base/ports';
import { partitionName, type Uuid } from '#model/ids';
import type { LoadPoint, Quarantined } from './log-loader.ts';
import type { LogRemovals } from './log-removals.ts';

/** Logs that are there and not served: damaged where they were synced, or not to be identified. Their files stay as they are. */
export class LogQuarantine {
  readonly #logger: Logger;
  readonly #removals: LogRemovals;
  readonly #logs: Quarantined[] = [];

  constructor(logger: Logger, removals: LogRemovals) {
    this.#logger = logger;
    this.#removals = removals;
  }

  get logs(): readonly Quarantined[] {
    return this.#logs;
  }

  /** What its directory's checkpoints say of the log stays as it is. */
  add(log: Quarantined, offsets: Pick<LoadPoint, 'recoveryPoint' | 'logStartOffset' | 'cleanedOffset'>): void {
    const { recoveryPoint, logStartOffset, cleanedOffset } = offsets;
    this.#logs.push(log);
    const { topic, partition, folder, reason, directory } = log;
    directory.keepOffsets({ topic, partition, recoveryPoint, logStartOffset, cleanedOffset });
    this.#logger.error({ directory: directory.disk.path, log: folder, reason }, 'a log is quarantined: not served');
  }

  /** See LogStore.isDamaged. */
  isDamaged(topic: string, topicId: Uuid, partition: number): boolean {
    const known = this.#find(topic, partition);
    return known !== undefined && !known.directory.isOffline && (known.topicId ?? topicId) === topicId;
  }

  /**
   * Whether a log of that name can be made: one that was removed is out of the way. A quarantined one of this very topic keeps its place,
   * one of another topic is set aside.
   */
  async makeWay(topic: string, topicId: Uuid, partition: number): Promise<boolean> {
    const leaving = this.#removals.leaving(partitionName(topic, partition));
    if (leaving !== undefined && !(await this.#removals.move(leaving))) return false;
    const known = this.#find(topic, partition);
    if (known === undefined) return true;
    if (known.topicId === undefined || known.topicId === topicId || known.directory.isOffline) return false;
    return this.#setAside(known);
  }

  /** Whether a log of that name can be made in the place of a damaged one, which is kept under another name. */
  async replace(topic: string, partition: number): Promise<boolean> {
    const known = this.#find(topic, partition);
    if (known === undefined) return true;
    if (!(await this.#setAside(known))) return false;
    this.#logger.warn({ log: known.folder }, 'a damaged log is set aside: the replica begins anew');
    return true;
  }

  #find(topic: string, partition: number): Quarantined | undefined {
    return this.#logs.find((log) => log.topic === topic && log.partition === partition);
  }

  async #setAside(known: Quarantined): Promise<boolean> {
    if (!(await this.#removals.move({ ...known, deleteAfterMs: undefined }))) return false;
    this.#logs.splice(this.#logs.indexOf(known), 1);
    return true;
  }
}
