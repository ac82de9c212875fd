/** Brings changes of in-sync replicas to the controller (AlterPartition, KIP-497), many partitions at a time. */
import type { Clock, Timer } from '#base/ports';
import type { MetadataImage } from '#metadata/image';
import { ErrorCode } from '#model/errors';
import type { NodeId } from '#model/ids';
import type { IsrProposal } from '#replication/leader-state';
import type { ControllerLink } from './controller-link.ts';
import type { Partition } from './partition.ts';

const SUBMIT_MS = 5_000;
const RETRY_MS = 50;
/** In one request; more follow. */
const PARTITIONS_MAX = 1_000;

export interface IsrUpdatesParts {
  readonly clock: Clock;
  readonly self: NodeId;
  readonly image: MetadataImage;
  readonly link: Pick<ControllerLink, 'submit'>;
  /** Of this process. */
  brokerEpoch(): number;
  /** replica.lag.time.max.ms */
  lagMaxMs(): number;
  /** Every replica of this node. */
  partitions(): Iterable<Partition>;
}

/**
 * A proposal whose fate is not known is sent again until it is: meanwhile its members count for the high watermark, and nothing else is
 * proposed. What was decided comes with the metadata log.
 */
export class IsrUpdates {
  readonly #parts: IsrUpdatesParts;
  readonly #timer: Timer;
  readonly #lagTimer: Timer;
  /** To be looked at; as many as there are partitions here. */
  readonly #due = new Set<Partition>();
  /** Sent or to be sent. */
  readonly #proposed = new Map<Partition, IsrProposal>();
  /** Since the start. */
  shrinkCount = 0;
  expandCount = 0;
  /** Refused by the controller: the state was another, or who should come in may not. */
  failedCount = 0;
  #isSending = false;
  #isStopped = false;

  constructor(parts: IsrUpdatesParts) {
    this.#parts = parts;
    this.#timer = parts.clock.timer(() => void this.#send());
    this.#lagTimer = parts.clock.timer((lateMs) => this.#lookForLag(lateMs));
  }

  start(): void {
    this.#lagTimer.arm(this.#lagCheckMs);
  }

  stop(): void {
    this.#isStopped = true;
    this.#timer.disarm();
    this.#lagTimer.disarm();
  }

  /** Its in-sync replicas should be others. */
  due(partition: Partition): void {
    if (this.#isStopped) return;
    this.#due.add(partition);
    if (!this.#isSending) this.#timer.arm(0);
  }

  get #lagCheckMs(): number {
    return Math.max(10, this.#parts.lagMaxMs() / 4);
  }

  /** A node that stood still has not heard its followers: they get as much more time, whatever they are looked at for next. */
  #lookForLag(lateMs: number): void {
    for (const partition of this.#parts.partitions()) {
      if (!partition.leads) continue;
      if (lateMs > 0) partition.wasDeaf(lateMs);
      this.#propose(partition);
    }
    if (this.#proposed.size > 0 && !this.#isSending) this.#timer.arm(0);
    this.#lagTimer.arm(this.#lagCheckMs);
  }

  #propose(partition: Partition): void {
    const { image, lagMaxMs } = this.#parts;
    const active = (id: NodeId): number | undefined => {
      const broker = image.brokers.get(id);
      return broker === undefined || broker.fenced || broker.draining ? undefined : broker.brokerEpoch;
    };
    const proposal = partition.proposeIsr(active, lagMaxMs());
    if (proposal !== undefined) this.#proposed.set(partition, proposal);
  }

  async #send(): Promise<void> {
    if (this.#isSending || this.#isStopped) return;
    for (const partition of this.#due) this.#propose(partition);
    this.#due.clear();
    const sent = [...this.#proposed].slice(0, PARTITIONS_MAX);
    if (sent.length === 0) return;
    this.#isSending = true;
    const isKnown = await this.#submit(sent);
    this.#isSending = false;
    if (this.#isStopped) return;
    if (!isKnown) this.#timer.arm(RETRY_MS);
    else if (this.#proposed.size > 0 || this.#due.size > 0) this.#timer.arm(0);
  }

  /** Whether the controller has answered. */
  async #submit(sent: readonly (readonly [Partition, IsrProposal])[]): Promise<boolean> {
    const { self: id, link } = this.#parts;
    const partitions = sent.map(([{ topicId, index }, proposal]) => ({ topicId, partition: index, ...proposal }));
    const command = { id, brokerEpoch: this.#parts.brokerEpoch(), partitions };
    const sizes = sent.map(([{ leadership }]) => leadership?.view.isr.length ?? 0);
    const answer = await link.submit('alterPartition', command, SUBMIT_MS);
    if (typeof answer !== 'object' || answer.errorCode !== ErrorCode.None) return false;
    for (const [place, [partition, proposal]] of sent.entries()) {
      const { errorCode = ErrorCode.UnknownServerError } = answer.partitions[place] ?? {};
      // It has seen less than this node: another controller will know.
      if (errorCode === ErrorCode.NotController) continue;
      // The metadata may have told of the decision before this answer, and the next proposal wait already.
      if (this.#proposed.get(partition) === proposal) this.#proposed.delete(partition);
      // Refused as it is, in the very state that it was made in. After any other error the state is another, as the metadata will tell.
      if (errorCode === ErrorCode.IneligibleReplica) partition.isrRefused(proposal);
      if (errorCode !== ErrorCode.None) {
        this.failedCount += 1;
        continue;
      }
      if (proposal.isr.length < (sizes[place] ?? 0)) this.shrinkCount += 1;
      else this.expandCount += 1;
    }
    return true;
  }
}
