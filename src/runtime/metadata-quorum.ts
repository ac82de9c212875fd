/**
 * The metadata log of a quorum with one voter: an entry is committed when it is on this disk. Committed entries are replayed into the
 * image, published, and only then confirmed, all in the order of the log.
 */
import { assert } from '#base/assert';
import { Fifo } from '#base/fifo';
import type { Disk, IoError, Ports, Timer } from '#base/ports';
import { bootstrap } from '#metadata/brokers';
import { MetadataImage } from '#metadata/image';
import { RecordCodec } from '#metadata/record-codec';
import type { MetadataRecord } from '#metadata/records';
import type { Voter } from '#model/voter';
import { RaftLog, type RecoveredRaftLog } from '#storage/raft-log';
import { MetadataPublisher } from './metadata-publisher.ts';

export interface MetadataQuorumOptions {
  /** This node, the only voter. Its directory is the one that holds the log. */
  readonly voter: Voter;
  /** Recorded at first start, see cluster.target.size. */
  readonly targetSize: number;
  /** A snapshot takes the place of the log after so many bytes of records, */
  readonly snapshotBytes: number;
  /** or so long after the first record that it lacks; 0 for never. */
  readonly snapshotIntervalMs: number;
  /** The disk failed: nothing is committed any more. Called once; the process should end. */
  readonly onFailed: (failure: IoError) => void;
}

/** The folder of the metadata log within the data directory. */
export const METADATA_FOLDER = 'metadata';

/**
 * Confirms a proposal once it is committed, replayed and published. 'full': the disk has no room, and nothing was done. 'stopped':
 * it may be committed or not.
 */
export type Proposed = (result: { readonly index: number } | 'full' | 'stopped') => void;

/** Encoded in one go when a snapshot is written: about a millisecond's work. */
const SNAPSHOT_SLICE_RECORDS = 500;

interface Proposal {
  readonly index: number;
  readonly records: readonly MetadataRecord[];
  readonly done: Proposed;
}

export class MetadataQuorum {
  readonly image: MetadataImage;
  readonly publisher: MetadataPublisher;
  /** Of this process's leadership: higher than that of any process before it. */
  readonly epoch: number;
  readonly #log: RaftLog;
  readonly #codec: RecordCodec;
  readonly #ports: Pick<Ports, 'clock' | 'logger'>;
  readonly #options: MetadataQuorumOptions;
  readonly #snapshotTimer: Timer;
  /** Appended, not yet on disk. Its bound is that of the callers: the controller proposes one at a time. */
  readonly #proposals = new Fifo<Proposal>();
  #appliedEpoch: number;
  #bytesSinceSnapshot = 0;
  #snapshotting: Promise<void> | undefined;
  #stopped = false;

  private constructor(
    ports: Pick<Ports, 'clock' | 'logger'>,
    options: MetadataQuorumOptions,
    log: RaftLog,
    codec: RecordCodec,
    image: MetadataImage,
    epoch: number,
  ) {
    this.#ports = ports;
    this.#options = options;
    this.#log = log;
    this.#codec = codec;
    this.image = image;
    this.publisher = new MetadataPublisher(image);
    this.epoch = epoch;
    this.#appliedEpoch = log.lastEpoch;
    this.#snapshotTimer = ports.clock.timer(() => this.#startSnapshot());
  }

  /**
   * Recovers the log and leads in a new epoch; on an empty disk it makes a new cluster. Rejects with RaftLogError or
   * MalformedRecordError when the log cannot be trusted, with IoError when it cannot be read or written.
   */
  static async open(
    ports: Pick<Ports, 'clock' | 'random' | 'codecs' | 'logger'>,
    disk: Disk,
    options: MetadataQuorumOptions,
  ): Promise<MetadataQuorum> {
    const { id, directoryId } = options.voter;
    const crc32c = ports.codecs.crc32c.bind(ports.codecs);
    const { log, recovered } = await RaftLog.open(disk, { crc32c, folder: METADATA_FOLDER, directoryId });
    try {
      const codec = new RecordCodec();
      const image = new MetadataImage();
      const logBytes = replayRecovered(recovered, codec, image);
      const epoch = recovered.hardState.epoch + 1;
      await log.saveHardState({ epoch, votedFor: { id, directoryId } });
      const quorum = new MetadataQuorum(ports, options, log, codec, image, epoch);
      await quorum.#begin(
        bootstrap({ image, random: ports.random, given: new Map() }, bootstrapCommand(options)).records,
      );
      quorum.#countBytes(logBytes);
      return quorum;
    } catch (failure) {
      await log.close();
      throw failure;
    }
  }

  get lastIndex(): number {
    return this.#log.lastIndex;
  }

  /** Of all segments on disk. */
  get logSizeBytes(): number {
    return this.#log.sizeBytes;
  }

  get snapshotIndex(): number {
    return this.#log.snapshotIndex;
  }

  /**
   * Appends the records as one atomic entry; `done` runs in a later turn. The records must hold against the image and everything
   * proposed before. Proposals that arrive during a write share the next write and sync.
   */
  propose(records: readonly MetadataRecord[], done: Proposed): void {
    assert(records.length > 0, 'an entry has records');
    if (this.#stopped) {
      this.#ports.clock.defer(() => done('stopped'));
      return;
    }
    const entry = { index: this.#log.lastIndex + 1, epoch: this.epoch, payload: this.#codec.encode(records) };
    this.#proposals.push({ index: entry.index, records, done });
    this.#log.append([entry], (failure) => {
      if (this.#stopped) return;
      if (failure?.code === 'ENOSPC') this.#proposals.shift().done('full');
      else if (failure !== undefined) this.#fail(failure);
      else this.#commit(this.#proposals.shift(), entry.payload.length);
    });
  }

  /** Stops: what is not confirmed yet is answered 'stopped' within the call. The disk is quiet when it resolves. */
  async close(): Promise<void> {
    this.#stop();
    await this.#snapshotting;
    await this.#log.close();
  }

  /** Before anyone else can propose. */
  #begin(records: readonly MetadataRecord[]): Promise<void> {
    if (records.length === 0) {
      this.publisher.publish();
      return Promise.resolve();
    }
    const entry = { index: this.#log.lastIndex + 1, epoch: this.epoch, payload: this.#codec.encode(records) };
    return new Promise((resolve, reject) => {
      this.#log.append([entry], (failure) => {
        if (failure !== undefined) return reject(failure);
        this.#apply(records, entry.index);
        this.#countBytes(entry.payload.length);
        resolve();
      });
    });
  }

  #commit({ index, records, done }: Proposal, payloadBytes: number): void {
    this.#apply(records, index);
    done({ index });
    this.#countBytes(payloadBytes);
  }

  #apply(records: readonly MetadataRecord[], index: number): void {
    for (const record of records) this.image.replay(record, index);
    this.#appliedEpoch = this.epoch;
    this.publisher.publish();
  }

  #countBytes(payloadBytes: number): void {
    if (payloadBytes === 0) return;
    const { snapshotBytes, snapshotIntervalMs } = this.#options;
    if (this.#bytesSinceSnapshot === 0 && snapshotIntervalMs > 0) this.#snapshotTimer.arm(snapshotIntervalMs);
    this.#bytesSinceSnapshot += payloadBytes;
    if (this.#bytesSinceSnapshot >= snapshotBytes) this.#startSnapshot();
  }

  #startSnapshot(): void {
    if (this.#snapshotting !== undefined || this.#stopped || this.image.index <= this.#log.snapshotIndex) return;
    this.#snapshotTimer.disarm();
    this.#bytesSinceSnapshot = 0;
    this.#snapshotting = this.#writeSnapshot().then(
      () => {
        this.#snapshotting = undefined;
      },
      (failure: IoError) => {
        this.#snapshotting = undefined;
        if (failure.code !== 'ENOSPC') return this.#fail(failure);
        this.#ports.logger.warn({ failure: failure.message }, 'no room for a snapshot of the metadata log');
      },
    );
  }

  /** In slices between other work: what the records describe is fixed at the start. */
  async #writeSnapshot(): Promise<void> {
    const { index } = this.image;
    const records = this.image.snapshot();
    const writer = await this.#log.beginSnapshot(index, this.#appliedEpoch);
    try {
      let slice = take(records, SNAPSHOT_SLICE_RECORDS);
      while (slice.length > 0 && !this.#stopped) {
        await writer.append(this.#codec.encode(slice));
        slice = take(records, SNAPSHOT_SLICE_RECORDS);
      }
      if (this.#stopped) return await writer.abandon();
      await this.#log.compact(writer);
    } catch (failure) {
      await writer.abandon();
      throw failure;
    }
    this.#ports.logger.info({ index }, 'metadata log compacted into a snapshot');
  }

  #fail(failure: IoError): void {
    if (this.#stopped) return;
    this.#stop();
    this.#options.onFailed(failure);
  }

  #stop(): void {
    this.#stopped = true;
    this.#snapshotTimer.disarm();
    for (const { done } of this.#proposals.drain()) done('stopped');
  }
}

function bootstrapCommand({ voter, targetSize }: MetadataQuorumOptions) {
  return { voters: [voter], targetSize };
}

/** Returns the payload bytes of the entries behind the snapshot. With one voter all that is on disk is committed. */
function replayRecovered(recovered: RecoveredRaftLog, codec: RecordCodec, image: MetadataImage): number {
  const { snapshot, entries } = recovered;
  for (const chunk of snapshot?.chunks ?? []) {
    for (const record of codec.decode(chunk)) image.replay(record, snapshot?.index ?? 0);
  }
  let payloadBytes = 0;
  for (const { index, payload } of entries) {
    for (const record of codec.decode(payload)) image.replay(record, index);
    payloadBytes += payload.length;
  }
  return payloadBytes;
}

function take<T>(from: Iterator<T>, countMax: number): readonly T[] {
  const items: T[] = [];
  while (items.length < countMax) {
    const { done, value } = from.next();
    if (done === true) break;
    items.push(value);
  }
  return items;
}
