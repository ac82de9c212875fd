import type { MetadataDelta } from '#metadata/delta';
import type { MetadataImage } from '#metadata/image';

/** Turns a delta into effects, at once and without waiting. The image holds the delta; both are read, never kept across a turn. */
export type MetadataSubscriber = (delta: MetadataDelta, image: MetadataImage) => void;

/** Hands every committed change to its subscribers: in the order of the log, and to each in the order of subscription. */
export class MetadataPublisher {
  readonly #image: MetadataImage;
  /** As many as the node's parts. */
  readonly #subscribers: MetadataSubscriber[] = [];

  constructor(image: MetadataImage) {
    this.#image = image;
  }

  /** The subscriber first gets everything that there is as one delta, within the call; then each change. */
  subscribe(subscriber: MetadataSubscriber): void {
    this.#subscribers.push(subscriber);
    subscriber(this.#image.fullDelta(), this.#image);
  }

  /** Publishes what has been replayed since the last time. */
  publish(): void {
    const delta = this.#image.takeDelta();
    for (const subscriber of this.#subscribers) subscriber(delta, this.#image);
  }
}
