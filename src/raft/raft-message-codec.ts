/**
 * The replicas' messages as bytes: a msgpack array [type, version, …fields]. A type is never used again for something else; a new field
 * comes with a new version, and a reader refuses what it does not know.
 */
// The entry that looks for no native addon.
import { Packr } from 'msgpackr/pack';
import { FieldReader, RaftMessageError } from './field-reader.ts';
import type { AppendRequest, RaftEntry, ReplicaMessage } from './messages.ts';

type Kind = ReplicaMessage['kind'];
type MessageOf<K extends Kind> = Extract<ReplicaMessage, { kind: K }>;

interface Layout<K extends Kind> {
  readonly type: number;
  readonly write: (message: MessageOf<K>) => readonly unknown[];
  /** Of version 0, the only one so far. */
  readonly read: (fields: FieldReader) => MessageOf<K>;
}

const VERSION = 0;

const LAYOUTS: { readonly [K in Kind]: Layout<K> } = {
  voteRequest: {
    type: 0,
    write: (m) => [
      m.epoch,
      m.pre,
      m.candidate.id,
      m.candidate.directoryId,
      m.voter.id,
      m.voter.directoryId,
      m.lastIndex,
      m.lastEpoch,
      m.transfer,
    ],
    read: (f) => ({
      kind: 'voteRequest',
      epoch: f.epoch(),
      pre: f.boolean(),
      candidate: f.key(),
      voter: f.key(),
      lastIndex: f.index(),
      lastEpoch: f.epoch(),
      transfer: f.boolean(),
    }),
  },
  voteResponse: {
    type: 1,
    write: (m) => [m.epoch, m.pre, m.voter.id, m.voter.directoryId, m.granted],
    read: (f) => ({
      kind: 'voteResponse',
      epoch: f.epoch(),
      pre: f.boolean(),
      voter: f.key(),
      granted: f.boolean(),
    }),
  },
  append: {
    type: 2,
    // The index of an entry follows from its place.
    write: (m) => [
      m.epoch,
      m.leader.id,
      m.leader.directoryId,
      m.to.id,
      m.to.directoryId,
      m.prevIndex,
      m.prevEpoch,
      m.commitIndex,
      m.round,
      m.entries.map(({ epoch, payload }) => [epoch, payload]),
    ],
    read: readAppend,
  },
  appendResponse: {
    type: 3,
    write: (m) => [
      m.epoch,
      m.from.id,
      m.from.directoryId,
      m.round,
      m.prevIndex,
      m.success,
      m.lastIndex,
      m.lastEpoch,
      m.durableIndex,
    ],
    read: (f) => ({
      kind: 'appendResponse',
      epoch: f.epoch(),
      from: f.key(),
      round: f.index(),
      prevIndex: f.index(),
      success: f.boolean(),
      lastIndex: f.index(),
      lastEpoch: f.epoch(),
      durableIndex: f.index(),
    }),
  },
  snapshotChunk: {
    type: 4,
    write: (m) => [
      m.epoch,
      m.leader.id,
      m.leader.directoryId,
      m.to.id,
      m.to.directoryId,
      m.index,
      m.indexEpoch,
      m.position,
      m.payload,
      m.last,
      m.round,
    ],
    read: (f) => ({
      kind: 'snapshotChunk',
      epoch: f.epoch(),
      leader: f.key(),
      to: f.key(),
      index: f.index(),
      indexEpoch: f.epoch(),
      position: f.count(),
      payload: f.payload(),
      last: f.boolean(),
      round: f.index(),
    }),
  },
  snapshotResponse: {
    type: 5,
    write: (m) => [m.epoch, m.from.id, m.from.directoryId, m.index, m.nextPosition, m.installed, m.round],
    read: (f) => ({
      kind: 'snapshotResponse',
      epoch: f.epoch(),
      from: f.key(),
      index: f.index(),
      nextPosition: f.count(),
      installed: f.boolean(),
      round: f.index(),
    }),
  },
  takeOver: {
    type: 6,
    write: (m) => [m.epoch, m.leader.id, m.leader.directoryId, m.to.id, m.to.directoryId],
    read: (f) => ({ kind: 'takeOver', epoch: f.epoch(), leader: f.key(), to: f.key() }),
  },
  join: {
    type: 7,
    write: (m) => [
      m.epoch,
      m.observer.id,
      m.observer.host,
      m.observer.port,
      m.observer.directoryId,
      m.lastIndex,
      m.lastEpoch,
      m.wantsVote,
    ],
    read: (f) => ({
      kind: 'join',
      epoch: f.epoch(),
      observer: { ...f.address(), directoryId: f.uuid() },
      lastIndex: f.index(),
      lastEpoch: f.epoch(),
      wantsVote: f.boolean(),
    }),
  },
  joinResponse: {
    type: 8,
    write: ({ epoch, leader }) => [
      epoch,
      leader === undefined ? null : [leader.id, leader.host, leader.port, leader.directoryId],
    ],
    read: (f) => ({
      kind: 'joinResponse',
      epoch: f.epoch(),
      leader: f.optional((g) => g.nested('leader', (h) => ({ ...h.address(), directoryId: h.uuid() }))),
    }),
  },
  introduction: {
    type: 9,
    write: (m) => [
      m.key.id,
      m.key.directoryId,
      m.voters.map(({ id, host, port }) => [id, host, port]),
      m.state === 'member',
      m.clusterId ?? null,
      m.to === undefined ? null : [m.to.id, m.to.directoryId],
    ],
    read: (f) => ({
      kind: 'introduction',
      key: f.key(),
      voters: f.list('voter', (g) => g.address()),
      state: f.boolean() ? 'member' : 'empty',
      clusterId: f.optional((g) => g.uuid()),
      to: f.optional((g) => g.nested('receiver', (h) => h.key())),
    }),
  },
  bootstrap: {
    type: 10,
    write: ({ entry }) => [entry.index, entry.epoch, entry.payload],
    read: (f) => ({ kind: 'bootstrap', entry: { index: f.index(), epoch: f.epoch(), payload: f.payload() } }),
  },
};

const BY_TYPE: ReadonlyMap<number, Layout<Kind>> = new Map(
  Object.values(LAYOUTS).map((layout) => [layout.type, layout as unknown as Layout<Kind>]),
);

/** Not shared between nodes: the packer reuses a buffer of its own. */
export class RaftMessageCodec {
  readonly #packr = new Packr({ useRecords: false, int64AsType: 'number' });

  /** The caller owns the bytes. */
  encode(message: ReplicaMessage): Uint8Array {
    // The packed result is a view of the packer's pool, which the next one overwrites.
    return new Uint8Array(this.#packr.pack(toArray(message)));
  }

  /** Throws RaftMessageError. Keeps nothing of `bytes`. */
  decode(bytes: Uint8Array): ReplicaMessage {
    const fields = new FieldReader(this.#unpack(bytes), 'raft message');
    const type = fields.count();
    const version = fields.count();
    const layout = BY_TYPE.get(type);
    if (layout === undefined || version > VERSION)
      throw new RaftMessageError(`raft message of type ${type}, version ${version}: not known to this release`);
    const message = layout.read(fields);
    fields.end();
    return message;
  }

  #unpack(bytes: Uint8Array): unknown {
    try {
      return this.#packr.unpack(bytes);
    } catch (cause) {
      throw new RaftMessageError('raft message: not msgpack', { cause });
    }
  }
}

function toArray<K extends Kind>(message: MessageOf<K>): readonly unknown[] {
  const layout: Layout<K> = LAYOUTS[message.kind as K];
  return [layout.type, VERSION, ...layout.write(message)];
}

function readAppend(fields: FieldReader): AppendRequest {
  const epoch = fields.epoch();
  const leader = fields.key();
  const to = fields.key();
  const prevIndex = fields.index();
  const prevEpoch = fields.epoch();
  const commitIndex = fields.index();
  const round = fields.index();
  const entries = fields.list('entry', (entry, position): RaftEntry => {
    return { index: prevIndex + 1 + position, epoch: entry.epoch(), payload: entry.payload() };
  });
  return { kind: 'append', epoch, leader, to, prevIndex, prevEpoch, entries, commitIndex, round };
}
