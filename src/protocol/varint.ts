/**
 * The zigzag varints inside record batches (unlike the unsigned ones of KIP-482, see Reader).
 * 64-bit values are numbers: exact within ±2^53, the nearest double beyond.
 */

const VARINT_BYTES_MAX = 5;
const VARLONG_BYTES_MAX = 10;

/** Reads from a byte range; past its end, or at a varint that is too long, `failed` becomes true and stays so. */
export class VarintCursor {
  readonly bytes: Uint8Array;
  at: number;
  failed = false;

  constructor(bytes: Uint8Array, at: number) {
    this.bytes = bytes;
    this.at = at;
  }

  int8(): number {
    const byte = this.bytes[this.at];
    this.at += 1;
    if (byte !== undefined) return byte;
    this.failed = true;
    return 0;
  }

  varint(): number {
    const value = this.#zigzag(VARINT_BYTES_MAX);
    if (value !== (value | 0)) this.failed = true;
    return value;
  }

  varlong(): number {
    return this.#zigzag(VARLONG_BYTES_MAX);
  }

  #zigzag(bytesMax: number): number {
    const first = this.int8();
    let magnitude = (first & 0x7f) >>> 1;
    let byte = first;
    let scale = 64;
    for (let index = 1; byte >= 0x80; index += 1) {
      if (index === bytesMax) {
        this.failed = true;
        return 0;
      }
      byte = this.int8();
      magnitude += (byte & 0x7f) * scale;
      scale *= 128;
    }
    return (first & 1) === 1 ? -magnitude - 1 : magnitude;
  }

  /** The start of the next `length` bytes; -1 (null) and 0 take none. */
  skip(length: number): number {
    const start = this.at;
    if (length > this.bytes.length - start || length < -1) this.failed = true;
    else if (length > 0) this.at = start + length;
    return start;
  }
}

export function varintSize(value: number): number {
  let rest = value >= 0 ? value : -value - 1;
  let size = 1;
  for (rest = Math.floor(rest / 64); rest > 0; rest = Math.floor(rest / 128)) size += 1;
  return size;
}

/** Writes `value` at `at`; gives the position after it. Ints and longs have the same form. */
export function writeVarint(bytes: Uint8Array, at: number, value: number): number {
  const negative = value < 0;
  const magnitude = negative ? -value - 1 : value;
  let rest = Math.floor(magnitude / 64);
  let end = at;
  bytes[end] = ((magnitude % 64) << 1) | (negative ? 1 : 0) | (rest > 0 ? 0x80 : 0);
  end += 1;
  while (rest > 0) {
    const next = Math.floor(rest / 128);
    bytes[end] = (rest % 128) | (next > 0 ? 0x80 : 0);
    end += 1;
    rest = next;
  }
  return end;
}
