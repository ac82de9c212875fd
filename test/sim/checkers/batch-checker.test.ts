import { describe, expect, test } from 'vitest';
import { createCodecs } from '#platform/codecs';
import { type BatchHeader, readBatchHeader } from '#protocol/record-batch';
import { buildBatch } from '#protocol/record-batch-builder';
import { BatchChecker } from '#sim/checkers/batch-checker';
import { PartitionImage } from '#sim/checkers/partition-image';

const codecs = createCodecs();

function batch(baseOffset: number, leaderEpoch: number, value: string): Uint8Array {
  const records = [{ timestamp: 1, key: null, value: Buffer.from(value) }];
  const built = buildBatch({ baseOffset, leaderEpoch, records }, codecs);

  return built;
}

describe('the checker of batches', () => {
  const found = (checker: BatchChecker, who: string, bytes: Uint8Array, partition = 'data-0') =>
    checker.found(who, partition, readBatchHeader(bytes, 0) as BatchHeader, bytes);

  test('I12: one leader epoch has put two things at an offset', () => {
    const checker = new BatchChecker();
    found(checker, 'n1#1', batch(5, 2, 'one'));
    found(checker, 'n2#1', batch(5, 2, 'one'));
    expect(() => found(checker, 'n1#2', batch(5, 2, 'other'))).toThrow(
      /I12: at 5 of data-0, from the leader of epoch 2, n1#2 has .*other.* and n1#1 had .*one/,
    );
  });

  test('is content with another leader epoch, offset or partition', () => {
    const checker = new BatchChecker();
    found(checker, 'n1#1', batch(5, 2, 'one'));
    found(checker, 'n2#1', batch(5, 3, 'other'));
    found(checker, 'n2#1', batch(6, 2, 'other'));
    expect(() => found(checker, 'n2#1', batch(5, 2, 'other'), 'data-1')).not.toThrow();
  });
});

describe('the image of a partition on a disk', () => {
  const files = new Map<string, Uint8Array>();
  const disk = {
    peek: (path: string) => files.get(path.replace('t-0/', '')),
    peekNames: () => [...files.keys()],
  };
  const first = '00000000000000000000.log';
  const second = '00000000000000000002.log';

  test('is of whole batches without a gap, read as they come, and anew after a cut', () => {
    const image = new PartitionImage(disk, codecs.crc32c, 't', 0);
    const seen: string[] = [];
    const look = (): number => {
      image.look(({ baseOffset, partitionLeaderEpoch }) => seen.push(`${baseOffset} of ${partitionLeaderEpoch}`));
      return image.endOffset;
    };
    expect(look()).toBe(0);
    files.set(first, Buffer.concat([batch(0, 1, 'a'), batch(1, 1, 'b').subarray(0, 50)]));
    expect(look()).toBe(1);
    files.set(first, Buffer.concat([batch(0, 1, 'a'), batch(1, 1, 'b')]));
    files.set(second, batch(2, 1, 'c'));
    files.set('00000000000000000009.log', batch(9, 1, 'behind a gap'));
    expect(look()).toBe(3);
    files.delete(second);
    files.set(first, batch(0, 1, 'a'));
    expect(look()).toBe(1);
    files.set(first, Buffer.concat([batch(0, 1, 'a'), batch(1, 2, 'd')]));
    expect(look()).toBe(2);
    expect(seen).toEqual(['0 of 1', '1 of 1', '2 of 1', '0 of 1', '1 of 2']);
    const rotten = Buffer.from(files.get(first) as Uint8Array);
    rotten.writeUInt8(rotten.readUInt8(65) ^ 1, 65);
    files.set(first, rotten);
    image.look(() => {}, true);
    expect(image.endOffset).toBe(0);
  });
});
