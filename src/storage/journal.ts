import { assert } from '#base/assert';
import type { Codecs, Disk, File, IoError } from '#base/ports';
import type { CommitMember } from './commit-rounds.ts';
import { eachOf, isTransient, syncFile, writeAt } from './files.ts';
import { BLOCK_BYTES, blocksOf, encodeFileHeader, encodeRecord, type JournalEntry } from './journal-format.ts';
import { JOURNAL_FILES } from './journal-recovery.ts';

export interface JournalOptions {
  /** The files are used in turn; one that has reached this size takes no more records until its logs are synced. */
  readonly fileBytes: number;
  /** Of the next file that is begun: above all that recovery has seen. */
  readonly generation: number;
  /** The disk is not to be trusted any more. */
  readonly onFailure: (failure: Error) => void;
}

/** Syncs of one file's logs that run side by side when it is emptied. */
const RETIRE_PARALLEL = 2;

interface Slot {
  readonly file: File;
  generation: number;
  sequence: number;
  sizeBytes: number;
  /** Whose bytes lie here, live: replayed if the node dies now. */
  readonly members: Set<CommitMember>;
  retiring: Promise<void> | undefined;
}

/**
 * One data directory's journal: bytes that logs have written and not synced, in one file that is synced at once for all of them.
 * Two files take turns: while one fills, the logs in the other are synced; then its header gets a new generation, and what it
 * holds will never be replayed. At most two files of `fileBytes` and a record each.
 */
export class Journal {
  readonly #disk: Disk;
  readonly #crc32c: Codecs['crc32c'];
  readonly #options: JournalOptions;
  #slots: readonly [Slot, Slot] | undefined;
  #current = 0;
  #generation: number;
  #preparing: Promise<void> | undefined;
  #writing = false;
  /** Those that empty the file that is being written. */
  #afterWrite: (() => void)[] = [];
  #closed = false;

  constructor(disk: Disk, codecs: Codecs, options: JournalOptions) {
    this.#disk = disk;
    this.#crc32c = codecs.crc32c.bind(codecs);
    this.#options = options;
    this.#generation = options.generation;
  }

  /** Whether a record is taken now. */
  get isReady(): boolean {
    if (this.#slots === undefined || this.#writing || this.#closed) return false;
    const slot = this.#slots[this.#current] as Slot;
    return slot.retiring === undefined && (slot.sizeBytes < this.#options.fileBytes || this.#spare !== undefined);
  }

  get recordedBytes(): number {
    return this.#slots?.reduce((sum, { sizeBytes }) => sum + sizeBytes - BLOCK_BYTES, 0) ?? 0;
  }

  /** Makes the files, in the background: most directories never need them. */
  prepare(): void {
    if (this.#slots !== undefined || this.#closed) return;
    this.#preparing ??= this.#create().finally(() => {
      this.#preparing = undefined;
    });
  }

  /** `done(true)`: the entries are durable; false: try another way. The entries' bytes are lent until then. */
  append(entries: readonly JournalEntry[], members: readonly CommitMember[], done: (written: boolean) => void): void {
    assert(this.isReady && this.#slots !== undefined, 'asked only when ready');
    if ((this.#slots[this.#current] as Slot).sizeBytes >= this.#options.fileBytes) this.#turn();
    const slot = this.#slots[this.#current] as Slot;
    const chunks = encodeRecord(entries, slot.generation, slot.sequence, this.#crc32c);
    const sizeBytes = blocksOf(chunks.reduce((sum, { length }) => sum + length, 0));
    // Before the write: it may reach the disk even if its completion never runs.
    for (const member of members) slot.members.add(member);
    this.#writing = true;
    slot.file.write(chunks, slot.sizeBytes, (failure) => {
      if (failure !== undefined) return this.#wrote(done, failure, !isTransient(failure));
      slot.file.sync((syncFailure) => {
        if (syncFailure === undefined) {
          slot.sizeBytes += sizeBytes;
          slot.sequence += 1;
        }
        this.#wrote(done, syncFailure, true);
      });
    });
  }

  /** Begins to sync the logs of the filling file, so that it can be used again. */
  checkpoint(): void {
    if (this.#slots === undefined || this.#writing || this.#closed) return;
    const slot = this.#slots[this.#current] as Slot;
    if (slot.sizeBytes > BLOCK_BYTES && this.#spare !== undefined) this.#turn();
  }

  /**
   * Resolves when no record holds bytes of `member`, or the directory has failed: unless it is offline then, the log may be cut, or its name
   * be used again. It records nothing meanwhile.
   */
  async release(member: CommitMember): Promise<void> {
    for (const slot of this.#slots ?? []) if (slot.members.has(member)) await this.#retire(slot);
  }

  /** Everything recorded is durable in its place, or the directory has failed. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#preparing;
    for (const slot of this.#slots ?? []) {
      if (slot.members.size > 0) await this.#retire(slot);
      await slot.file.close();
    }
    this.#slots = undefined;
  }

  get #spare(): Slot | undefined {
    const other = this.#slots?.[1 - this.#current];
    return other?.sizeBytes === BLOCK_BYTES && other.retiring === undefined ? other : undefined;
  }

  #turn(): void {
    const slot = this.#slots?.[this.#current] as Slot;
    this.#current = 1 - this.#current;
    void this.#retire(slot);
  }

  /** Never rejects: a failure takes the directory offline. */
  #retire(slot: Slot): Promise<void> {
    slot.retiring ??= this.#empty(slot).then(
      () => {
        slot.retiring = undefined;
      },
      // The slot stays as it is: should the node come back, its records are replayed.
      (failure: Error) => this.#options.onFailure(failure),
    );
    return slot.retiring;
  }

  async #empty(slot: Slot): Promise<void> {
    // A record that is being written belongs to those to be emptied.
    if (this.#writing && this.#slots?.[this.#current] === slot) {
      await new Promise<void>((resolve) => this.#afterWrite.push(resolve));
    }
    await eachOf([...slot.members], RETIRE_PARALLEL, synced);
    // Both files may be emptied at once.
    this.#generation += 1;
    const generation = this.#generation;
    await writeAt(slot.file, [encodeFileHeader(generation, this.#crc32c)], 0);
    await syncFile(slot.file);
    slot.members.clear();
    slot.generation = generation;
    slot.sequence = 0;
    slot.sizeBytes = BLOCK_BYTES;
  }

  async #create(): Promise<void> {
    const files: File[] = [];
    try {
      const slots: Slot[] = [];
      for (const name of JOURNAL_FILES) {
        const file = await this.#disk.open(name, 'write');
        files.push(file);
        this.#generation += 1;
        await writeAt(file, [encodeFileHeader(this.#generation, this.#crc32c)], 0);
        await syncFile(file);
        slots.push({
          file,
          generation: this.#generation,
          sequence: 0,
          sizeBytes: BLOCK_BYTES,
          members: new Set(),
          retiring: undefined,
        });
      }
      await this.#disk.syncDir('');
      this.#slots = [slots[0] as Slot, slots[1] as Slot];
    } catch (failure) {
      // It is tried again whenever many logs wait.
      await Promise.allSettled(files.map((file) => file.close()));
      if (!isTransient(failure)) this.#options.onFailure(failure as Error);
    }
  }

  #wrote(done: (written: boolean) => void, failure: IoError | undefined, isFatal: boolean): void {
    this.#writing = false;
    const waiting = this.#afterWrite;
    this.#afterWrite = [];
    for (const go of waiting) go();
    if (failure !== undefined && isFatal) this.#options.onFailure(failure);
    done(failure === undefined);
  }
}

function synced(member: CommitMember): Promise<void> {
  return new Promise((resolve, reject) => {
    member.sync((isDurable) => (isDurable ? resolve() : reject(new Error('a journaled log could not be synced'))));
  });
}
