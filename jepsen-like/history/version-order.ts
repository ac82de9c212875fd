import { assert } from '#base/assert';
import { transactionsFound } from './checks/group-events.ts';
import { type History, NONE, Row } from './history.ts';

/** What lies at the offsets of a key, by position: the offsets that are known, ascending; gaps between them are legal. */
interface Log {
  readonly offsets: Float64Array;
  /** One version at each; where there are more, the first that was seen. */
  readonly versions: Int32Array;
  /** How many of the positions up to and with this one hold what must have committed. */
  readonly committedUpTo: Int32Array;
}

/** Bits of `readBy`. */
const ANYONE = 1;
const COMMITTED_READER = 2;

/**
 * The version order of every key, from all polls, whatever became of their operations, and from those sends that must have committed.
 * Must have committed: what was acknowledged with acks=all; and of what is not known, or was acknowledged with less, what somebody has
 * read: one value of a transaction, by a read_committed reader, stands for all of it, and so does an offset that was found and is of no
 * other.
 */
export class VersionOrder {
  readonly #history: History;
  readonly #readBy: Uint8Array;
  readonly #committed: Uint8Array;
  readonly #offset: Float64Array;
  readonly #position: Int32Array;
  readonly #logs: readonly Log[];
  /** Of versions that were told at more offsets than one: the others. */
  readonly otherOffsets = new Map<number, number[]>();
  /** Positions at which there is more than one version. */
  readonly conflicts: { readonly key: number; readonly offset: number; readonly versions: readonly number[] }[] = [];

  constructor(history: History) {
    this.#history = history;
    this.#readBy = readers(history);
    this.#committed = committedVersions(history, this.#readBy);
    this.#offset = new Float64Array(history.versions).fill(NONE);
    this.#position = new Int32Array(history.versions).fill(NONE);
    this.#place(Row.Read);
    this.#place(Row.Send);
    const ofKeys: number[][] = history.keys.map(() => []);
    for (let version = 0; version < history.versions; version += 1) {
      if (this.#offset[version] !== NONE) ofKeys[history.versionKey.at(version)]?.push(version);
    }
    this.#logs = ofKeys.map((versions, key) => this.#log(key, versions));
  }

  committed(version: number): boolean {
    return this.#committed[version] === 1;
  }

  /** In a transaction only a read_committed reader counts: the others see what may yet be aborted. */
  read(version: number): boolean {
    const by = this.#transactional(version) ? COMMITTED_READER : ANYONE;
    return ((this.#readBy[version] ?? 0) & by) !== 0;
  }

  /** NONE if nobody was told. */
  offset(version: number): number {
    return this.#offset[version] ?? NONE;
  }

  /** In the log of its key, or NONE. */
  position(version: number): number {
    return this.#position[version] ?? NONE;
  }

  /** The last one, where it has several. */
  lastPosition(version: number): number {
    return Math.max(this.position(version), ...this.#otherPositions(version));
  }

  firstPosition(version: number): number {
    return Math.min(this.position(version), ...this.#otherPositions(version));
  }

  #otherPositions(version: number): readonly number[] {
    const key = this.#history.versionKey.at(version);
    return (this.otherOffsets.get(version) ?? []).map((offset) => this.positionFrom(key, offset));
  }

  length(key: number): number {
    return this.#of(key).offsets.length;
  }

  versionAt(key: number, position: number): number {
    return this.#of(key).versions[position] ?? NONE;
  }

  offsetAt(key: number, position: number): number {
    return this.#of(key).offsets[position] ?? NONE;
  }

  /** The first position whose offset is this one or greater. */
  positionFrom(key: number, offset: number): number {
    const { offsets } = this.#of(key);
    let low = 0;
    let high = offsets.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((offsets[middle] ?? 0) < offset) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** Where a version that was read at this offset lies. */
  positionOfRead(version: number, offset: number): number {
    if (this.#offset[version] === offset) return this.position(version);
    return this.positionFrom(this.#history.versionKey.at(version), offset);
  }

  /** How far a reader is that has read this position; to one that reads only what is committed the rest is not there: NONE. */
  rank(key: number, position: number, readsCommitted: boolean): number {
    if (!readsCommitted) return position;
    const rank = this.rankUpTo(key, position, true);
    return rank > this.rankUpTo(key, position - 1, true) ? rank : NONE;
  }

  /** How far a reader is to whom nothing up to and with this position is to come any more. */
  rankUpTo(key: number, position: number, readsCommitted: boolean): number {
    return readsCommitted ? (this.#of(key).committedUpTo[position] ?? 0) : position;
  }

  /** The next position that must have committed, or NONE. */
  nextCommitted(key: number, position: number): number {
    const { committedUpTo } = this.#of(key);
    for (let next = position + 1; next < committedUpTo.length; next += 1) {
      if ((committedUpTo[next] ?? 0) !== (committedUpTo[next - 1] ?? 0)) return next;
    }
    return NONE;
  }

  #of(key: number): Log {
    const log = this.#logs[key];
    assert(log !== undefined, `no key ${key}`);
    return log;
  }

  #transactional(version: number): boolean {
    const writer = this.#history.versionWriter.at(version);
    return writer !== NONE && this.#history.f(writer) === 'txn';
  }

  #place(kind: Row): void {
    const { rowKind, rowSubject, rowOffset } = this.#history;
    for (let row = 0; row < rowKind.length; row += 1) {
      if (rowKind.at(row) !== kind) continue;
      const version = rowSubject.at(row);
      const offset = rowOffset.at(row);
      if (offset === NONE || (kind === Row.Send && !this.committed(version))) continue;
      const known = this.#offset[version];
      if (known === NONE) this.#offset[version] = offset;
      else if (known !== offset && !(kind === Row.Send && this.#mayBeLost(version))) this.#also(version, offset);
    }
  }

  /** What was read of it may be an earlier attempt, and what was acknowledged with less than acks=all is gone, by right. */
  #mayBeLost(version: number): boolean {
    const client = this.#history.client(this.#history.versionWriter.at(version));
    return client?.idempotent !== true && client?.acks !== 'all';
  }

  #also(version: number, offset: number): void {
    const others = this.otherOffsets.get(version);
    if (others === undefined) this.otherOffsets.set(version, [offset]);
    else if (!others.includes(offset)) others.push(offset);
  }

  #log(key: number, ofKey: readonly number[]): Log {
    const places: { readonly version: number; readonly offset: number }[] = [];
    for (const version of ofKey) {
      places.push({ version, offset: this.offset(version) });
      for (const offset of this.otherOffsets.get(version) ?? []) places.push({ version, offset });
    }
    places.sort((a, b) => a.offset - b.offset);
    const offsets: number[] = [];
    const versions: number[] = [];
    const committedUpTo: number[] = [];
    let committed = 0;
    for (let index = 0; index < places.length; ) {
      const { version, offset } = places[index] ?? { version: NONE, offset: NONE };
      const here: number[] = [];
      for (; places[index]?.offset === offset; index += 1) here.push(places[index]?.version ?? NONE);
      if (here.length > 1) this.conflicts.push({ key, offset, versions: here });
      if (here.some((each) => this.committed(each))) committed += 1;
      for (const each of here) if (this.offset(each) === offset) this.#position[each] = offsets.length;
      offsets.push(offset);
      versions.push(version);
      committedUpTo.push(committed);
    }
    return {
      offsets: Float64Array.from(offsets),
      versions: Int32Array.from(versions),
      committedUpTo: Int32Array.from(committedUpTo),
    };
  }
}

/** Of each version, who has read it. */
function readers(history: History): Uint8Array {
  const readBy = new Uint8Array(history.versions);
  for (let op = 0; op < history.operations; op += 1) {
    const by = history.readsCommitted(op) ? ANYONE | COMMITTED_READER : ANYONE;
    for (let row = history.firstRow.at(op); row < history.endRow(op); row += 1) {
      if (history.rowKind.at(row) !== Row.Read) continue;
      const version = history.rowSubject.at(row);
      readBy[version] = (readBy[version] ?? 0) | by;
    }
  }
  return readBy;
}

function committedVersions(history: History, readBy: Uint8Array): Uint8Array {
  const committed = new Uint8Array(history.versions);
  const found = transactionsFound(history);
  const seen = (version: number, by: number): boolean => ((readBy[version] ?? 0) & by) !== 0;
  for (let op = 0; op < history.operations; op += 1) {
    const outcome = history.outcome(op);
    if (outcome === 'fail') continue;
    const safe = history.client(op)?.acks === 'all';
    const transaction = history.f(op) === 'txn';
    const sent: { readonly version: number; readonly told: boolean }[] = [];
    for (let row = history.firstRow.at(op); row < history.endRow(op); row += 1) {
      if (history.rowKind.at(row) !== Row.Send) continue;
      sent.push({ version: history.rowSubject.at(row), told: history.rowOffset.at(row) !== NONE });
    }
    const whole = transaction && (found.has(op) || sent.some(({ version }) => seen(version, COMMITTED_READER)));
    for (const { version, told } of sent) {
      const acknowledged = safe && (outcome === 'ok' || (told && !transaction));
      if (acknowledged || whole || (!transaction && seen(version, ANYONE))) committed[version] = 1;
    }
  }
  // Whose sender is not known: somebody has read it, so that it is there.
  for (let version = 0; version < history.versions; version += 1) {
    if (history.versionWriter.at(version) === NONE && seen(version, COMMITTED_READER)) committed[version] = 1;
  }
  return committed;
}
