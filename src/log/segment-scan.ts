import { assert } from '#base/assert';
import type { Codecs } from '#base/ports';
import type { Offset } from '#model/ids';
import {
  BATCH_HEADER_BYTES,
  type BatchHeader,
  batchCrcMatches,
  LOG_OVERHEAD_BYTES,
  lastOffset,
  readBatchHeader,
} from '#protocol/record-batch';
import { fitsSegment } from './offset-index.ts';

/** Offset, length, leader epoch and magic: enough to tell how long a batch claims to be. */
const PREFIX_BYTES = 17;
const LENGTH_AT = 8;
const MAGIC_AT = 16;
const OFFSET_BYTES = 8;
/** What a disk writes whole, or not at all. */
const SECTOR_BYTES = 512;

export interface SegmentScanOptions {
  readonly baseOffset: Offset;
  /** Of the segment's file, as it was found. */
  readonly sizeBytes: number;
  /** No batch was ever let in that is larger: a length beyond it is damage. It is also what a scan holds in memory at most. */
  readonly batchBytesMax: number;
  /** Where the log is known to have ended once: a batch ends right there, or all of them do so below. */
  readonly onceEnded?: Offset;
  /** Where the scan begins, if not at the start: a batch's position, and the lowest offset that may follow there. */
  readonly from?: { readonly position: number; readonly offset: Offset };
}

/**
 * 'torn': what an interrupted write leaves, half a batch or only zeros. 'corrupt': bytes that no write has left so, whole or in part.
 * 'misplaced': a whole batch where none can be, which an interrupted write leaves neither: it was changed since, or the one before it.
 */
export type ScanEnding = 'end' | 'torn' | 'corrupt' | 'misplaced';

export interface ScanResult {
  readonly ending: ScanEnding;
  /** What is wrong at `validBytes`; empty at the end. */
  readonly reason: string;
  /** Up to here the file holds whole, valid batches. */
  readonly validBytes: number;
  /** The offset after the last of them; where the scan began if there is none. */
  readonly endOffset: Offset;
  /** Whatever is damaged lies at this offset or above: `endOffset`, or below it what a batch out of order claims. */
  readonly soundOffset: Offset;
}

/** `bytes` holds the batch at `header.at`, lent for the call; `position` is its place in the segment. */
export type BatchVisitor = (header: BatchHeader, position: number, bytes: Uint8Array) => void;

/**
 * Reads a segment in chunks, cut anywhere, and hands out each batch once it has proved whole: magic, length, CRC, offsets
 * that ascend from the segment's base, leader epochs that never fall. (Offset and epoch lie outside the CRC; their order is
 * what tells of damage there, but not in which of two batches. Gaps are no damage: compaction leaves them, here or at the leader.)
 * Stops at the first batch that is not.
 */
export class SegmentScan {
  readonly #options: SegmentScanOptions;
  readonly #codecs: Codecs;
  /** The start of a batch that the last chunk cut. */
  #held = new Uint8Array(PREFIX_BYTES);
  #heldBytes = 0;
  #position: number;
  #endOffset: Offset;
  #leaderEpoch = -1;
  #soundOffset = Number.POSITIVE_INFINITY;
  #ending: ScanEnding | undefined;
  #reason = '';

  constructor(codecs: Codecs, options: SegmentScanOptions) {
    this.#options = options;
    this.#codecs = codecs;
    this.#position = options.from?.position ?? 0;
    this.#endOffset = options.from?.offset ?? options.baseOffset;
  }

  /** False: damage was found, nothing more is wanted. `chunk` continues the last one and is borrowed. */
  feed(chunk: Uint8Array, visit: BatchVisitor): boolean {
    let at = 0;
    while (at < chunk.length && this.#ending === undefined) {
      at += this.#heldBytes > 0 ? this.#complete(chunk, at, visit) : this.#takeFrom(chunk, at, visit);
    }
    return this.#ending === undefined;
  }

  /** After the last chunk. */
  finish(): ScanResult {
    if (this.#ending === undefined && this.#position < this.#options.sizeBytes)
      this.#fail('torn', 'the batch is cut off');
    return {
      ending: this.#ending ?? 'end',
      reason: this.#reason,
      validBytes: this.#position,
      endOffset: this.#endOffset,
      soundOffset: Math.min(this.#soundOffset, this.#endOffset) as Offset,
    };
  }

  /** A batch that lies whole in the chunk is not copied; what the chunk cuts is. Returns the bytes used. */
  #takeFrom(chunk: Uint8Array, at: number, visit: BatchVisitor): number {
    const available = chunk.length - at;
    const sizeBytes = available < PREFIX_BYTES ? PREFIX_BYTES : this.#claimedSize(chunk, at);
    if (this.#ending !== undefined) return available;
    if (available >= sizeBytes) {
      this.#take(chunk, at, visit);
      return sizeBytes;
    }
    this.#reserve(sizeBytes);
    this.#held.set(chunk.subarray(at));
    this.#heldBytes = available;
    return available;
  }

  /** Adds to the held part of a batch what it still lacks. Returns the bytes used. */
  #complete(chunk: Uint8Array, at: number, visit: BatchVisitor): number {
    const wanted = this.#heldBytes < PREFIX_BYTES ? PREFIX_BYTES : this.#claimedSize(this.#held, 0);
    const used = Math.min(wanted - this.#heldBytes, chunk.length - at);
    this.#held.set(chunk.subarray(at, at + used), this.#heldBytes);
    this.#heldBytes += used;
    if (this.#heldBytes < wanted) return used;
    if (wanted > PREFIX_BYTES) {
      this.#heldBytes = 0;
      this.#take(this.#held.subarray(0, wanted), 0, visit);
    } else {
      const sizeBytes = this.#claimedSize(this.#held, 0);
      if (this.#ending === undefined) this.#reserve(sizeBytes);
    }
    return used;
  }

  #reserve(sizeBytes: number): void {
    assert(sizeBytes <= Math.max(this.#options.batchBytesMax, PREFIX_BYTES), 'the size was checked');
    if (this.#held.length >= sizeBytes) return;
    const held = new Uint8Array(sizeBytes);
    held.set(this.#held.subarray(0, this.#heldBytes));
    this.#held = held;
  }

  /** What the batch's prefix says of its size; ends the scan if that can not be. */
  #claimedSize(bytes: Uint8Array, at: number): number {
    const view = new DataView(bytes.buffer, bytes.byteOffset + at, PREFIX_BYTES);
    const sizeBytes = view.getInt32(LENGTH_AT) + LOG_OVERHEAD_BYTES;
    const magic = view.getInt8(MAGIC_AT);
    // A file that was extended but not written; a batch's length is never 0.
    if (isZero(bytes, at)) this.#fail('torn', 'only zeros');
    else if (magic !== 2) this.#fail('corrupt', `magic ${magic}`);
    else if (sizeBytes < BATCH_HEADER_BYTES) this.#fail('corrupt', `a batch of ${sizeBytes} bytes`);
    else if (sizeBytes > this.#options.batchBytesMax) this.#fail('corrupt', `a batch of ${sizeBytes} bytes`);
    else if (this.#position + sizeBytes > this.#options.sizeBytes) this.#fail('torn', 'the batch is cut off');
    return sizeBytes;
  }

  #take(bytes: Uint8Array, at: number, visit: BatchVisitor): void {
    const header = readBatchHeader(bytes, at);
    assert(typeof header === 'object', 'size and magic were checked');
    const misplacement = this.#misplacementOf(header);
    const isIntact = batchCrcMatches(bytes, header, this.#codecs);
    if (misplacement !== undefined) {
      if (isIntact && this.#lacksOffset(header))
        return this.#fail('torn', 'the sector with its offset was not written');
      // Its own offset may be right, and the one before it wrong.
      if (isIntact) this.#soundOffset = Math.max(0, header.baseOffset);
      return this.#fail(isIntact ? 'misplaced' : 'corrupt', misplacement);
    }
    if (!isIntact) return this.#fail('corrupt', 'the checksum does not match');
    const position = this.#position;
    this.#position += header.sizeBytes;
    this.#endOffset = (lastOffset(header) + 1) as Offset;
    this.#leaderEpoch = header.partitionLeaderEpoch;
    visit(header, position, bytes);
  }

  #misplacementOf(header: BatchHeader): string | undefined {
    const { baseOffset, onceEnded = baseOffset } = this.#options;
    const last = lastOffset(header);
    if (header.baseOffset < this.#endOffset) return `offset ${header.baseOffset} after ${this.#endOffset - 1}`;
    if (this.#endOffset < onceEnded && last >= onceEnded) {
      return `offsets ${header.baseOffset} to ${last}, but the log has ended at ${onceEnded}`;
    }
    if (header.lastOffsetDelta < 0 || !Number.isSafeInteger(last) || !fitsSegment(baseOffset, last as Offset)) {
      return `offsets ${header.baseOffset} to ${last} in the segment at ${baseOffset}`;
    }
    if (header.partitionLeaderEpoch < this.#leaderEpoch) {
      return `leader epoch ${header.partitionLeaderEpoch} after ${this.#leaderEpoch}`;
    }
    return undefined;
  }

  /**
   * It begins so closely before a sector's end that the first bytes of its offset are there, and the sector is as it was before: zero. All that
   * the checksum covers was written.
   */
  #lacksOffset({ baseOffset }: BatchHeader): boolean {
    const lost = SECTOR_BYTES - (this.#position % SECTOR_BYTES);
    const left = this.#endOffset % 256 ** (OFFSET_BYTES - lost);
    return lost <= OFFSET_BYTES && baseOffset === left && left < this.#endOffset;
  }

  #fail(ending: ScanEnding, reason: string): void {
    this.#ending = ending;
    this.#reason = reason;
  }
}

function isZero(bytes: Uint8Array, at: number): boolean {
  for (let index = at; index < at + PREFIX_BYTES; index += 1) if (bytes[index] !== 0) return false;
  return true;
}
