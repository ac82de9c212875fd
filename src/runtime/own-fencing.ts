import type { MetadataDelta } from '#metadata/delta';
import type { NodeId } from '#model/ids';

/**
 * Tells when this broker has been fenced since it served clients. What is still on its way on their connections was sent when it may have
 * led, and must not come to it when it leads again: an offset would be committed after a later one, a batch be told to have a gap before
 * it, for which a producer takes a new epoch and writes its records once more.
 */
export class OwnFencing {
  readonly #self: NodeId;
  readonly #isFenced: () => boolean | undefined;
  /** Whoever registers is, until the controller lets it serve. */
  #wasFenced = true;

  /** `isFenced`: by its image; undefined while it is not registered. */
  constructor(self: NodeId, isFenced: () => boolean | undefined) {
    this.#self = self;
    this.#isFenced = isFenced;
  }

  /**
   * To be told of each delta. Of a snapshot that was installed instead, what it is now is all that there is to see. Who was unregistered has
   * not been out of reach, but for what was seen of that before.
   */
  happened({ brokers, fenced }: Pick<MetadataDelta, 'brokers' | 'fenced'>): boolean {
    if (!brokers.includes(this.#self)) return false;
    const wasFenced = this.#wasFenced;
    const isFenced = this.#isFenced();
    this.#wasFenced = isFenced !== false;
    return !wasFenced && isFenced !== undefined && (isFenced || fenced.includes(this.#self));
  }
}
