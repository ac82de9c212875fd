import { describe, expect, test } from 'vitest';
import { assert } from '#base/assert';
import type { CoordinatorRecord } from '#coordinator/effects';
import { groupRecord, offsetRecord, readGroupRecord } from '#coordinator/group-records';
import { uuid, ZERO_UUID } from '#model/ids';

/** Written by GroupCoordinatorRecordSerde of Kafka 4.3.1. */
const KEY_OFFSET = '0001000762696c6c696e6700066f726465727300000007';
const KEY_GROUP = '0002000762696c6c696e67';
const OFFSET_V4_WITH_TOPIC_ID =
  '00040000011f71fb04cb00000005066ec3b674650000018bcfe56800010010000102030405060708090a0b0c0d0e0f';
const OFFSET_V4 = '00040000000000000000ffffffff010000018bcfe5680000';
const OFFSET_V3 = '000300000000000000090000000200016d0000018bcfe56800';
const OFFSET_V1 = '0001000000000000002a00000000018bcfe568000000018bcfe65260';
const GROUP_V3 =
  '00030008636f6e73756d657200000003000572616e67650003632d310000018bcfe56800000000020003632d310003692d31000163000a2f3132' +
  '372e302e302e31000493e00000afc800000002010200000001030003632d32ffff000163000a2f3132372e302e302e310000ea60000027100000' +
  '000000000000';
const GROUP_V3_EMPTY = '00030008636f6e73756d657200000004ffffffff0000018bcfe5680000000000';
const GROUP_V0 =
  '00000008636f6e73756d657200000001000572616e67650003632d31000000010003632d31000163000a2f3132372e302e302e31000027100000' +
  '0001010000000102';
const LEGACY_OFFSET = { key: '000000016700017400000001', value: '0000000000000000000100000000000000000002' };

const TIME = 1_700_000_000_000;
const COMMIT = { offset: 0, leaderEpoch: -1, metadata: '', committedAt: TIME, expiresAt: -1, topicId: ZERO_UUID };
const GENERATION = {
  protocolType: 'consumer',
  generation: 3,
  protocol: 'range',
  leader: 'c-1',
  currentStateTimestamp: TIME,
  members: [
    {
      memberId: 'c-1',
      groupInstanceId: 'i-1',
      clientId: 'c',
      clientHost: '/127.0.0.1',
      rebalanceTimeout: 300_000,
      sessionTimeout: 45_000,
      subscription: new Uint8Array([1, 2]),
      assignment: new Uint8Array([3]),
    },
    {
      memberId: 'c-2',
      groupInstanceId: null,
      clientId: 'c',
      clientHost: '/127.0.0.1',
      rebalanceTimeout: 60_000,
      sessionTimeout: 10_000,
      subscription: new Uint8Array(0),
      assignment: new Uint8Array(0),
    },
  ],
};
const EMPTY = { ...GENERATION, generation: 4, protocol: null, leader: null, members: [] };

function hex({ key, value }: CoordinatorRecord): { key: string; value: string | null } {
  return { key: Buffer.from(key).toString('hex'), value: value === null ? null : Buffer.from(value).toString('hex') };
}

function bytes(key: string, value: string | null): CoordinatorRecord {
  return { key: Buffer.from(key, 'hex'), value: value === null ? null : Buffer.from(value, 'hex') };
}

describe('the bytes are those of Kafka 4.3.1', () => {
  const topicId = uuid('AAECAwQFBgcICQoLDA0ODw');
  const full = { ...COMMIT, offset: 1_234_567_890_123, leaderEpoch: 5, metadata: 'nöte', topicId };
  const expiring = { ...COMMIT, offset: 42, expiresAt: TIME + 60_000 };
  test.each([
    [
      'an offset with its topic id (v4)',
      offsetRecord('billing', 'orders', 7, full),
      KEY_OFFSET,
      OFFSET_V4_WITH_TOPIC_ID,
    ],
    ['an offset without (v4)', offsetRecord('billing', 'orders', 7, COMMIT), KEY_OFFSET, OFFSET_V4],
    ['an offset that expires by itself (v1)', offsetRecord('billing', 'orders', 7, expiring), KEY_OFFSET, OFFSET_V1],
    ['a deleted offset', offsetRecord('billing', 'orders', 7, null), KEY_OFFSET, null],
    ['a generation (v3)', groupRecord('billing', GENERATION), KEY_GROUP, GROUP_V3],
    ['an empty group (v3)', groupRecord('billing', EMPTY), KEY_GROUP, GROUP_V3_EMPTY],
    ['a deleted group', groupRecord('billing', null), KEY_GROUP, null],
  ])('%s', (_, record, key, value) => {
    expect(hex(record)).toEqual({ key, value });
  });
});

describe('reading', () => {
  const offset = { kind: 'offset', groupId: 'billing', topic: 'orders', partition: 7 };
  test('gives back what was written', () => {
    const written = { ...COMMIT, offset: 9, leaderEpoch: 2, metadata: 'm' };
    expect(readGroupRecord(offsetRecord('billing', 'orders', 7, written))).toEqual({ ...offset, value: written });
    expect(readGroupRecord(offsetRecord('billing', 'orders', 7, null))).toEqual({ ...offset, value: undefined });
    const read = readGroupRecord(groupRecord('billing', GENERATION));
    expect(read).toMatchObject({ kind: 'group', groupId: 'billing', value: { generation: 3, leader: 'c-1' } });
    assert(read.kind === 'group' && read.value !== undefined, 'a generation');
    expect(hex(groupRecord('billing', read.value))).toEqual({ key: KEY_GROUP, value: GROUP_V3 });
    expect(readGroupRecord(groupRecord('billing', null))).toEqual({
      kind: 'group',
      groupId: 'billing',
      value: undefined,
    });
  });

  test('knows the older versions', () => {
    expect(readGroupRecord(bytes(KEY_OFFSET, OFFSET_V3))).toEqual({
      ...offset,
      value: { ...COMMIT, offset: 9, leaderEpoch: 2, metadata: 'm' },
    });
    expect(readGroupRecord(bytes(KEY_OFFSET, OFFSET_V1))).toMatchObject({ value: { expiresAt: TIME + 60_000 } });
    expect(readGroupRecord(bytes(KEY_GROUP, GROUP_V0))).toMatchObject({
      value: { generation: 1, currentStateTimestamp: -1, members: [{ memberId: 'c-1', rebalanceTimeout: -1 }] },
    });
    expect(readGroupRecord(bytes(LEGACY_OFFSET.key, LEGACY_OFFSET.value))).toMatchObject({
      kind: 'offset',
      groupId: 'g',
      topic: 't',
      partition: 1,
      value: { offset: 1, committedAt: 2 },
    });
  });

  test('leaves records of types that it does not know alone', () => {
    expect(readGroupRecord(bytes('001100016700', '0000'))).toEqual({ kind: 'unknown', type: 17 });
  });
});
