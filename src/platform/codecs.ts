import { createRequire } from 'node:module';
import { constants, gunzipSync, gzipSync, zstdCompressSync, zstdDecompressSync } from 'node:zlib';
import { unreachable } from '#base/assert';
import { Codec, type Codecs } from '#base/ports';
import { createCrc32c } from './crc32c.ts';
import { decodeLz4Frames, encodeLz4Frame } from './lz4.ts';
import { decodeSnappy, encodeSnappy, type RawSnappy } from './snappy.ts';

type Crc32cPackage = { crc32c(input: Uint8Array, initialState?: number): number };
type SnappyPackage = { compressSync(input: Uint8Array): Buffer; uncompressSync(input: Uint8Array): Buffer };
type Lz4Package = { compressSync(input: Buffer): Buffer };

/**
 * The codecs of record batches over node:zlib and the native packages. A package that is missing costs its codec
 * ('unavailable'), never the node: CRC-32C and the decoding of lz4 have implementations of their own.
 * `load` gives a package by name or throws.
 */
export function createCodecs(load: (name: string) => unknown = createRequire(import.meta.url)): Codecs {
  const crc = optional<Crc32cPackage>(load, '@node-rs/crc32');
  // Loaded when a batch needs them: most nodes pass batches through as they are, and idle some megabytes smaller.
  const lz4 = lazily(() => optional<Lz4Package>(load, 'lz4-napi'));
  const snappy = lazily((): RawSnappy | undefined => {
    const native = optional<SnappyPackage>(load, 'snappy');
    if (native === undefined) return undefined;
    return { compress: (bytes) => native.compressSync(bytes), uncompress: (bytes) => native.uncompressSync(bytes) };
  });

  return {
    crc32c: crc ? (bytes, seed) => crc.crc32c(bytes, seed) : createCrc32c(),

    compress(codec, bytes, level) {
      switch (codec) {
        case Codec.None:
          return bytes;
        case Codec.Gzip:
          return gzipSync(bytes, level === undefined ? {} : { level });
        case Codec.Snappy:
          return withPackage(snappy(), (native) => encodeSnappy(native, bytes));
        case Codec.Lz4:
          return withPackage(lz4(), (native) => encodeLz4Frame(bytes, (block) => native.compressSync(asBuffer(block))));
        case Codec.Zstd:
          return zstdCompressSync(bytes, zstdOptions(level));
        default:
          return unreachable(codec);
      }
    },

    decompress(codec, bytes, maxBytes) {
      switch (codec) {
        case Codec.None:
          return bytes.length > maxBytes ? 'too-large' : bytes;
        case Codec.Gzip:
          return inflate(gunzipSync, bytes, maxBytes);
        case Codec.Snappy:
          return withPackage(snappy(), (native) => decodeSnappy(native, bytes, maxBytes));
        case Codec.Lz4:
          return decodeLz4Frames(bytes, maxBytes);
        case Codec.Zstd:
          // A frame may claim a window of up to 128 MiB (level 22 does); what is not written of it is never resident.
          return inflate(zstdDecompressSync, bytes, maxBytes);
        default:
          return unreachable(codec);
      }
    },
  };
}

function optional<Package>(load: (name: string) => unknown, name: string): Package | undefined {
  try {
    return load(name) as Package;
  } catch {
    // Not built for this platform, or left out at install: the caller tells by 'unavailable'.
    return undefined;
  }
}

function lazily<T>(make: () => T): () => T {
  let made: { readonly value: T } | undefined;
  return () => {
    made ??= { value: make() };
    return made.value;
  };
}

function withPackage<Package, Result>(
  native: Package | undefined,
  use: (native: Package) => Result,
): Result | 'unavailable' {
  return native === undefined ? 'unavailable' : use(native);
}

function zstdOptions(level: number | undefined): { params?: Record<number, number> } {
  return level === undefined ? {} : { params: { [constants.ZSTD_c_compressionLevel]: level } };
}

const CHUNK_BYTES_MIN = 16 * 1024;
const CHUNK_BYTES_MAX = 1024 * 1024;

/** node:zlib gives its output in chunks and counts them: it stops one chunk after the bound at the latest. */
function inflate(
  decode: (bytes: Uint8Array, options: { maxOutputLength: number; chunkSize: number }) => Uint8Array,
  bytes: Uint8Array,
  maxBytes: number,
): Uint8Array | 'corrupt' | 'too-large' {
  const chunkSize = Math.max(CHUNK_BYTES_MIN, Math.min(CHUNK_BYTES_MAX, maxBytes, bytes.length * 4));
  try {
    return decode(bytes, { maxOutputLength: Math.max(1, maxBytes), chunkSize });
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE' ? 'too-large' : 'corrupt';
  }
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
