import { assert } from '#base/assert';
import type { Disk } from '#base/ports';
import type { MetaProperties } from '#log/checkpoint-files';
import { type NodeId, type Uuid, ZERO_UUID } from '#model/ids';
import { NO_PLANTED_BUGS, type PlantedBugs } from '#model/planted-bugs';
import {
  claimDirectory,
  type DirectoryContent,
  DirectoryError,
  markClean,
  openDirectory,
  writeMeta,
} from './data-directory.ts';
import { codeOf, isTransient } from './files.ts';
import { LogDirectory, type StoragePorts } from './log-directory.ts';

export interface DataDirectoriesOptions {
  readonly nodeId: NodeId;
  /** A data directory with less free room takes no appends. */
  readonly minFreeBytes: number;
  /** More logs than this that wait for their sync share a record of the journal; JOURNAL_ABOVE if not given. */
  readonly journalAbove?: number;
  /** Per data directory, twice; JOURNAL_FILE_BYTES if not given. */
  readonly journalFileBytes?: number;
  readonly planted?: PlantedBugs;
  /** The first data directory, which also holds the metadata log, or the last one has gone offline. */
  readonly onAllOffline: (reason: string) => void;
  /** One has gone offline, and others are left. */
  readonly onOffline: () => void;
  /** One that was full has room. */
  readonly onRoom: () => void;
}

/** A data directory, with whose it is. */
interface Member {
  readonly directory: LogDirectory;
  meta: MetaProperties;
}

const JOURNAL_ABOVE = 8;
const JOURNAL_FILE_BYTES = 64 * 1024 * 1024;

/** The data directories of a node: whose they are, and which of them can be used. */
export class DataDirectories {
  readonly #ports: StoragePorts;
  readonly #options: DataDirectoriesOptions;
  readonly #members: Member[] = [];
  /** Of each directory. */
  readonly #cleanBrokerEpochs = new Set<number | undefined>();
  #isPartial = false;

  constructor(ports: StoragePorts, options: DataDirectoriesOptions) {
    this.#ports = ports;
    this.#options = options;
  }

  get all(): readonly LogDirectory[] {
    return this.#members.map(({ directory }) => directory);
  }

  /** Of those that are not offline. */
  get ids(): readonly Uuid[] {
    return this.#members.filter(({ directory }) => !directory.isOffline).map(({ meta }) => meta.directoryId);
  }

  /** Whose the first one is, which also holds the metadata log. */
  get first(): MetaProperties {
    const [first] = this.#members;
    assert(first !== undefined, 'the store is open');
    return first.meta;
  }

  /** One could not be read at the start: nobody knows what is on it. */
  get isPartial(): boolean {
    return this.#isPartial;
  }

  /** See LogStore. */
  get cleanBrokerEpoch(): number | undefined {
    const [epoch] = this.#cleanBrokerEpochs;
    return this.#isPartial || this.#cleanBrokerEpochs.size > 1 ? undefined : epoch;
  }

  get offlineCount(): number {
    return this.#members.filter(({ directory }) => directory.isOffline).length;
  }

  idOf(wanted: LogDirectory): Uuid | undefined {
    return this.#members.find(({ directory }) => directory === wanted)?.meta.directoryId;
  }

  /**
   * Locks the directory and has its content loaded. One that cannot be used is offline; if it is the first one this rejects, as
   * LogStore.open does.
   */
  async open(
    disk: Disk,
    isFirst: boolean,
    load: (directory: LogDirectory, content: DirectoryContent) => Promise<void>,
  ): Promise<void> {
    const meta = isFirst ? await claimDirectory(this.#ports, disk, this.#options.nodeId) : await this.#claim(disk);
    if (meta === undefined) return;
    try {
      const content = await openDirectory(this.#ports, disk);
      this.#cleanBrokerEpochs.add(content.cleanBrokerEpoch);
      const directory = this.#opened(disk, meta.directoryId, content);
      this.#members.push({ directory, meta });
      await load(directory, content);
    } catch (failure) {
      if (isFirst || (codeOf(failure) === undefined && !(failure instanceof DirectoryError))) throw failure;
      this.#openedOffline(disk, meta, failure as Error);
    }
  }

  /** See LogStore. */
  async setClusterId(clusterId: string): Promise<void> {
    for (const member of this.#members) {
      const { directory, meta } = member;
      if (directory.isOffline || meta.clusterId === clusterId) continue;
      if (meta.clusterId !== undefined) {
        throw new DirectoryError(
          'foreign',
          `${directory.disk.path} belongs to cluster ${meta.clusterId}, not ${clusterId}`,
        );
      }
      member.meta = { ...meta, clusterId };
      await writeMeta(directory.disk, member.meta);
    }
  }

  /** After their logs. */
  async close(brokerEpoch: number): Promise<void> {
    for (const { directory } of this.#members) {
      try {
        await directory.saveOffsets();
        await directory.close();
        if (!directory.isOffline) await markClean(directory.disk, brokerEpoch);
      } catch (failure) {
        // The next start scans what this one could not vouch for.
        if (!isTransient(failure) && codeOf(failure) === undefined) throw failure;
        this.#ports.logger.error({ directory: directory.disk.path, reason: String(failure) }, 'not shut down cleanly');
      }
      await directory.disk.close();
    }
  }

  /** Undefined: the directory is offline. */
  async #claim(disk: Disk): Promise<MetaProperties | undefined> {
    try {
      return await claimDirectory(this.#ports, disk, this.#options.nodeId);
    } catch (failure) {
      const isOthers =
        codeOf(failure) === 'ELOCKED' || (failure instanceof DirectoryError && failure.code === 'foreign');
      if (codeOf(failure) === undefined || isOthers) throw failure;
      // Its own id is on it, and is not told to anyone while it is offline.
      const meta = { clusterId: undefined, directoryId: ZERO_UUID, nodeId: this.#options.nodeId };
      this.#openedOffline(disk, meta, failure as Error);
      return undefined;
    }
  }

  #opened(
    disk: Disk,
    directoryId: Uuid,
    { journalGeneration, savedNames, wasCompacted }: DirectoryContent,
  ): LogDirectory {
    const { minFreeBytes, journalFileBytes = JOURNAL_FILE_BYTES, journalAbove = JOURNAL_ABOVE } = this.#options;
    const { planted = NO_PLANTED_BUGS, onRoom } = this.#options;
    return new LogDirectory(this.#ports, disk, directoryId, {
      minFreeBytes,
      journalFileBytes,
      journalAbove,
      journalGeneration,
      savedNames,
      wasCompacted,
      planted,
      onOffline: (_directory, reason) => this.#wentOffline(reason),
      onRoom,
    });
  }

  #openedOffline(disk: Disk, meta: MetaProperties, failure: Error): void {
    this.#isPartial = true;
    let member = this.#members.find(({ directory }) => directory.disk === disk);
    if (member === undefined) {
      const directory = new LogDirectory(this.#ports, disk, meta.directoryId, {
        minFreeBytes: this.#options.minFreeBytes,
        journalFileBytes: JOURNAL_FILE_BYTES,
        journalAbove: JOURNAL_ABOVE,
        planted: NO_PLANTED_BUGS,
        journalGeneration: 0,
        savedNames: new Set(),
        wasCompacted: false,
        onOffline: () => {},
        onRoom: () => {},
      });
      member = { directory, meta };
      this.#members.push(member);
    }
    member.directory.fail(failure.message);
  }

  #wentOffline(reason: string): void {
    const alive = this.#members.filter(({ directory }) => !directory.isOffline);
    if (alive.length === 0 || this.#members[0]?.directory.isOffline) this.#options.onAllOffline(reason);
    else this.#options.onOffline();
  }
}
