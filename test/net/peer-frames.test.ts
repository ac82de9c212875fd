import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { MemoryBudget } from '#net/memory-budget';
import { FRAGMENT_BYTES_MAX, Lane, MESSAGE_BYTES_MAX, PeerFrameReader, writeWord } from '#net/peer-frames';

interface Message {
  readonly kind: number;
  readonly payload: Uint8Array;
}

function setUp(reserveBytes = 1 << 24) {
  const messages: Message[] = [];
  const reserve = new MemoryBudget(reserveBytes);
  const reader = new PeerFrameReader(reserve, (kind, payload) => messages.push({ kind, payload }));
  return { messages, reserve, reader };
}

function frames(lane: Lane, { kind, payload }: Message): Uint8Array[] {
  const all: Uint8Array[] = [];
  let at = 0;
  do {
    const piece = payload.subarray(at, at + FRAGMENT_BYTES_MAX);
    at += piece.length;
    all.push(Buffer.concat([writeWord(lane, kind, piece.length, at < payload.length), piece]));
  } while (at < payload.length);
  return all;
}

const arbitraryMessage = fc
  .record({
    kind: fc.integer({ min: 0, max: 63 }),
    sizeBytes: fc.oneof(
      fc.integer({ min: 0, max: 300 }),
      fc.constantFrom(FRAGMENT_BYTES_MAX - 1, FRAGMENT_BYTES_MAX, FRAGMENT_BYTES_MAX + 1, 3 * FRAGMENT_BYTES_MAX),
    ),
    fill: fc.integer({ min: 0, max: 255 }),
  })
  .map(({ kind, sizeBytes, fill }) => ({ kind, payload: new Uint8Array(sizeBytes).fill(fill) }));

const arbitraryCuts = fc.array(fc.oneof(fc.constant(1), fc.integer({ min: 1, max: 100_000 })), { minLength: 1 });

function feed(reader: PeerFrameReader, bytes: Uint8Array, cuts: readonly number[]): string | undefined {
  for (let at = 0, turn = 0; at < bytes.length; turn += 1) {
    const size = cuts[turn % cuts.length] as number;
    // A read buffer is used again for the next read.
    const read = new Uint8Array(bytes.subarray(at, at + size));
    const fault = reader.take(read);
    read.fill(0xee);
    if (fault !== undefined) return fault;
    at += size;
  }
  return undefined;
}

describe('frames of peers', () => {
  it('become messages again, in order and unharmed, however the bytes are cut', () => {
    fc.assert(
      fc.property(fc.array(arbitraryMessage, { maxLength: 6 }), arbitraryCuts, (sent, cuts) => {
        const { reader, messages, reserve } = setUp();
        const bytes = Buffer.concat(sent.flatMap((message) => frames(Lane.Urgent, message)));
        expect(feed(reader, bytes, bytes.length > 10_000 ? cuts.map((cut) => cut + 50) : cuts)).toBeUndefined();
        expect(messages.map(({ kind }) => kind)).toEqual(sent.map(({ kind }) => kind));
        for (const [index, { payload }] of messages.entries()) {
          expect(Buffer.compare(payload, sent[index]?.payload as Uint8Array)).toBe(0);
        }
        expect(reserve.usedBytes).toBe(0);
      }),
      { numRuns: 60 },
    );
  });

  it('of two lanes mix: an urgent message is whole before the bulk message in whose midst it came', () => {
    const { reader, messages } = setUp();
    const bulk = frames(Lane.Bulk, { kind: 1, payload: new Uint8Array(3 * FRAGMENT_BYTES_MAX).fill(1) });
    const urgent = frames(Lane.Urgent, { kind: 2, payload: new Uint8Array(FRAGMENT_BYTES_MAX + 5).fill(2) });
    const mixed = [bulk[0], urgent[0], bulk[1], urgent[1], bulk[2]] as Uint8Array[];
    expect(reader.take(Buffer.concat(mixed))).toBeUndefined();
    expect(messages.map(({ kind, payload }) => [kind, payload.length])).toEqual([
      [2, FRAGMENT_BYTES_MAX + 5],
      [1, 3 * FRAGMENT_BYTES_MAX],
    ]);
    expect(messages[0]?.payload.every((byte) => byte === 2)).toBe(true);
  });

  it.each<[string, readonly Uint8Array[], RegExp]>([
    ['a frame is larger than the largest', [Uint8Array.of(0, 0xff, 0xff, 0xff)], /announced a frame of 16777215/],
    ['the bytes are of another protocol', [Buffer.from('GET / HTTP/1.1\r\n\r\n')], /announced a frame/],
    ['a message is cut into crumbs', [writeWord(0, 1, 1, true)], /not full/],
    [
      'a message changes its kind',
      [writeWord(0, 1, FRAGMENT_BYTES_MAX, true), new Uint8Array(FRAGMENT_BYTES_MAX), writeWord(0, 2, 1, false)],
      /mixed/,
    ],
  ])('are refused when %s', (_, chunks, sentence) => {
    const bytes = Buffer.concat(chunks);
    expect(setUp().reader.take(bytes)).toMatch(sentence);
    expect(feed(setUp().reader, bytes, [1])).toMatch(sentence);
  });

  it('are refused beyond the limit of a message, which holds before the bytes have come', () => {
    const { reader } = setUp();
    reader.messageBytesMax = 100;
    expect(reader.take(writeWord(0, 1, 100, false))).toBeUndefined();
    reader.take(new Uint8Array(100));
    expect(reader.take(writeWord(0, 1, 101, false))).toMatch(/more than 100 bytes/);
  });

  it('take a message of the largest size, and no byte more', () => {
    const payload = new Uint8Array(MESSAGE_BYTES_MAX);
    const largest = setUp();
    for (const frame of frames(Lane.Bulk, { kind: 1, payload })) expect(largest.reader.take(frame)).toBeUndefined();
    expect(largest.messages[0]?.payload.length).toBe(MESSAGE_BYTES_MAX);
    const { reader } = setUp();
    const full = Buffer.concat([writeWord(1, 1, FRAGMENT_BYTES_MAX, true), new Uint8Array(FRAGMENT_BYTES_MAX)]);
    for (let count = 0; count < MESSAGE_BYTES_MAX / FRAGMENT_BYTES_MAX; count += 1) reader.take(full);
    expect(reader.take(writeWord(1, 1, 1, false))).toMatch(/more than/);
  });

  it('are refused when the reserve is used up, and give it back when they close', () => {
    const { reader, reserve, messages } = setUp(2 * FRAGMENT_BYTES_MAX);
    const full = Buffer.concat([writeWord(1, 1, FRAGMENT_BYTES_MAX, true), new Uint8Array(FRAGMENT_BYTES_MAX)]);
    expect(reader.take(Buffer.concat([full, full]))).toBeUndefined();
    expect(reserve.freeBytes).toBe(0);
    expect(reader.take(Buffer.concat([writeWord(0, 2, 1, false), Uint8Array.of(9)]))).toBeUndefined();
    expect(messages).toHaveLength(1);
    expect(reader.take(full)).toMatch(/memory/);
    reader.close();
    expect(reserve.usedBytes).toBe(0);
  });

  it('never throw, whatever the bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 600 }), arbitraryCuts, (bytes, cuts) => {
        const { reader, reserve } = setUp();
        feed(reader, bytes, cuts);
        reader.close();
        expect(reserve.usedBytes).toBe(0);
      }),
    );
  });
});
