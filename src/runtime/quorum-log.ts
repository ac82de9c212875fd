import { assert } from '#base/assert';
import { Fifo } from '#base/fifo';
import type { IoError } from '#base/ports';
import type { RaftEntry } from '#raft/messages';
import type { HardState, LogPosition, RaftOutput, SnapshotPiece } from '#raft/raft-types';
import { isTransient } from '#storage/files';
import type { RaftLog } from '#storage/raft-log';
import type { RaftSnapshotWriter } from '#storage/raft-log-snapshot';

/** What has come of the operations. Called in turns of the disk, never within `carryOut`. */
export interface QuorumLogEvents {
  hardStateSaved(state: HardState): void;
  persisted(index: number, generation: number): void;
  /** There is no room, or no file handle: every entry and piece that was handed over and is not durable has been dropped. */
  full(): void;
  snapshotStored(position: number): void;
  /** There is no room for the snapshot to take the place of the log: it waits for some, and all else for it. Told at each attempt. */
  installHeldUp(): void;
  snapshotInstalled(covers: LogPosition): void;
  /** The disk failed, and nothing more is written. Once. */
  failed(failure: IoError): void;
}

type Operation =
  | { readonly kind: 'append'; readonly entries: readonly RaftEntry[]; readonly generation: number }
  | { readonly kind: 'truncate'; readonly from: number }
  | { readonly kind: 'store'; readonly piece: SnapshotPiece }
  | { readonly kind: 'install'; readonly writer: RaftSnapshotWriter }
  | { readonly kind: 'compact'; readonly writer: RaftSnapshotWriter; readonly done: (isDone: boolean) => void };

/**
 * Carries out on disk what the consensus machine says, in its order: appends flow into each other, everything else waits for them and
 * they for it. The hard state is saved beside.
 */
export class QuorumLog {
  readonly #log: RaftLog;
  readonly #events: QuorumLogEvents;
  /** Bounded by what the machine takes in before it is persisted, which is bounded by what its peers have in flight. */
  readonly #operations = new Fifo<Operation>();
  #appending = 0;
  #isBusy = false;
  #savingState = false;
  #nextState: HardState | undefined;
  /** Of the snapshot whose pieces come. */
  #storing: RaftSnapshotWriter | undefined;
  /** The complete one that is to take the place of the log, from when it is tried until it has. */
  #installing: RaftSnapshotWriter | undefined;
  /** Counts the times that the disk was full: what was asked before is void. */
  #drops = 0;
  #stopped = false;
  #idle: (() => void) | undefined;

  constructor(log: RaftLog, events: QuorumLogEvents) {
    this.#log = log;
    this.#events = events;
  }

  carryOut({ hardState, truncateFrom, append, generation, storeSnapshot }: RaftOutput): void {
    if (this.#stopped) return;
    this.#nextState = hardState ?? this.#nextState;
    if (this.#nextState !== undefined) void this.#saveStates();
    if (truncateFrom !== undefined) this.#operations.push({ kind: 'truncate', from: truncateFrom });
    if (append.length > 0) this.#operations.push({ kind: 'append', entries: append, generation });
    for (const piece of storeSnapshot) this.#operations.push({ kind: 'store', piece });
    // As the hard state: without room it is tried again when something happens next.
    if (this.#installing !== undefined && !this.#isBusy) this.#alone({ kind: 'install', writer: this.#installing });
    this.#next();
  }

  /**
   * The written snapshot becomes the log's base, unless the log is beyond it by then or there is no room for its place. The writer is spent
   * either way.
   */
  compact(writer: RaftSnapshotWriter): Promise<boolean> {
    return new Promise((done) => {
      if (this.#stopped) return done(false);
      this.#operations.push({ kind: 'compact', writer, done });
      this.#next();
    });
  }

  /** Nothing more is begun, or reported. Resolves when the disk is quiet. */
  async close(): Promise<void> {
    this.#stop();
    while (this.#isBusy || this.#savingState)
      await new Promise<void>((resolve) => {
        this.#idle = resolve;
      });
    await this.#storing?.abandon().catch(() => {});
  }

  #next(): void {
    while (!this.#isBusy && !this.#stopped && this.#installing === undefined && this.#operations.length > 0) {
      const isAppend = this.#operations.peek()?.kind === 'append';
      if (!isAppend && this.#appending > 0) return;
      const operation = this.#operations.shift();
      if (operation.kind === 'append') this.#append(operation.entries, operation.generation);
      else this.#alone(operation);
    }
  }

  #append(entries: readonly RaftEntry[], generation: number): void {
    const last = entries.at(-1)?.index ?? 0;
    const drops = this.#drops;
    this.#appending += 1;
    this.#log.append(entries, (failure) => {
      this.#appending -= 1;
      if (this.#stopped) return;
      if (failure === undefined) this.#events.persisted(last, generation);
      else if (!isTransient(failure)) this.#fail(failure);
      else if (drops === this.#drops) this.#dropAll();
      this.#next();
    });
  }

  #alone(operation: Exclude<Operation, { kind: 'append' }>): void {
    this.#isBusy = true;
    this.#run(operation).then(
      () => this.#ended(),
      (failure: IoError) => {
        const lacksRoom = !this.#stopped && isTransient(failure);
        if (lacksRoom && this.#installing !== undefined) this.#events.installHeldUp();
        else if (lacksRoom && operation.kind === 'store') this.#dropAll();
        else this.#fail(failure);
        this.#ended();
      },
    );
  }

  #ended(): void {
    this.#isBusy = false;
    this.#wake();
    this.#next();
  }

  async #run(operation: Exclude<Operation, { kind: 'append' }>): Promise<void> {
    switch (operation.kind) {
      case 'truncate':
        return await this.#log.truncateFrom(operation.from);
      case 'store':
        return await this.#store(operation.piece);
      case 'install':
        return await this.#install(operation.writer);
      case 'compact':
        return await this.#compact(operation);
    }
  }

  /** Without room for its place among the files the snapshot is given up: the log needs it no more than before. */
  async #compact({ writer, done }: Extract<Operation, { kind: 'compact' }>): Promise<void> {
    const { index } = writer.covers;
    let isInPlace = false;
    try {
      if (index > this.#log.snapshotIndex) {
        await this.#log.compact(writer);
        isInPlace = true;
      } else await writer.abandon();
    } catch (failure) {
      if (!isTransient(failure) || this.#log.snapshotIndex >= index) throw failure;
      await writer.abandon();
    } finally {
      done(isInPlace);
    }
  }

  async #store({ index, epoch, position, payload, last }: SnapshotPiece): Promise<void> {
    if (position === 0) {
      await this.#storing?.abandon();
      this.#storing = await this.#log.beginInstall(index, epoch);
    }
    const writer = this.#storing;
    assert(writer !== undefined && writer.covers.index === index, 'a piece belongs to the snapshot that was begun');
    await writer.append(payload);
    if (!last) {
      if (!this.#stopped) this.#events.snapshotStored(position);
      return;
    }
    await writer.finish();
    this.#storing = undefined;
    await this.#install(writer);
  }

  async #install(writer: RaftSnapshotWriter): Promise<void> {
    this.#installing = writer;
    await this.#log.install(writer);
    this.#installing = undefined;
    if (!this.#stopped) this.#events.snapshotInstalled(writer.covers);
  }

  async #saveStates(): Promise<void> {
    if (this.#savingState) return;
    this.#savingState = true;
    while (this.#nextState !== undefined && !this.#stopped) {
      const state = this.#nextState;
      this.#nextState = undefined;
      try {
        await this.#log.saveHardState(state);
      } catch (failure) {
        // Without room, or a file handle, it promises nothing, and tries again when something happens next.
        if (isTransient(failure)) this.#nextState ??= state;
        else this.#fail(failure as IoError);
        break;
      }
      if (!this.#stopped) this.#events.hardStateSaved(state);
    }
    this.#savingState = false;
    this.#wake();
  }

  #dropAll(): void {
    this.#drops += 1;
    const compactions = this.#operations.drain().filter(({ kind }) => kind === 'compact');
    for (const compaction of compactions) this.#operations.push(compaction);
    this.#events.full();
  }

  #fail(failure: IoError): void {
    if (this.#stopped) return;
    this.#stop();
    this.#events.failed(failure);
  }

  #stop(): void {
    this.#stopped = true;
    for (const operation of this.#operations.drain()) if (operation.kind === 'compact') operation.done(false);
  }

  #wake(): void {
    this.#idle?.();
    this.#idle = undefined;
  }
}
