import fc from 'fast-check';
import { Packr } from 'msgpackr/pack';
import { describe, expect, test } from 'vitest';
import { MalformedRecordError } from '#metadata/field-reader';
import { RecordCodec } from '#metadata/record-codec';
import { type MetadataRecord, ResourceType } from '#metadata/records';
import { leaderEpoch, nodeId, producerId } from '#model/ids';
import { anyRecord } from './arbitrary-record.ts';
import { testUuid } from './support.ts';

const codec = new RecordCodec();
const [ONE, TWO] = [nodeId(1), nodeId(2)];

/** Written by Odradek 0.1.0. They never change: a new form is a new version beside it. */
const GOLDEN: readonly (readonly [MetadataRecord, string])[] = [
  [
    {
      kind: 'bootstrap',
      clusterId: testUuid(1),
      voters: [{ id: ONE, directoryId: testUuid(2), host: 'localhost', port: 9093 }],
      targetSize: 3,
    },
    '91956400b642776348427763484277634842776348427763484151919401b642776348427763484277634842776348427763484167a96c6f63616c686f7374cd238503',
  ],
  [
    {
      kind: 'registerBroker',
      broker: {
        id: ONE,
        incarnation: testUuid(3),
        brokerEpoch: 0,
        fenced: true,
        rack: null,
        listeners: [{ name: 'PLAINTEXT', host: '127.0.0.1', port: 9092 }],
        directories: [testUuid(2)],
        features: [{ name: 'metadata.version', min: 7, max: 30 }],
      },
    },
    '919a000001b64277634842776348427763484277634842776348417700c3c09193a9504c41494e54455854a93132372e302e302e31cd238491b6427763484277634842776348427763484277634841679193b06d657461646174612e76657273696f6e071e',
  ],
  [{ kind: 'unregisterBroker', id: ONE, brokerEpoch: 2 ** 40 }, '9194010001cb4270000000000000'],
  [{ kind: 'fenceBroker', id: ONE, brokerEpoch: 5 }, '919407000105'],
  [{ kind: 'unfenceBroker', id: ONE, brokerEpoch: 5 }, '919408000105'],
  [{ kind: 'brokerChange', id: ONE, brokerEpoch: 5, draining: true, directories: null }, '919611000105c3c0'],
  [
    { kind: 'brokerChange', id: ONE, brokerEpoch: 5, draining: null, directories: [testUuid(2)] },
    '919611000105c091b642776348427763484277634842776348427763484167',
  ],
  [
    {
      kind: 'voters',
      voters: [{ id: ONE, directoryId: testUuid(2), host: 'localhost', port: 9093 }],
      joining: null,
    },
    '91946500919401b642776348427763484277634842776348427763484167a96c6f63616c686f7374cd238590',
  ],
  [
    {
      kind: 'voters',
      voters: [{ id: ONE, directoryId: testUuid(2), host: 'localhost', port: 9093 }],
      joining: { id: TWO, directoryId: testUuid(5) },
    },
    '91946500919401b642776348427763484277634842776348427763484167a96c6f63616c686f7374cd2385919202b642776348427763484277634842776348427763484251',
  ],
  [
    { kind: 'topic', name: 'orders', id: testUuid(4) },
    '91940200a66f7264657273b642776348427763484277634842776348427763484241',
  ],
  [{ kind: 'removeTopic', id: testUuid(4) }, '91930900b642776348427763484277634842776348427763484241'],
  [
    {
      kind: 'partition',
      topicId: testUuid(4),
      state: {
        partition: 0,
        replicas: [ONE, TWO],
        isr: [ONE],
        elr: [],
        removing: [],
        adding: [TWO],
        leader: null,
        leaderEpoch: leaderEpoch(7),
        partitionEpoch: 9,
        directories: [testUuid(2), testUuid(5)],
      },
    },
    '919d0300b64277634842776348427763484277634842776348424100920102910190909102c0070992b642776348427763484277634842776348427763484167b642776348427763484277634842776348427763484251',
  ],
  [
    {
      kind: 'partitionChange',
      topicId: testUuid(4),
      partition: 0,
      leader: 'none',
      isr: [ONE],
      elr: null,
      replicas: null,
      removing: null,
      adding: null,
      directories: null,
    },
    '919b0500b64277634842776348427763484277634842776348424100c29101c0c0c0c0c0',
  ],
  [
    { kind: 'config', resourceType: ResourceType.Topic, resourceName: 'orders', key: 'retention.ms', value: '-1' },
    '9196040002a66f7264657273ac726574656e74696f6e2e6d73a22d31',
  ],
  [{ kind: 'producerIds', brokerId: ONE, brokerEpoch: 5, nextProducerId: producerId(1000) }, '91950f000105cd03e8'],
  [{ kind: 'featureLevel', name: 'kraft.version', level: 1, epoch: 0 }, '91950c00ad6b726166742e76657273696f6e0100'],
  [{ kind: 'noOp' }, '91921400'],
];

describe('metadata records as bytes', () => {
  test.each(GOLDEN)('$kind has its golden bytes', (record, hex) => {
    expect(Buffer.from(codec.encode([record])).toString('hex')).toBe(hex);
    expect(codec.decode(Buffer.from(hex, 'hex'))).toEqual([record]);
  });

  test('golden bytes cover every kind', () => {
    const kinds = new Set(fc.sample(anyRecord, 2000).map(({ kind }) => kind));
    expect(new Set(GOLDEN.map(([{ kind }]) => kind))).toEqual(kinds);
  });

  test('every record survives the round trip', () => {
    fc.assert(
      fc.property(fc.array(anyRecord, { maxLength: 6 }), (records) => {
        expect(codec.decode(codec.encode(records))).toEqual(records);
      }),
    );
  });

  test('earlier bytes stay as they are when later ones are made', () => {
    const first = codec.encode([{ kind: 'topic', name: 'first', id: testUuid(1) }]);
    const copy = Uint8Array.from(first);
    for (let i = 0; i < 2000; i += 1) codec.encode([{ kind: 'topic', name: `later-${i}`, id: testUuid(2) }]);
    expect(first).toEqual(copy);
  });

  test('damaged bytes are refused or other valid records, never another failure', () => {
    fc.assert(
      fc.property(
        fc.array(anyRecord, { minLength: 1, maxLength: 4 }),
        fc.nat(),
        fc.integer({ min: 1, max: 255 }),
        (records, where, flip) => {
          const bytes = codec.encode(records);
          const at = where % bytes.length;
          bytes[at] = (bytes[at] ?? 0) ^ flip;
          try {
            codec.encode(codec.decode(bytes));
          } catch (failure) {
            expect(failure).toBeInstanceOf(MalformedRecordError);
          }
        },
      ),
      { numRuns: 1000 },
    );
  });

  test('every truncation is refused', () => {
    fc.assert(
      fc.property(fc.array(anyRecord, { minLength: 1, maxLength: 4 }), fc.nat(), (records, where) => {
        const bytes = codec.encode(records);
        expect(() => codec.decode(bytes.subarray(0, where % bytes.length))).toThrow(MalformedRecordError);
      }),
    );
  });

  test.each([
    ['an unknown type', [[99, 0]]],
    ['a later version', [[20, 1]]],
    ['a field too many', [[20, 0, 1]]],
    ['a field too few', [[2, 0, 'orders']]],
    ['a field of another type', [[2, 0, 'orders', 5]]],
    ['a negative id', [[7, 0, -1, 5]]],
    ['a fraction', [[7, 0, 1.5, 5]]],
    ['an unknown resource', [[4, 0, 3, 'x', 'k', 'v']]],
    ['no list of records', { records: [] }],
    ['a record that is no array', ['topic']],
  ])('%s is refused', (_, value) => {
    const bytes = new Packr({ useRecords: false }).pack(value);
    expect(() => codec.decode(bytes)).toThrow(MalformedRecordError);
  });
});
