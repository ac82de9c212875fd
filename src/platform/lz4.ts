/**
 * The LZ4 frame format as Kafka's clients write it, block by block: the native decoder knows no bound (2 MB can become
 * 512 MB), this one stops at `maxBytes`. Header, block and content checksums are skipped, not verified: the CRC of the
 * record batch covers the same bytes, and old Kafka clients wrote a wrong header checksum (KIP-57).
 * Format: github.com/lz4/lz4, doc/lz4_Frame_format.md and doc/lz4_Block_format.md.
 */
const FRAME_MAGIC = 0x184d_2204;
const SKIPPABLE_MAGIC = 0x184d_2a50;
const STORED_BLOCK = 0x8000_0000;
/** An LZ4 match adds at most 255 bytes of output per byte of input. */
const RATIO_MAX = 255;
const WRITTEN_BLOCK_BYTES = 64 * 1024;
/** Version 1, independent blocks of at most 64 KiB, no checksums but the header's own (0x82): as Kafka's Java client. */
const WRITTEN_HEADER = [0x04, 0x22, 0x4d, 0x18, 0x60, 0x40, 0x82] as const;

/** The frames of `input`, decoded; allocates at most about twice the smaller of `maxBytes` and what the input can hold. */
export function decodeLz4Frames(input: Uint8Array, maxBytes: number): Uint8Array | 'corrupt' | 'too-large' {
  const view = new DataView(input.buffer, input.byteOffset, input.byteLength);
  const output = new Output(maxBytes);
  let at = 0;
  do {
    if (at + 7 > input.length) return 'corrupt';
    const magic = view.getUint32(at, true);
    if ((magic & 0xffff_fff0) >>> 0 === SKIPPABLE_MAGIC) {
      at += 8;
      if (at > input.length) return 'corrupt';
      at += view.getUint32(at - 4, true);
      if (at > input.length) return 'corrupt';
      continue;
    }
    if (magic !== FRAME_MAGIC) return 'corrupt';
    const next = decodeFrame(input, view, at + 4, output);
    if (typeof next !== 'number') return next;
    at = next;
  } while (at < input.length);
  return output.bytes.subarray(0, output.length);
}

/** One frame whose first byte after the magic is at `at`. Gives the position after it. */
function decodeFrame(input: Uint8Array, view: DataView, at: number, output: Output): number | 'corrupt' | 'too-large' {
  const flags = view.getUint8(at);
  const blockSizeId = (view.getUint8(at + 1) >> 4) & 7;
  const hasDictionary = (flags & 1) !== 0;
  if (flags >> 6 !== 1 || blockSizeId < 4 || hasDictionary) return 'corrupt';
  const blockBytesMax = 2 ** (8 + 2 * blockSizeId);
  const blockTrailer = flags & 0x10 ? 4 : 0;
  const frameTrailer = flags & 0x04 ? 4 : 0;
  const blocksAreLinked = (flags & 0x20) === 0;
  const frameStart = output.length;

  let next = at + 2 + (flags & 0x08 ? 8 : 0) + 1;
  for (;;) {
    if (next + 4 > input.length) return 'corrupt';
    const head = view.getUint32(next, true);
    next += 4;
    if (head === 0) return next + frameTrailer > input.length ? 'corrupt' : next + frameTrailer;
    const stored = head >= STORED_BLOCK;
    const end = next + (stored ? head - STORED_BLOCK : head);
    if (end + blockTrailer > input.length) return 'corrupt';
    const failure = stored
      ? output.append(input.subarray(next, end), blockBytesMax)
      : output.decodeBlock(input, next, end, blockBytesMax, blocksAreLinked ? frameStart : output.length);
    if (failure !== undefined) return failure;
    next = end + blockTrailer;
  }
}

/** What was decoded so far: a buffer that doubles up to `maxBytes`. */
class Output {
  bytes: Uint8Array = new Uint8Array(0);
  length = 0;
  readonly #maxBytes: number;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  append(stored: Uint8Array, blockBytesMax: number): 'corrupt' | 'too-large' | undefined {
    if (stored.length > blockBytesMax) return 'corrupt';
    if (this.length + stored.length > this.#maxBytes) return 'too-large';
    this.#reserve(stored.length);
    this.bytes.set(stored, this.length);
    this.length += stored.length;
    return undefined;
  }

  /** Matches may reach back to `historyStart`. */
  decodeBlock(
    input: Uint8Array,
    from: number,
    to: number,
    blockBytesMax: number,
    historyStart: number,
  ): 'corrupt' | 'too-large' | undefined {
    const room = this.#maxBytes - this.length;
    const reserved = Math.min(room, blockBytesMax, (to - from) * RATIO_MAX);
    this.#reserve(reserved);
    const end = decodeLz4Block(input, from, to, this.bytes, this.length, this.length + reserved, historyStart);
    if (end === 'full') return reserved === room ? 'too-large' : 'corrupt';
    if (end === 'corrupt') return 'corrupt';
    this.length = end;
    return undefined;
  }

  #reserve(size: number): void {
    const needed = this.length + size;
    if (needed <= this.bytes.length) return;
    const grown = new Uint8Array(Math.min(this.#maxBytes, Math.max(needed, this.bytes.length * 2)));
    grown.set(this.bytes.subarray(0, this.length));
    this.bytes = grown;
  }
}

/**
 * One raw block, `input[from, to)`, into `output` from `start` on and never beyond `limit` ('full'). Matches may reach
 * back to `historyStart`. Gives the end of the output.
 */
export function decodeLz4Block(
  input: Uint8Array,
  from: number,
  to: number,
  output: Uint8Array,
  start: number,
  limit: number,
  historyStart: number,
): number | 'corrupt' | 'full' {
  let at = from;
  let out = start;
  while (at < to) {
    const token = input[at++] as number;

    let literals = token >> 4;
    if (literals === 15) {
      let more = 255;
      while (more === 255) {
        if (at >= to) return 'corrupt';
        more = input[at++] as number;
        literals += more;
      }
    }
    if (at + literals > to) return 'corrupt';
    if (out + literals > limit) return 'full';
    if (literals > 32) {
      output.set(input.subarray(at, at + literals), out);
      at += literals;
      out += literals;
    } else {
      for (const end = at + literals; at < end; ) output[out++] = input[at++] as number;
    }
    // A block ends with literals.
    if (at === to) return out;

    if (at + 2 > to) return 'corrupt';
    const distance = (input[at] as number) | ((input[at + 1] as number) << 8);
    at += 2;
    let match = (token & 15) + 4;
    if (match === 19) {
      let more = 255;
      while (more === 255) {
        if (at >= to) return 'corrupt';
        more = input[at++] as number;
        match += more;
      }
    }
    if (distance === 0 || distance > out - historyStart) return 'corrupt';
    if (out + match > limit) return 'full';
    copyMatch(output, out, distance, match);
    out += match;
  }
  return 'corrupt';
}

/** Repeats the `distance` bytes before `out`. A match longer than its distance overlaps itself: each copy doubles what there is to copy. */
function copyMatch(output: Uint8Array, out: number, distance: number, match: number): void {
  const end = out + match;
  if (match <= 32) {
    for (let at = out; at < end; at++) output[at] = output[at - distance] as number;
    return;
  }
  const source = out - distance;
  for (let at = out; at < end; ) {
    const length = Math.min(at - source, end - at);
    output.copyWithin(at, source, source + length);
    at += length;
  }
}

/** One frame. `compressBlock` gives the raw LZ4 block behind four bytes of its own, as lz4-napi does. */
export function encodeLz4Frame(input: Uint8Array, compressBlock: (block: Uint8Array) => Uint8Array): Uint8Array {
  const parts: Uint8Array[] = [Uint8Array.from(WRITTEN_HEADER)];
  for (let at = 0; at < input.length; at += WRITTEN_BLOCK_BYTES) {
    const raw = input.subarray(at, at + WRITTEN_BLOCK_BYTES);
    const prefixed = compressBlock(raw);
    const stored = prefixed.length - 4 >= raw.length;
    const block = stored ? raw : prefixed.subarray(4);
    parts.push(blockHead(stored ? raw.length + STORED_BLOCK : block.length), block);
  }
  parts.push(blockHead(0));
  return Buffer.concat(parts);
}

function blockHead(value: number): Uint8Array {
  const head = new Uint8Array(4);
  new DataView(head.buffer).setUint32(0, value, true);
  return head;
}
