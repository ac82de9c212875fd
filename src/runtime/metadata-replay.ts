import { assert } from '#base/assert';
import { MetadataImage } from '#metadata/image';
import { RecordCodec } from '#metadata/record-codec';
import type { MetadataRecord } from '#metadata/records';
import type { RaftEntry } from '#raft/messages';
import type { LogPosition, SnapshotPiece } from '#raft/raft-types';
import { MetadataPublisher } from './metadata-publisher.ts';

/** From the bytes of the log to the image: committed entries in their order, and snapshots of the leader in place of all before them. */
export class MetadataReplay {
  readonly codec = new RecordCodec();
  readonly image = new MetadataImage();
  readonly publisher = new MetadataPublisher(this.image);
  /** Of payloads in the log that are not replayed yet: each is decoded once. */
  readonly #decoded = new WeakMap<Uint8Array, readonly MetadataRecord[]>();
  /** What the leader's snapshot, which is coming in, makes. */
  #incoming: MetadataImage | undefined;
  #applied: LogPosition = { index: 0, epoch: 0 };

  /** The last entry that the image holds. */
  get applied(): LogPosition {
    return this.#applied;
  }

  /** The node's own snapshot, at its start. Throws MalformedRecordError. */
  load(chunks: readonly Uint8Array[], { index, epoch }: LogPosition): void {
    for (const chunk of chunks) for (const record of this.codec.decode(chunk)) this.image.replay(record, index);
    this.#applied = { index, epoch };
  }

  /** Throws MalformedRecordError. */
  recordsOf(payload: Uint8Array): readonly MetadataRecord[] {
    const known = this.#decoded.get(payload);
    if (known !== undefined) return known;
    const records = this.codec.decode(payload);
    this.#decoded.set(payload, records);
    return records;
  }

  /** The payload of a new entry. */
  encode(records: readonly MetadataRecord[]): Uint8Array {
    const payload = this.codec.encode(records);
    this.#decoded.set(payload, records);
    return payload;
  }

  apply({ index, epoch, payload }: RaftEntry): void {
    for (const record of this.recordsOf(payload)) this.image.replay(record, index);
    this.#decoded.delete(payload);
    this.#applied = { index, epoch };
    this.publisher.publish();
  }

  /** A piece of the leader's snapshot is on its way to the disk. */
  take({ index, position, payload }: SnapshotPiece): void {
    if (position === 0) this.#incoming = new MetadataImage();
    assert(this.#incoming !== undefined, 'a snapshot comes from its first piece on');
    for (const record of this.codec.decode(payload)) this.#incoming.replay(record, index);
  }

  /** The leader's snapshot is on disk, whole. */
  install({ index, epoch }: LogPosition): void {
    const made = this.#incoming;
    this.#incoming = undefined;
    assert(made?.cluster !== undefined && made.index === index, 'the snapshot that was installed was read');
    this.image.become(made);
    this.#applied = { index, epoch };
    this.publisher.publish();
  }
}
