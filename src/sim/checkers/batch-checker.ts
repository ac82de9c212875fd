import { BATCH_HEADER_BYTES, type BatchHeader } from '#protocol/record-batch';
import { check } from './violation.ts';

export type Crc32c = (bytes: Uint8Array) => number;

interface SeenBatch {
  readonly who: string;
  readonly bytes: Uint8Array;
}

/**
 * I12: what one leader epoch has put at an offset is the same, byte by byte, on every disk that has it or ever had: a leader that loses
 * its power and is back at once does not go on where it was.
 */
export class BatchChecker {
  /** By epoch and offset, of each partition; all that a seed writes is less than a megabyte. */
  readonly #partitions = new Map<string, Map<string, SeenBatch>>();

  found(who: string, partition: string, header: BatchHeader, bytes: Uint8Array): void {
    const { partitionLeaderEpoch: epoch, baseOffset } = header;
    let batches = this.#partitions.get(partition);
    if (batches === undefined) {
      batches = new Map();
      this.#partitions.set(partition, batches);
    }
    const key = `${epoch} ${baseOffset}`;
    const seen = batches.get(key);
    if (seen === undefined) batches.set(key, { who, bytes: bytes.slice() });
    else
      check(
        Buffer.compare(seen.bytes, bytes) === 0,
        'I12',
        () =>
          `at ${baseOffset} of ${partition}, from the leader of epoch ${epoch}, ${who} has ${wordsOf(bytes)}, and ${seen.who} had ${wordsOf(seen.bytes)}`,
      );
  }
}

function wordsOf(bytes: Uint8Array): string {
  return `${bytes.length} bytes (…${Buffer.from(bytes.subarray(BATCH_HEADER_BYTES))
    .toString('latin1')
    .replace(/[^\x20-\x7e]+/g, ' ')})`;
}
