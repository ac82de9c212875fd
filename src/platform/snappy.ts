/**
 * Snappy as Kafka's clients write it: the framing of snappy-java ("xerial": magic, version, compatible version, then
 * length-prefixed raw blocks) or, from librdkafka among others, one raw block. Both are read, the first is written.
 */
const MAGIC = Uint8Array.of(0x82, 0x53, 0x4e, 0x41, 0x50, 0x50, 0x59, 0x00);
const HEADER_BYTES = 16;
const WRITTEN_BLOCK_BYTES = 32 * 1024;

/** Raw Snappy blocks. `uncompress` throws on corrupt input and allocates what the block's head claims. */
export interface RawSnappy {
  compress(bytes: Uint8Array): Uint8Array;
  uncompress(bytes: Uint8Array): Uint8Array;
}

export function encodeSnappy(raw: RawSnappy, input: Uint8Array): Uint8Array {
  const header = new Uint8Array(HEADER_BYTES);
  header.set(MAGIC);
  const versions = new DataView(header.buffer);
  versions.setInt32(8, 1);
  versions.setInt32(12, 1);
  const parts: Uint8Array[] = [header];
  for (let at = 0; at < input.length; at += WRITTEN_BLOCK_BYTES) {
    const block = raw.compress(input.subarray(at, at + WRITTEN_BLOCK_BYTES));
    const length = new Uint8Array(4);
    new DataView(length.buffer).setInt32(0, block.length);
    parts.push(length, block);
  }
  return Buffer.concat(parts);
}

/** Adds up what the heads of all blocks claim before it allocates or decodes anything. */
export function decodeSnappy(
  raw: RawSnappy,
  input: Uint8Array,
  maxBytes: number,
): Uint8Array | 'corrupt' | 'too-large' {
  const blocks = isFramed(input, 0) ? splitFrames(input) : [input];
  if (blocks === undefined) return 'corrupt';
  let sizeBytes = 0;
  for (const block of blocks) {
    const claimed = uncompressedLength(block);
    if (claimed === undefined) return 'corrupt';
    sizeBytes += claimed;
    if (sizeBytes > maxBytes) return 'too-large';
  }
  if (blocks.length === 1) return uncompress(raw, blocks[0] as Uint8Array);
  const output = new Uint8Array(sizeBytes);
  let at = 0;
  for (const block of blocks) {
    const bytes = uncompress(raw, block);
    if (bytes === 'corrupt') return bytes;
    output.set(bytes, at);
    at += bytes.length;
  }
  return output;
}

function uncompress(raw: RawSnappy, block: Uint8Array): Uint8Array | 'corrupt' {
  try {
    return raw.uncompress(block);
  } catch {
    // The native decoder has one way to say that the input is not Snappy.
    return 'corrupt';
  }
}

function isFramed(input: Uint8Array, at: number): boolean {
  for (let index = 0; index < MAGIC.length; index++) if (input[at + index] !== MAGIC[index]) return false;
  return true;
}

/** The raw blocks; streams may be concatenated, each with a header of its own, as snappy-java reads them. */
function splitFrames(input: Uint8Array): Uint8Array[] | undefined {
  const view = new DataView(input.buffer, input.byteOffset, input.byteLength);
  const blocks: Uint8Array[] = [];
  let at = 0;
  while (at < input.length) {
    if (isFramed(input, at)) {
      if (at + HEADER_BYTES > input.length || view.getInt32(at + 12) > 1) return undefined;
      at += HEADER_BYTES;
      continue;
    }
    if (at + 4 > input.length) return undefined;
    const end = at + 4 + view.getUint32(at);
    if (end > input.length) return undefined;
    blocks.push(input.subarray(at + 4, end));
    at = end;
  }
  return blocks;
}

/** The varint at the head of a raw block: at most 32 bits. */
function uncompressedLength(block: Uint8Array): number | undefined {
  let length = 0;
  for (let index = 0; index < 5; index++) {
    const byte = block[index];
    if (byte === undefined) return undefined;
    length += (byte & 0x7f) * 2 ** (7 * index);
    if (byte < 0x80) return length < 2 ** 32 ? length : undefined;
  }
  return undefined;
}
