import { assert, at } from '#base/assert';
import type { Offset } from '#model/ids';
import type { LogReader } from './log-reader.ts';
import { cutFile, dropSegments, dropSnapshotsAbove, recoverLog } from './log-recovery.ts';
import type { LogState } from './log-state.ts';
import type { LogWriter } from './log-writer.ts';
import type { ProducerSnapshots } from './producer-snapshots.ts';
import type { LogTail } from './tail-cache.ts';

/** The log that goes back. */
export interface RewoundLog {
  readonly state: LogState;
  readonly snapshots: ProducerSnapshots;
  readonly tail: LogTail;
  readonly writer: LogWriter;
  readonly reader: LogReader;
  /** See PartitionLog.highWatermark: never above what is durable. */
  committed(): Offset;
  /** Whoever compacts it knows another log. */
  cutTo(end: Offset): void;
  /** The way back has ended: it takes appends again. */
  rewound(): void;
}

interface Pending {
  readonly to: Offset;
  readonly done: (() => void) | undefined;
}

/**
 * One log's way back to an earlier end: until what was appended without room is undone on disk, or the log is cut to its leader's.
 * Meanwhile nothing is appended, and what is known of producers is not to be relied upon.
 */
export class LogRewind {
  readonly #log: RewoundLog;
  #pending: Pending | undefined;

  constructor(log: RewoundLog) {
    this.#log = log;
  }

  get isPending(): boolean {
    return this.#pending !== undefined;
  }

  /** See PartitionLog.truncateTo; `run` is to follow. */
  cut(offset: Offset, done: () => void): void {
    const pending = this.#pending;
    const { startOffset } = this.#log.state;
    assert(pending?.done === undefined && offset >= startOffset, 'the log is cut once at a time, above its start');
    this.#pending = { to: Math.min(offset, pending?.to ?? offset) as Offset, done };
  }

  /** There was no room for what was appended from `from` on: it is forgotten; `run` is to follow. */
  forgetFrom(from: Offset): void {
    const { state, tail } = this.#log;
    // A log that is being cut still goes where its leader sends it.
    const to = Math.min(from, this.#pending?.to ?? from) as Offset;
    this.#pending = { to, done: this.#pending?.done };
    state.cutTo(from);
    tail.truncateTo(from);
    // It would take a refused batch that is sent again for a duplicate; until it is rebuilt nothing is appended anyway.
    state.producers.clear();
  }

  /**
   * Takes the log back to where it is to go, or to the start of the batch that holds it; rebuilds what is known of the rest. Tried
   * again by the next checkpoint if room or handles are lacking.
   */
  async run(): Promise<void> {
    const { state, snapshots, tail, writer, reader } = this.#log;
    const { directory, folder, segments, producers, epochs } = state;
    // Everything written before is safe in the log's files, so that nothing of it is needed from the journal.
    if (!(await writer.flush()) || this.#pending === undefined) return;
    const { to, done } = this.#pending;
    state.touch();
    const log = { directory, segments, snapshots: snapshots.offsets, folder };
    const keep = Math.max(
      0,
      segments.findLastIndex(({ baseOffset }) => baseOffset < to),
    );
    const last = at(segments, keep);
    const cut = await reader.cutAt(last, to);
    const pending = { to: cut.offset, done };
    this.#pending = pending;
    tail.truncateTo(cut.offset);
    this.#log.cutTo(cut.offset);
    state.cutTo(cut.offset);
    await directory.journal.release(writer);
    // On disk, too, and also if an earlier attempt came no further than here.
    state.lowerRecoveryPoint(cut.offset);
    await directory.saveOffsets();
    // Then nothing was saved, and the journal may still hold what is to be cut.
    if (directory.isOffline) return;
    writer.dropTargets((segment) => segment.baseOffset > last.baseOffset);
    await dropSegments(log, keep + 1);
    await dropSnapshotsAbove(log, cut.offset);
    await cutFile(log, last, cut.position);
    const recovered = await recoverLog({
      ...log,
      config: state.config,
      epochs: epochs.cache,
      epochsLost: false,
      producers,
      recoveryPoint: cut.offset,
      isSmall: false,
    });
    if ('quarantine' in recovered) return directory.fail(recovered.quarantine);
    // Also what somebody has begun to load while it was cut.
    directory.indexes.forget(last);
    state.recovered(recovered.end);
    snapshots.replayed(recovered.replayedBytes);
    writer.rewound(recovered.end);
    // What was replayed has been decided before, as far as it is committed.
    producers.highWatermarkAdvanced(this.#log.committed());
    // Meanwhile its leader may have sent it further back.
    if (this.#pending === pending) this.#pending = undefined;
    done?.();
    if (this.#pending === undefined) this.#log.rewound();
  }
}
