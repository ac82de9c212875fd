import type { Clock, Mono } from '#base/ports';
import type { MetadataImage } from '#metadata/image';
import type { NodeId } from '#model/ids';

const LISTED_MS = 1_000;
const LIVED_MS = 15_000;

/**
 * Brokers that have just gone without a word, which clients are told of for a second longer. librdkafka gives up a broker that is not
 * listed any more, and with it the partitions that it has not yet moved to the leaders which the same answer names; for these it
 * asks again up to a second later (seen in 2.16). But it waits up to 10 s before it connects again to a broker that it knows, if it
 * had connected less than 10 s before (reconnect.backoff.max.ms): one that comes and goes is to be forgotten, and found anew.
 */
export class Departures {
  readonly #image: MetadataImage;
  readonly #clock: Pick<Clock, 'now'>;
  /** No more of each than there are brokers. */
  readonly #livesSince = new Map<NodeId, Mono>();
  readonly #leftAt = new Map<NodeId, Mono>();

  constructor(image: MetadataImage, clock: Pick<Clock, 'now'>) {
    this.#image = image;
    this.#clock = clock;
  }

  /** The image has new facts of these. A broker that was never seen alive has not left, and one that said goodbye is not missed. */
  changed(ids: readonly NodeId[]): void {
    const now = this.#clock.now();
    for (const id of ids) {
      const broker = this.#image.brokers.get(id);
      const livesSince = this.#livesSince.get(id) ?? now;
      this.#leftAt.delete(id);
      if (broker?.fenced === false) this.#livesSince.set(id, livesSince);
      else if (this.#livesSince.delete(id) && broker?.draining === false && now - livesSince >= LIVED_MS)
        this.#leftAt.set(id, now);
    }
  }

  isRecent(id: NodeId): boolean {
    const leftAt = this.#leftAt.get(id);
    return leftAt !== undefined && this.#clock.now() - leftAt < LISTED_MS;
  }
}
