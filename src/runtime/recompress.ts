import { Codec, type Codecs } from '#base/ports';
import { ErrorCode } from '#model/errors';
import type { TopicConfig } from '#model/topic-config';
import { type BatchHeader, codecOf, readBatchHeader } from '#protocol/record-batch';
import { recompressBatch } from '#protocol/record-batch-builder';
import type { RecordsFailure } from '#protocol/records';

type TopicCodec = Exclude<TopicConfig['compressionType'], 'producer'>;
const CODECS: Readonly<Record<TopicCodec, Codec>> = {
  uncompressed: Codec.None,
  gzip: Codec.Gzip,
  snappy: Codec.Snappy,
  lz4: Codec.Lz4,
  zstd: Codec.Zstd,
};
/** A batch may unfold to this much on its way to another codec. */
const UNFOLDED_BYTES_MAX = 128 << 20;

/**
 * A batch in the codec that its topic asks for (`compression.type` other than producer); unchanged if it is in it already. What comes
 * out is bound by max.message.bytes like what came in.
 */
export function recompress(
  bytes: Uint8Array,
  header: BatchHeader,
  config: TopicConfig,
  codecs: Codecs,
): { readonly bytes: Uint8Array; readonly headers: readonly BatchHeader[] } | { readonly error: ErrorCode } {
  if (config.compressionType === 'producer') return { bytes, headers: [header] };
  const codec = CODECS[config.compressionType];
  if (codecOf(header) === codec) return { bytes, headers: [header] };
  const target = { codec, level: levelOf(codec, config) };
  const unfoldedBytesMax = codec === Codec.None ? config.maxMessageBytes : UNFOLDED_BYTES_MAX;
  const again = recompressBatch(bytes, header, target, unfoldedBytesMax, codecs);
  if (typeof again === 'string') return { error: decodeError(again) };
  if (again.length > config.maxMessageBytes) return { error: ErrorCode.MessageTooLarge };
  const rebuilt = readBatchHeader(again, 0);
  if (typeof rebuilt === 'string') return { error: ErrorCode.CorruptMessage };
  return { bytes: again, headers: [rebuilt] };
}

function levelOf(codec: Codec, config: TopicConfig): number | undefined {
  if (codec === Codec.Gzip) return config.compressionGzipLevel;
  if (codec === Codec.Lz4) return config.compressionLz4Level;
  if (codec === Codec.Zstd) return config.compressionZstdLevel;
  return undefined;
}

function decodeError(failure: RecordsFailure): ErrorCode {
  if (failure === 'too-large') return ErrorCode.MessageTooLarge;
  return failure === 'unavailable' ? ErrorCode.UnsupportedCompressionType : ErrorCode.CorruptMessage;
}
