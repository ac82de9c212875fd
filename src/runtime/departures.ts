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
  /** No more of each than there are brokers. Those that lived before this node did have done so for long. */
  readonly #livesSince = new Map<NodeId, Mono | 'fenced'>();
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
      const before = this.#livesSince.get(id);
      this.#leftAt.delete(id);
      if (broker === undefined) {
        this.#livesSince.delete(id);
      } else if (broker.fenced) {
        if (typeof before === 'number' && now - before >= LIVED_MS && !broker.draining) this.#leftAt.set(id, now);
        this.#livesSince.set(id, 'fenced');
      } else if (typeof before !== 'number') {
        this.#livesSince.set(id, before === 'fenced' ? now : Number.NEGATIVE_INFINITY);
      }
    }
  }

  isRecent(id: NodeId): boolean {
    const leftAt = this.#leftAt.get(id);
    return leftAt !== undefined && this.#clock.now() - leftAt < LISTED_MS;
  }
}
