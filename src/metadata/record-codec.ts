/**
 * Metadata records as bytes: one batch is a msgpack array of records, each an array [type, version, …fields]. A type is never used
 * again for something else; a new field comes with a new version, and a reader refuses what it does not know (its features tell a
 * cluster when all can read it). Types 0 to 99 are those of Kafka's controller records.
 */
// The entry that looks for no native addon.
import { Packr } from 'msgpackr/pack';
import { producerId } from '#model/ids';
import type { Voter } from '#model/voter';
import { FieldReader, MalformedRecordError } from './field-reader.ts';
import { type MetadataRecord, ResourceType } from './records.ts';

type Kind = MetadataRecord['kind'];
type RecordOf<K extends Kind> = Extract<MetadataRecord, { kind: K }>;

interface Layout<K extends Kind> {
  readonly type: number;
  readonly write: (record: RecordOf<K>) => readonly unknown[];
  /** Of version 0, the only one so far. */
  readonly read: (fields: FieldReader) => RecordOf<K>;
}

const VERSION = 0;
const PORT_MAX = 0xffff;
const RESOURCE_TYPES: readonly number[] = Object.values(ResourceType);

const LAYOUTS: { readonly [K in Kind]: Layout<K> } = {
  registerBroker: {
    type: 0,
    write: ({ broker: b }) => [
      b.id,
      b.incarnation,
      b.brokerEpoch,
      b.fenced,
      b.rack,
      b.listeners.map(({ name, host, port }) => [name, host, port]),
      b.directories,
      b.features.map(({ name, min, max }) => [name, min, max]),
    ],
    read: (f) => ({
      kind: 'registerBroker',
      broker: {
        id: f.nodeId(),
        incarnation: f.uuid(),
        brokerEpoch: f.long(),
        fenced: f.boolean(),
        rack: f.nullable((g) => g.string()),
        listeners: f.list('listener', (g) => ({ name: g.string(), host: g.string(), port: g.count(PORT_MAX) })),
        directories: f.uuids(),
        features: f.list('feature', (g) => ({ name: g.string(), min: g.count(), max: g.count() })),
      },
    }),
  },
  unregisterBroker: {
    type: 1,
    write: (r) => [r.id, r.brokerEpoch],
    read: (f) => ({ kind: 'unregisterBroker', id: f.nodeId(), brokerEpoch: f.long() }),
  },
  topic: {
    type: 2,
    write: (r) => [r.name, r.id],
    read: (f) => ({ kind: 'topic', name: f.string(), id: f.uuid() }),
  },
  partition: {
    type: 3,
    write: ({ topicId, state: p }) => [
      topicId,
      p.partition,
      p.replicas,
      p.isr,
      p.elr,
      p.removing,
      p.adding,
      p.leader,
      p.leaderEpoch,
      p.partitionEpoch,
      p.directories,
    ],
    read: (f) => ({
      kind: 'partition',
      topicId: f.uuid(),
      state: {
        partition: f.count(),
        replicas: f.nodeIds(),
        isr: f.nodeIds(),
        elr: f.nodeIds(),
        removing: f.nodeIds(),
        adding: f.nodeIds(),
        leader: f.nullable((g) => g.nodeId()),
        leaderEpoch: f.leaderEpoch(),
        partitionEpoch: f.count(),
        directories: f.uuids(),
      },
    }),
  },
  config: {
    type: 4,
    write: (r) => [r.resourceType, r.resourceName, r.key, r.value],
    read: (f) => ({
      kind: 'config',
      resourceType: readResourceType(f),
      resourceName: f.string(),
      key: f.string(),
      value: f.nullable((g) => g.string()),
    }),
  },
  partitionChange: {
    type: 5,
    write: (r) => [
      r.topicId,
      r.partition,
      r.leader === 'none' ? false : r.leader,
      r.isr,
      r.elr,
      r.replicas,
      r.removing,
      r.adding,
      r.directories,
    ],
    read: (f) => ({
      kind: 'partitionChange',
      topicId: f.uuid(),
      partition: f.count(),
      leader: f.nullable((g) => (g.isFalse() ? 'none' : g.nodeId())),
      isr: f.nullable((g) => g.nodeIds()),
      elr: f.nullable((g) => g.nodeIds()),
      replicas: f.nullable((g) => g.nodeIds()),
      removing: f.nullable((g) => g.nodeIds()),
      adding: f.nullable((g) => g.nodeIds()),
      directories: f.nullable((g) => g.uuids()),
    }),
  },
  fenceBroker: {
    type: 7,
    write: (r) => [r.id, r.brokerEpoch],
    read: (f) => ({ kind: 'fenceBroker', id: f.nodeId(), brokerEpoch: f.long() }),
  },
  unfenceBroker: {
    type: 8,
    write: (r) => [r.id, r.brokerEpoch],
    read: (f) => ({ kind: 'unfenceBroker', id: f.nodeId(), brokerEpoch: f.long() }),
  },
  removeTopic: {
    type: 9,
    write: (r) => [r.id],
    read: (f) => ({ kind: 'removeTopic', id: f.uuid() }),
  },
  featureLevel: {
    type: 12,
    write: (r) => [r.name, r.level, r.epoch],
    read: (f) => ({ kind: 'featureLevel', name: f.string(), level: f.count(0x7fff), epoch: f.long() }),
  },
  producerIds: {
    type: 15,
    write: (r) => [r.brokerId, r.brokerEpoch, r.nextProducerId],
    read: (f) => ({
      kind: 'producerIds',
      brokerId: f.nodeId(),
      brokerEpoch: f.long(),
      nextProducerId: producerId(f.long()),
    }),
  },
  brokerChange: {
    type: 17,
    write: (r) => [r.id, r.brokerEpoch, r.draining, r.directories],
    read: (f) => ({
      kind: 'brokerChange',
      id: f.nodeId(),
      brokerEpoch: f.long(),
      draining: f.nullable((g) => g.boolean()),
      directories: f.nullable((g) => g.uuids()),
    }),
  },
  noOp: {
    type: 20,
    write: () => [],
    read: () => ({ kind: 'noOp' }),
  },
  bootstrap: {
    type: 100,
    write: (r) => [r.clusterId, r.voters.map(voterFields), r.targetSize],
    read: (f) => ({
      kind: 'bootstrap',
      clusterId: f.uuid(),
      voters: f.list('voter', readVoter),
      targetSize: f.count(),
    }),
  },
  voters: {
    type: 101,
    write: (r) => [r.voters.map(voterFields), r.joining === null ? [] : [[r.joining.id, r.joining.directoryId]]],
    read: (f) => ({
      kind: 'voters',
      voters: f.list('voter', readVoter),
      joining: f.list('joining replica', (g) => ({ id: g.nodeId(), directoryId: g.uuid() }))[0] ?? null,
    }),
  },
};

const BY_TYPE: ReadonlyMap<number, Layout<Kind>> = new Map(
  Object.values(LAYOUTS).map((layout) => [layout.type, layout as unknown as Layout<Kind>]),
);

/** Not shared between nodes: the packer reuses a buffer of its own. */
export class RecordCodec {
  readonly #packr = new Packr({ useRecords: false, int64AsType: 'number' });

  /** The caller owns the bytes. */
  encode(records: readonly MetadataRecord[]): Uint8Array {
    // The packed result is a view of the packer's pool, which the next one overwrites.
    return Uint8Array.from(this.#packr.pack(records.map(toArray)));
  }

  /** Throws MalformedRecordError. Keeps nothing of `bytes`. */
  decode(bytes: Uint8Array): readonly MetadataRecord[] {
    return this.#unpack(bytes).map(fromArray);
  }

  #unpack(bytes: Uint8Array): readonly unknown[] {
    let value: unknown;
    try {
      value = this.#packr.unpack(bytes);
    } catch (cause) {
      throw new MalformedRecordError('metadata records: not msgpack', { cause });
    }
    if (!Array.isArray(value)) throw new MalformedRecordError('metadata records: not an array');
    return value;
  }
}

function toArray<K extends Kind>(record: RecordOf<K>): readonly unknown[] {
  const layout: Layout<K> = LAYOUTS[record.kind as K];
  return [layout.type, VERSION, ...layout.write(record)];
}

function fromArray(value: unknown): MetadataRecord {
  const fields = new FieldReader(value, 'metadata record');
  const type = fields.count();
  const version = fields.count();
  const layout = BY_TYPE.get(type);
  if (layout === undefined || version > VERSION) {
    throw new MalformedRecordError(`metadata record of type ${type}, version ${version}: not known to this release`);
  }
  const record = layout.read(fields);
  fields.end();
  return record;
}

function voterFields({ id, directoryId, host, port }: Voter): readonly unknown[] {
  return [id, directoryId, host, port];
}

function readVoter(fields: FieldReader): Voter {
  return {
    id: fields.nodeId(),
    directoryId: fields.uuid(),
    host: fields.string(),
    port: fields.count(PORT_MAX),
  };
}

function readResourceType(fields: FieldReader): ResourceType {
  const value = fields.count();
  if (!RESOURCE_TYPES.includes(value)) throw new MalformedRecordError(`config record: resource type ${value}`);
  return value as ResourceType;
}
