import fc from 'fast-check';
import { type MetadataRecord, ResourceType } from '#metadata/records';
import { leaderEpoch, nodeId, producerId, uuidFromBytes } from '#model/ids';

const id = fc.integer({ min: 0, max: 0x7fff_ffff }).map(nodeId);
const ids = fc.array(id, { maxLength: 5 });
const epoch = fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER });
const anyUuid = fc.uint8Array({ minLength: 16, maxLength: 16 }).map(uuidFromBytes);
const port = fc.integer({ min: 0, max: 0xffff });
const text = fc.string({ maxLength: 40 });
const nullable = <T>(of: fc.Arbitrary<T>) => fc.option(of, { nil: null });
const count = fc.integer({ min: 0, max: 0x7fff_ffff });
const brokerRef = { id, brokerEpoch: epoch };

const voters = fc.array(fc.record({ id, directoryId: anyUuid, host: text, port }), { maxLength: 5 });

export const anyRecord: fc.Arbitrary<MetadataRecord> = fc.oneof(
  fc.record({
    kind: fc.constant('bootstrap' as const),
    clusterId: anyUuid,
    voters,
    targetSize: count,
  }),
  fc.record({
    kind: fc.constant('registerBroker' as const),
    broker: fc.record({
      id,
      incarnation: anyUuid,
      brokerEpoch: epoch,
      fenced: fc.boolean(),
      rack: nullable(text),
      listeners: fc.array(fc.record({ name: text, host: text, port }), { maxLength: 3 }),
      directories: fc.array(anyUuid, { maxLength: 3 }),
      features: fc.array(fc.record({ name: text, min: count, max: count }), { maxLength: 3 }),
    }),
  }),
  fc.record({
    kind: fc.constantFrom('unregisterBroker' as const, 'fenceBroker' as const, 'unfenceBroker' as const),
    ...brokerRef,
  }),
  fc.record({
    kind: fc.constant('brokerChange' as const),
    ...brokerRef,
    draining: nullable(fc.boolean()),
    directories: nullable(fc.array(anyUuid, { maxLength: 3 })),
  }),
  fc.record({
    kind: fc.constant('voters' as const),
    voters,
    joining: nullable(fc.record({ id, directoryId: anyUuid })),
  }),
  fc.record({ kind: fc.constant('topic' as const), name: text, id: anyUuid }),
  fc.record({ kind: fc.constant('removeTopic' as const), id: anyUuid }),
  fc.record({
    kind: fc.constant('partition' as const),
    topicId: anyUuid,
    state: fc.record({
      partition: count,
      replicas: ids,
      isr: ids,
      elr: ids,
      removing: ids,
      adding: ids,
      leader: nullable(id),
      leaderEpoch: count.map(leaderEpoch),
      partitionEpoch: count,
      directories: fc.array(anyUuid, { maxLength: 5 }),
    }),
  }),
  fc.record({
    kind: fc.constant('partitionChange' as const),
    topicId: anyUuid,
    partition: count,
    leader: fc.oneof(id, fc.constant('none' as const), fc.constant(null)),
    isr: nullable(ids),
    elr: nullable(ids),
    replicas: nullable(ids),
    removing: nullable(ids),
    adding: nullable(ids),
    directories: nullable(fc.array(anyUuid, { maxLength: 5 })),
  }),
  fc.record({
    kind: fc.constant('config' as const),
    resourceType: fc.constantFrom(...Object.values(ResourceType)),
    resourceName: text,
    key: text,
    value: nullable(text),
  }),
  fc.record({
    kind: fc.constant('producerIds' as const),
    brokerId: id,
    brokerEpoch: epoch,
    nextProducerId: epoch.map(producerId),
  }),
  fc.record({
    kind: fc.constant('featureLevel' as const),
    name: text,
    level: fc.integer({ min: 0, max: 0x7fff }),
    epoch,
  }),
  fc.constant({ kind: 'noOp' as const }),
);
