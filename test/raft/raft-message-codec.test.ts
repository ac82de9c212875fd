import fc from 'fast-check';
import { Packr } from 'msgpackr/pack';
import { describe, expect, test } from 'vitest';
import { type NodeId, nodeId, type Uuid, uuidFromBytes } from '#model/ids';
import type { ReplicaKey, Voter } from '#model/voter';
import { RaftMessageError } from '#raft/field-reader';
import type { PeerAddress, RaftEntry, ReplicaMessage } from '#raft/messages';
import { RaftMessageCodec } from '#raft/raft-message-codec';
import { bytesOf, entryOf, keyOf, voterOf } from './support.ts';

const epochs = fc.oneof(fc.nat(10), fc.integer({ min: 0, max: 2 ** 32 - 1 }));
const indexes = fc.oneof(fc.nat(300), fc.maxSafeNat());
const counts = fc.nat();
const payloads = fc.uint8Array({ maxLength: 300 });
const ids: fc.Arbitrary<NodeId> = fc.nat().map(nodeId);
const uuids: fc.Arbitrary<Uuid> = fc.uint8Array({ minLength: 16, maxLength: 16 }).map(uuidFromBytes);
const keys: fc.Arbitrary<ReplicaKey> = fc.record({ id: ids, directoryId: uuids });
const hosts = fc.oneof(fc.domain(), fc.ipV6());
const addresses: fc.Arbitrary<PeerAddress> = fc.record({ id: ids, host: hosts, port: fc.nat(65_535) });
const replicas: fc.Arbitrary<Voter> = fc.record({ id: ids, host: hosts, port: fc.nat(65_535), directoryId: uuids });

type MessageOf<K extends ReplicaMessage['kind']> = Extract<ReplicaMessage, { kind: K }>;

function of<K extends ReplicaMessage['kind']>(
  kind: K,
  fields: { [F in Exclude<keyof MessageOf<K>, 'kind'>]: fc.Arbitrary<MessageOf<K>[F]> },
): fc.Arbitrary<ReplicaMessage> {
  const record: fc.Arbitrary<object> = fc.record(fields as Record<string, fc.Arbitrary<unknown>>);
  return record.map((message) => ({ kind, ...message }) as ReplicaMessage);
}

const appends = fc
  .record({
    epoch: epochs,
    leader: keys,
    to: keys,
    prevIndex: fc.nat(2 ** 40),
    prevEpoch: epochs,
    commitIndex: indexes,
    round: indexes,
    entries: fc.array(fc.record({ epoch: epochs, payload: payloads }), { maxLength: 5 }),
  })
  .map(({ entries, ...rest }): ReplicaMessage => {
    const numbered = entries.map((entry, position): RaftEntry => ({ index: rest.prevIndex + 1 + position, ...entry }));
    return { kind: 'append', ...rest, entries: numbered };
  });

const messages: fc.Arbitrary<ReplicaMessage> = fc.oneof(
  of('voteRequest', {
    epoch: epochs,
    pre: fc.boolean(),
    candidate: keys,
    voter: keys,
    lastIndex: indexes,
    lastEpoch: epochs,
    transfer: fc.boolean(),
  }),
  of('voteResponse', { epoch: epochs, pre: fc.boolean(), voter: keys, granted: fc.boolean() }),
  appends,
  of('appendResponse', {
    epoch: epochs,
    from: keys,
    round: indexes,
    prevIndex: indexes,
    success: fc.boolean(),
    lastIndex: indexes,
    lastEpoch: epochs,
    durableIndex: indexes,
  }),
  of('snapshotChunk', {
    epoch: epochs,
    leader: keys,
    to: keys,
    index: indexes,
    indexEpoch: epochs,
    position: counts,
    payload: payloads,
    last: fc.boolean(),
    round: indexes,
  }),
  of('snapshotResponse', {
    epoch: epochs,
    from: keys,
    index: indexes,
    nextPosition: counts,
    installed: fc.boolean(),
    round: indexes,
  }),
  of('takeOver', { epoch: epochs, leader: keys, to: keys }),
  of('join', { epoch: epochs, observer: replicas, lastIndex: indexes, lastEpoch: epochs, wantsVote: fc.boolean() }),
  of('joinResponse', { epoch: epochs, leader: fc.option(replicas, { nil: undefined }) }),
  of('introduction', {
    key: keys,
    to: fc.option(keys, { nil: undefined }),
    voters: fc.array(addresses, { maxLength: 5 }),
    state: fc.constantFrom('empty', 'member'),
    clusterId: fc.option(uuids, { nil: undefined }),
  }),
  of('bootstrap', { entry: fc.record({ index: indexes, epoch: epochs, payload: payloads }) }),
);

const codec = new RaftMessageCodec();

describe('the replicas’ messages as bytes', () => {
  test('every message comes back as it was', () => {
    fc.assert(
      fc.property(messages, (message) => {
        expect(codec.decode(codec.encode(message))).toEqual(message);
      }),
      { numRuns: 1000 },
    );
  });

  test('every truncation is refused as such', () => {
    fc.assert(
      fc.property(messages, fc.nat(), (message, cut) => {
        const bytes = codec.encode(message);
        expect(() => codec.decode(bytes.subarray(0, cut % bytes.length))).toThrow(RaftMessageError);
      }),
      { numRuns: 500 },
    );
  });

  test('a mutation is refused, or read as a message within its limits; nothing else is thrown', () => {
    const mutations = fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 4 });
    fc.assert(
      fc.property(messages, mutations, (message, changes) => {
        const bytes = codec.encode(message);
        for (const [at, value] of changes) bytes[at % bytes.length] = value;
        let read: ReplicaMessage;
        try {
          read = codec.decode(bytes);
        } catch (error) {
          expect(error).toBeInstanceOf(RaftMessageError);
          return;
        }
        expect(codec.decode(codec.encode(read))).toEqual(read);
      }),
      { numRuns: 3000 },
    );
  });

  test.each([
    ['array32 of 4 G items', [0xdd, 0xff, 0xff, 0xff, 0xff]],
    ['bin32 of 4 GB', [0x93, 0x00, 0x00, 0xc6, 0xff, 0xff, 0xff, 0xff]],
    ['str32 of 4 GB', [0x93, 0x00, 0x00, 0xdb, 0xff, 0xff, 0xff, 0xff]],
    ['map32 of 4 G entries', [0xdf, 0xff, 0xff, 0xff, 0xff]],
    ['arrays in arrays, 100,000 deep', new Array<number>(100_000).fill(0x91)],
    ['an extension of 4 GB', [0xc9, 0xff, 0xff, 0xff, 0xff, 0x01]],
  ])('a length is not believed before the bytes are there: %s', (_, bytes) => {
    const before = process.memoryUsage().rss;
    for (let count = 0; count < 20; count += 1)
      expect(() => codec.decode(Uint8Array.from(bytes))).toThrow(RaftMessageError);
    expect(process.memoryUsage().rss - before).toBeLessThan(64 * 1024 * 1024);
  });

  test('neither the message nor the entries keep a part of what was received, nor of the packer', () => {
    const entries = [entryOf(2, 1, 'first'), entryOf(3, 1, 'second')];
    const append: ReplicaMessage = {
      kind: 'append',
      epoch: 1,
      leader: keyOf(1),
      to: keyOf(2),
      prevIndex: 1,
      prevEpoch: 0,
      entries,
      commitIndex: 1,
      round: 1,
    };
    const bytes = codec.encode(append);
    const read = codec.decode(bytes);
    codec.encode({ ...append, entries: [entryOf(2, 1, 'other')] });
    bytes.fill(0xff);
    expect(read).toEqual(append);
  });

  test('what a later release writes is refused by name', () => {
    const packr = new Packr({ useRecords: false });
    expect(() => codec.decode(packr.pack([99, 0]))).toThrow('type 99, version 0: not known to this release');
    expect(() => codec.decode(packr.pack([6, 1, 3]))).toThrow('type 6, version 1: not known to this release');
    const longer = [
      ...(packr.unpack(codec.encode({ kind: 'takeOver', epoch: 1, leader: keyOf(1), to: keyOf(2) })) as unknown[]),
      1,
    ];
    expect(() => codec.decode(packr.pack(longer))).toThrow(RaftMessageError);
  });

  test('the bytes of version 0 never change', () => {
    const uuid = 'AQAAAAAAAAAAAAAAAAAAAA';
    const golden = (message: ReplicaMessage): unknown => new Packr({ useRecords: false }).unpack(codec.encode(message));
    expect(voterOf(1).directoryId).toBe(uuid);
    expect(golden({ kind: 'takeOver', epoch: 7, leader: keyOf(1), to: keyOf(1) })).toEqual([6, 0, 7, 1, uuid, 1, uuid]);
    expect(golden({ kind: 'bootstrap', entry: { index: 1, epoch: 0, payload: bytesOf('x') } })).toMatchObject([
      10,
      0,
      1,
      0,
      bytesOf('x'),
    ]);
    expect(Buffer.from(codec.encode({ kind: 'joinResponse', epoch: 2, leader: undefined })).toString('hex')).toBe(
      '94080002c0',
    );
  });
});
