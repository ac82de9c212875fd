import type { Clock } from '#base/ports';
import type { Journal } from './journal.ts';
import type { JournalEntry } from './journal-format.ts';

/** A log as the commit rounds see it. */
export interface CommitMember {
  /** Syncs everything written so far, then says whether it is durable in its files; if not, the directory has failed. */
  sync(done: (isDurable: boolean) => void): void;
  /** Adds what is written and not yet durable to `into`, until it has `bytesMax`. Returns the bytes added. */
  collect(into: JournalEntry[], bytesMax: number): number;
  /** What was collected last is durable in the journal. */
  journaled(): void;
}

/** Threads of the disk that syncs may hold; the platform's pool sets the same bound again for all disks together. */
const SYNCS_MAX = 4;

const RECORD_BYTES_MAX = 8 * 1024 * 1024;

/**
 * Makes the writes of one data directory's logs durable. A log is here at most once, however much it has written: the sync that
 * serves it covers all of it. Few logs are synced each for itself, side by side; where many wait, what they have written goes into
 * one record of the journal, and their files are synced later. Nothing else knows which of the two it was.
 */
export class CommitRounds {
  /** A log was synced for itself, or many with a record of the journal, in so many milliseconds. For metrics. */
  onSynced: (what: 'log' | 'journal', durationMs: number) => void = () => {};
  readonly #clock: Clock;
  readonly #journal: Journal;
  readonly #journalAbove: number;
  readonly #waiting = new Set<CommitMember>();
  #syncs = 0;
  #recording = false;
  /** The journal has found no room: until those who wait now are few, each is synced for itself. */
  #journalIsFull = false;
  #stopped = false;

  /** `journalAbove`: more logs than this waiting for their sync share a record instead. */
  constructor(clock: Clock, journal: Journal, journalAbove: number) {
    this.#clock = clock;
    this.#journal = journal;
    this.#journalAbove = journalAbove;
  }

  /** `member` has written something that is to be made durable. */
  add(member: CommitMember): void {
    this.#waiting.add(member);
    this.#pump();
  }

  /** `member` is closed. */
  remove(member: CommitMember): void {
    this.#waiting.delete(member);
  }

  /** The directory is offline: nothing becomes durable any more. */
  stop(): void {
    this.#stopped = true;
    this.#waiting.clear();
  }

  #pump(): void {
    while (!this.#stopped && this.#waiting.size > 0) {
      if (this.#waiting.size <= this.#journalAbove) this.#journalIsFull = false;
      else if (!this.#journalIsFull) {
        // Those that come while a record is written share the next one.
        if (this.#recording || this.#record()) return;
      }
      if (this.#syncs >= SYNCS_MAX) return;
      const [first] = this.#waiting as Set<CommitMember>;
      if (first === undefined) return;
      this.#waiting.delete(first);
      this.#syncs += 1;
      const startedAt = this.#clock.now();
      first.sync(() => {
        this.onSynced('log', this.#clock.now() - startedAt);
        this.#syncs -= 1;
        this.#pump();
      });
    }
  }

  /** False if the journal does not take it now. */
  #record(): boolean {
    if (!this.#journal.isReady) {
      this.#journal.prepare();
      return false;
    }
    const entries: JournalEntry[] = [];
    const members: CommitMember[] = [];
    let bytes = 0;
    for (const member of this.#waiting) {
      if (bytes >= RECORD_BYTES_MAX) break;
      this.#waiting.delete(member);
      // Nothing: it was synced meanwhile, or is about to be, for another reason.
      const added = member.collect(entries, RECORD_BYTES_MAX - bytes);
      if (added > 0) members.push(member);
      bytes += added;
    }
    if (members.length === 0) return true;
    this.#recording = true;
    const startedAt = this.#clock.now();
    this.#journal.append(entries, members, (written) => {
      this.onSynced('journal', this.#clock.now() - startedAt);
      this.#recording = false;
      this.#journalIsFull = !written;
      if (written) for (const member of members) member.journaled();
      else for (const member of members) this.#waiting.add(member);
      this.#pump();
    });
    return true;
  }
}
