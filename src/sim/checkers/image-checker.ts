/** The metadata that the log makes: the same on every node at the same index (R11), and epochs that only rise (I7). */
import { MetadataImage } from '#metadata/image';
import { RecordCodec } from '#metadata/record-codec';
import type { Broker, MetadataRecord } from '#metadata/records';
import type { NodeId } from '#model/ids';
import type { NodeView } from '../node-view.ts';
import { check } from './violation.ts';

/** At every so many entries images are compared. */
const SAMPLE_EVERY = 4;

export class ImageChecker {
  /** What the committed entries make, replayed from the first on. */
  readonly reference = new MetadataImage();
  readonly #crc32c: (bytes: Uint8Array) => number;
  readonly #codec = new RecordCodec();
  /** Of the image at an index: the first one seen. */
  readonly #hashes = new Map<number, { readonly who: string; readonly hash: number }>();
  readonly #applied = new WeakMap<NodeView, number>();
  /** Once a payload could not be had, there is no reference any more. */
  #isBroken = false;

  constructor(crc32c: (bytes: Uint8Array) => number) {
    this.#crc32c = crc32c;
  }

  /** Whether `reference` holds everything committed. */
  get hasReference(): boolean {
    return !this.#isBroken && this.reference.index > 0;
  }

  decode(payload: Uint8Array): readonly MetadataRecord[] {
    return this.#codec.decode(payload);
  }

  /** In the order of the log. */
  committed(index: number, payload: Uint8Array | undefined): void {
    if (payload === undefined) this.#isBroken = true;
    if (payload === undefined || this.#isBroken) return;
    const records = this.#codec.decode(payload);
    for (const record of records) this.#replay(record, index);
    for (const record of records) if (record.kind === 'fenceBroker') this.#checkFenced(record.id, index);
    if (index % SAMPLE_EVERY === 0) this.#compare('the reference', this.reference, index);
  }

  /** The node may have replayed something. */
  look(who: string, view: NodeView): void {
    const { appliedIndex, commitIndex } = view;
    const before = this.#applied.get(view) ?? 0;
    if (appliedIndex === before) return;
    check(appliedIndex > before, 'R11', () => `${who} goes back to an image at ${appliedIndex}`);
    check(appliedIndex <= commitIndex, 'R11', () => `${who} has replayed ${appliedIndex}, committed is ${commitIndex}`);
    this.#applied.set(view, appliedIndex);
    if (appliedIndex % SAMPLE_EVERY === 0) this.#compare(who, view.image, appliedIndex);
  }

  /** Now, whatever the index. */
  compareNow(who: string, view: NodeView): void {
    this.#compare(who, view.image, view.appliedIndex);
  }

  #compare(who: string, image: MetadataImage, index: number): void {
    const hash = this.#hashOf(image);
    const known = this.#hashes.get(index);
    if (known === undefined) this.#hashes.set(index, { who, hash });
    else check(known.hash === hash, 'R11', () => `the images of ${who} and of ${known.who} differ at index ${index}`);
  }

  /** Of its records as the log has them, in any order: in which order things were made says nothing. */
  #hashOf(image: MetadataImage): number {
    let sum = 0;
    for (const record of image.snapshot()) sum = (sum + mixed(this.#crc32c(this.#codec.encode([record])))) >>> 0;
    return sum;
  }

  #replay(record: MetadataRecord, index: number): void {
    const { reference } = this;
    switch (record.kind) {
      case 'registerBroker':
        this.#checkRegistration(record.broker, index);
        break;
      case 'fenceBroker':
      case 'unfenceBroker':
      case 'brokerChange':
      case 'unregisterBroker':
        check(
          reference.brokers.get(record.id)?.brokerEpoch === record.brokerEpoch,
          'I7',
          () =>
            `entry ${index} is a ${record.kind} of broker ${record.id} in its epoch ${record.brokerEpoch}, which is not the present one`,
        );
        break;
      case 'producerIds':
        check(
          reference.brokers.get(record.brokerId)?.brokerEpoch === record.brokerEpoch,
          'I7',
          () =>
            `entry ${index} gives producer ids to broker ${record.brokerId} in its epoch ${record.brokerEpoch}, which is not the present one`,
        );
        break;
      default:
    }
    reference.replay(record, index);
    if (record.kind === 'partitionChange' || record.kind === 'partition') this.#checkPartition(record, index);
  }

  #checkRegistration(broker: Broker, index: number): void {
    const former = this.reference.brokers.get(broker.id);
    const epoch = broker.brokerEpoch === 0 ? index : broker.brokerEpoch;
    check(
      former === undefined || former.brokerEpoch < epoch,
      'I7',
      () => `entry ${index} takes broker ${broker.id} back to epoch ${epoch}`,
    );
    if (former === undefined) return;
    const led = [...this.reference.topics()].flatMap(({ name, partitions }) =>
      partitions.filter(({ leader }) => leader === broker.id).map(({ partition }) => `${name}-${partition}`),
    );
    // Their epochs rise in the same entry, before the new registration, by which nothing is led.
    check(
      led.length === 0 || former.incarnation === broker.incarnation,
      'I7',
      () => `entry ${index} replaces broker ${broker.id}, which leads ${led.join()} in epochs of its former process`,
    );
  }

  /** Who is taken for dead leads nothing: others do, or nobody (I2). */
  #checkFenced(id: NodeId, index: number): void {
    const led = [...this.reference.topics()].flatMap(({ name, partitions }) =>
      partitions.filter(({ leader }) => leader === id).map(({ partition }) => `${name}-${partition}`),
    );
    check(led.length === 0, 'I2', () => `entry ${index} fences broker ${id}, which goes on leading ${led.join()}`);
  }

  /** The leader is in sync, and replicas are distinct (I2, I10). */
  #checkPartition(record: Extract<MetadataRecord, { kind: 'partitionChange' | 'partition' }>, index: number): void {
    const topic = this.reference.topicById(record.topicId);
    const number = record.kind === 'partition' ? record.state.partition : record.partition;
    const state = topic?.partitions[number];
    if (topic === undefined || state === undefined) return;
    const name = `${topic.name}-${number}`;
    check(
      state.leader === null || state.isr.includes(state.leader),
      'I2',
      () => `entry ${index} makes ${state.leader} lead ${name}, which is not in sync`,
    );
    check(
      new Set(state.replicas).size === state.replicas.length,
      'I10',
      () => `entry ${index} puts two replicas of ${name} on one broker`,
    );
    check(
      state.isr.every((id) => state.replicas.includes(id)),
      'I2',
      () => `entry ${index} has someone in sync who is no replica of ${name}`,
    );
    check(
      state.elr.every((id) => state.replicas.includes(id) && !state.isr.includes(id)),
      'I2',
      () => `entry ${index} has someone eligible to lead ${name} who is in sync already, or no replica`,
    );
  }
}

/** So that the same change of two records does not cancel out in their sum. */
function mixed(crc: number): number {
  const half = Math.imul(crc ^ (crc >>> 16), 0x21f0_aaad);
  return Math.imul(half ^ (half >>> 15), 0x735a_2d97);
}
