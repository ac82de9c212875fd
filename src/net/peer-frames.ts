import type { MemoryBudget } from './memory-budget.ts';

/**
 * What peers send each other are messages: a kind (0..63) and a payload. On the wire a message is one frame or several: a word of four
 * bytes, big-endian, and a piece of the payload.
 *
 *     bit 31     lane: 0 urgent, 1 bulk. The frames of one lane come in order, those of two lanes mix.
 *     bit 30     more of this message follows in its lane; such a frame is full
 *     bits 24-29 the message's kind
 *     bits 0-23  the piece's length, at most FRAGMENT_BYTES_MAX
 *
 * So an urgent message waits for one piece of a bulk message at most, and a length that a peer claims allocates nothing of note.
 */
export const WORD_BYTES = 4;
export const FRAGMENT_BYTES_MAX = 64 * 1024;
/** The payload of one message. */
export const MESSAGE_BYTES_MAX = 16 * 1024 * 1024;

export const Lane = { Urgent: 0, Bulk: 1 } as const;
export type Lane = (typeof Lane)[keyof typeof Lane];

const BULK_BIT = 0x80;
const MORE_BIT = 0x40;
const KIND_MASK = 0x3f;
const FIRST_PARTIAL_BYTES = 256;

export function writeWord(lane: Lane, kind: number, lengthBytes: number, more: boolean): Uint8Array {
  const high = (lane === Lane.Bulk ? BULK_BIT : 0) | (more ? MORE_BIT : 0) | kind;
  return Uint8Array.of(high, lengthBytes >>> 16, lengthBytes >>> 8, lengthBytes);
}

/** A message of which some frames have come. */
interface Assembly {
  readonly kind: number;
  readonly pieces: Uint8Array[];
  sizeBytes: number;
}

/** Makes messages of the bytes of one connection, however they are cut. Memory grows with what has come, never with what is announced. */
export class PeerFrameReader {
  /** Of one message; the owner lowers it for peers that it does not know yet. */
  messageBytesMax = MESSAGE_BYTES_MAX;
  readonly #reserve: MemoryBudget;
  readonly #deliver: (kind: number, payload: Uint8Array) => void;
  /** By lane. */
  readonly #assemblies: (Assembly | undefined)[] = [undefined, undefined];
  /** The beginning of a frame whose end has not come: at most a whole one. */
  #partial: Uint8Array = new Uint8Array(0);
  #partialBytes = 0;
  #closed = false;

  /** `deliver` owns the payload. Messages of several frames are accounted in `reserve` until they are delivered. */
  constructor(reserve: MemoryBudget, deliver: (kind: number, payload: Uint8Array) => void) {
    this.#reserve = reserve;
    this.#deliver = deliver;
  }

  /** Keeps nothing of `bytes`. Gives a sentence if they make no sense; nothing more is taken then. */
  take(bytes: Uint8Array): string | undefined {
    for (let at = 0; at < bytes.length && !this.#closed; ) {
      const rest = bytes.length - at;
      if (this.#partialBytes === 0 && rest >= WORD_BYTES) {
        const frameBytes = WORD_BYTES + lengthOf(bytes, at);
        const fault = this.#check(bytes, at);
        if (fault !== undefined) return fault;
        if (frameBytes <= rest) {
          const full = this.#accept(bytes, at);
          if (full !== undefined) return full;
          at += frameBytes;
          continue;
        }
      }
      const fault = this.#fillPartial(bytes.subarray(at));
      if (typeof fault === 'string') return fault;
      at += fault;
    }
    return undefined;
  }

  /** Nothing is delivered any more. */
  close(): void {
    this.#closed = true;
    this.#partial = new Uint8Array(0);
    for (const lane of [Lane.Urgent, Lane.Bulk]) this.#release(lane);
  }

  /** Takes what the frame lacks, first its word, then its piece; gives how much that was, or a sentence. */
  #fillPartial(bytes: Uint8Array): number | string {
    const wantedBytes = this.#partialBytes < WORD_BYTES ? WORD_BYTES : WORD_BYTES + lengthOf(this.#partial, 0);
    const count = Math.min(bytes.length, wantedBytes - this.#partialBytes);
    this.#append(bytes.subarray(0, count), wantedBytes);
    if (this.#partialBytes < wantedBytes) return count;
    if (wantedBytes === WORD_BYTES) {
      const fault = this.#check(this.#partial, 0);
      if (fault !== undefined) return fault;
      if (lengthOf(this.#partial, 0) > 0) return count;
    }
    const frame = this.#partial;
    this.#partialBytes = 0;
    if (frame.length > FIRST_PARTIAL_BYTES) this.#partial = new Uint8Array(0);
    return this.#accept(frame, 0) ?? count;
  }

  #append(bytes: Uint8Array, wantedBytes: number): void {
    const neededBytes = this.#partialBytes + bytes.length;
    if (this.#partial.length < neededBytes) {
      const doubled = Math.max(FIRST_PARTIAL_BYTES, 2 * this.#partial.length, neededBytes);
      const grown = new Uint8Array(Math.min(doubled, Math.max(wantedBytes, FIRST_PARTIAL_BYTES)));
      grown.set(this.#partial.subarray(0, this.#partialBytes));
      this.#partial = grown;
    }
    this.#partial.set(bytes, this.#partialBytes);
    this.#partialBytes = neededBytes;
  }

  #check(bytes: Uint8Array, at: number): string | undefined {
    const lengthBytes = lengthOf(bytes, at);
    const assembly = this.#assemblies[laneOf(bytes, at)];
    if (lengthBytes > FRAGMENT_BYTES_MAX) return `it announced a frame of ${lengthBytes} bytes`;
    if (hasMore(bytes, at) && lengthBytes < FRAGMENT_BYTES_MAX) return 'it cut a message into frames that are not full';
    if (assembly !== undefined && assembly.kind !== kindOf(bytes, at)) return 'it mixed the frames of two messages';
    if ((assembly?.sizeBytes ?? 0) + lengthBytes > this.messageBytesMax) {
      return `it sent a message of more than ${this.messageBytesMax} bytes`;
    }
    return undefined;
  }

  /** A whole frame, which was checked. */
  #accept(bytes: Uint8Array, at: number): string | undefined {
    const lane = laneOf(bytes, at);
    const kind = kindOf(bytes, at);
    const piece = new Uint8Array(bytes.subarray(at + WORD_BYTES, at + WORD_BYTES + lengthOf(bytes, at)));
    let assembly = this.#assemblies[lane];
    if (assembly === undefined && !hasMore(bytes, at)) {
      this.#deliver(kind, piece);
      return undefined;
    }
    if (!this.#reserve.tryReserve(piece.length)) return 'the memory for messages of peers is used up';
    assembly ??= { kind, pieces: [], sizeBytes: 0 };
    this.#assemblies[lane] = assembly;
    assembly.pieces.push(piece);
    assembly.sizeBytes += piece.length;
    if (hasMore(bytes, at)) return undefined;
    const payload = join(assembly);
    this.#release(lane);
    this.#deliver(kind, payload);
    return undefined;
  }

  #release(lane: Lane): void {
    const assembly = this.#assemblies[lane];
    this.#assemblies[lane] = undefined;
    if (assembly !== undefined) this.#reserve.release(assembly.sizeBytes);
  }
}

function join({ pieces, sizeBytes }: Assembly): Uint8Array {
  const payload = new Uint8Array(sizeBytes);
  let at = 0;
  for (const piece of pieces) {
    payload.set(piece, at);
    at += piece.length;
  }
  return payload;
}

function laneOf(bytes: Uint8Array, at: number): Lane {
  return ((bytes[at] as number) & BULK_BIT) === 0 ? Lane.Urgent : Lane.Bulk;
}

function hasMore(bytes: Uint8Array, at: number): boolean {
  return ((bytes[at] as number) & MORE_BIT) !== 0;
}

function kindOf(bytes: Uint8Array, at: number): number {
  return (bytes[at] as number) & KIND_MASK;
}

function lengthOf(bytes: Uint8Array, at: number): number {
  return ((bytes[at + 1] as number) << 16) | ((bytes[at + 2] as number) << 8) | (bytes[at + 3] as number);
}
