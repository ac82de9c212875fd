import { assert, at } from '#base/assert';

const SMALL_BYTES_MAX = 64 * 1024;
const MEDIUM_BYTES_MAX = 1024 * 1024;
/** A large frame is given this much at first, and so many times as much whenever that is full. */
const LARGE_FIRST_BYTES = MEDIUM_BYTES_MAX;
const GROWTH = 4;
/** Of the limit: what each kind of small and medium frames can have beyond it. */
const GUARANTEED_SHARE = 1 / 8;
/** Of the limit: what large frames can have of it together. */
const LARGE_SHARE = 1 / 2;

/** In the order in which they are woken: who is waited for, then who waits, and large ones last. */
const FrameKind = { Small: 0, Medium: 1, SmallProduce: 2, MediumProduce: 3, Large: 4, LargeProduce: 5 } as const;
type FrameKind = (typeof FrameKind)[keyof typeof FrameKind];

/** What one frame has been given. It changes in RequestMemory only. */
export interface FrameMemory {
  readonly frameBytes: number;
  readonly kind: FrameKind;
  heldBytes: number;
}

/** One that was refused: `retry` runs once when there may be room. */
export interface MemoryWaiter {
  readonly kind: FrameKind;
  readonly stepBytes: number;
  readonly retry: () => void;
}

/**
 * The memory of the frames of all connections, from their length prefix until their answer.
 *
 * Frames up to 1 MiB have it as a whole at once, larger ones in steps, as their bytes come. Frames that are never finished can so take all
 * of one kind's share, and no other kind's: small and medium frames each have a share that is theirs alone, and large ones are kept
 * to half of the limit, but for a single one, which has all that it is above the limit. That one is why frames which wait for
 * each other's memory always go on: it ends, or stops and is reset (see KafkaListener), and then another is the one.
 *
 * A Produce request is answered only once others were served: the verification of its transaction, its followers' fetches. So Produce
 * frames are kinds of their own, with their own shares and their own single one above the limit: however many wait, they leave all
 * others their shares and their single one. What becomes free goes to others before it goes to Produce.
 *
 * The bound: the limit, half of it, the last frame of each share (2 MiB and 128 KiB), the largest Produce and the largest other frame.
 */
export class RequestMemory {
  readonly #limitBytes: number;
  /** Without the frames that are above the limit. */
  #usedBytes = 0;
  readonly #usedByKind = Object.values(FrameKind).map(() => 0);
  /** At most one of each large kind. */
  readonly #aboveLimit = new Map<FrameKind, FrameMemory>();
  /** By kind, in the order of asking; at most one a connection. */
  readonly #waiters = Object.values(FrameKind).map(() => new Set<MemoryWaiter>());
  #isWaking = false;

  constructor(limitBytes: number) {
    assert(limitBytes > 0, 'there is memory for something');
    this.#limitBytes = limitBytes;
  }

  get usedBytes(): number {
    let usedBytes = this.#usedBytes;
    for (const { heldBytes } of this.#aboveLimit.values()) usedBytes += heldBytes;
    return usedBytes;
  }

  /** Whether a connection waits for what others have. */
  get isAwaited(): boolean {
    return this.#waiters.some(({ size }) => size > 0);
  }

  /**
   * The whole memory of a small or medium frame, the next step of a large one, or all that it lacks, above the limit. Others may be woken
   * before it returns.
   */
  tryGrow(frame: FrameMemory): boolean {
    assert(frame.heldBytes < frame.frameBytes, 'the frame lacks memory');
    const stepBytes = nextStep(frame);
    if (this.#fits(frame.kind, stepBytes)) {
      this.#count(frame.kind, stepBytes);
      frame.heldBytes += stepBytes;
      return true;
    }
    if (!this.#mayBeAboveLimit(frame.kind)) return false;
    const freedBytes = frame.heldBytes;
    this.#aboveLimit.set(frame.kind, frame);
    this.#count(frame.kind, -freedBytes);
    frame.heldBytes = frame.frameBytes;
    if (freedBytes > 0) this.#wake();
    return true;
  }

  /** All that the frame has been given. */
  release(frame: FrameMemory): void {
    if (frame === this.#aboveLimit.get(frame.kind)) this.#aboveLimit.delete(frame.kind);
    else this.#count(frame.kind, -frame.heldBytes);
    frame.heldBytes = 0;
    this.#wake();
  }

  /** For a frame whose next step was refused. Whoever was woken and is refused again, since another was quicker, waits again. */
  whenFree(frame: FrameMemory, retry: () => void): MemoryWaiter {
    const waiter = { kind: frame.kind, stepBytes: nextStep(frame), retry };
    at(this.#waiters, frame.kind).add(waiter);
    return waiter;
  }

  /** It waits no longer. */
  forget(waiter: MemoryWaiter): void {
    at(this.#waiters, waiter.kind).delete(waiter);
  }

  #count(kind: FrameKind, bytes: number): void {
    this.#usedBytes += bytes;
    this.#usedByKind[kind] = at(this.#usedByKind, kind) + bytes;
    assert(this.#usedBytes >= 0, 'no more memory is released than was reserved');
  }

  /** Small and medium frames pass while anything is left, so that a limit below their size lets them pass one at a time. */
  #fits(kind: FrameKind, stepBytes: number): boolean {
    const limit = this.#limitBytes;
    if (!isLarge(kind)) return this.#usedBytes < limit || at(this.#usedByKind, kind) < limit * GUARANTEED_SHARE;
    const usedOfLarge = at(this.#usedByKind, FrameKind.Large) + at(this.#usedByKind, FrameKind.LargeProduce);
    return this.#usedBytes + stepBytes <= limit && usedOfLarge + stepBytes <= limit * LARGE_SHARE;
  }

  #mayBeAboveLimit(kind: FrameKind): boolean {
    return isLarge(kind) && !this.#aboveLimit.has(kind);
  }

  #wake(): void {
    // A waiter's work may release in its turn: the outermost call wakes them all, so that the stack stays flat.
    if (this.#isWaking) return;
    this.#isWaking = true;
    // Whoever waits again has taken something, so this ends; it may have its turn again, because what it took may be released by now.
    for (let woken = this.#first(); woken !== undefined; woken = this.#first()) {
      this.forget(woken);
      woken.retry();
    }
    this.#isWaking = false;
  }

  /** The first whose step has room, by kind. */
  #first(): MemoryWaiter | undefined {
    for (const waiters of this.#waiters) {
      const [first] = waiters;
      if (first === undefined) continue;
      if (this.#mayBeAboveLimit(first.kind) || this.#fits(first.kind, first.stepBytes)) return first;
    }
    return undefined;
  }
}

/** A frame that has no memory yet. */
export function frameMemory(frameBytes: number, isProduce: boolean): FrameMemory {
  return { frameBytes, kind: kindOf(frameBytes, isProduce), heldBytes: 0 };
}

function kindOf(frameBytes: number, isProduce: boolean): FrameKind {
  if (frameBytes <= SMALL_BYTES_MAX) return isProduce ? FrameKind.SmallProduce : FrameKind.Small;
  if (frameBytes <= MEDIUM_BYTES_MAX) return isProduce ? FrameKind.MediumProduce : FrameKind.Medium;
  return isProduce ? FrameKind.LargeProduce : FrameKind.Large;
}

function isLarge(kind: FrameKind): boolean {
  return kind === FrameKind.Large || kind === FrameKind.LargeProduce;
}

function nextStep({ frameBytes, heldBytes }: FrameMemory): number {
  const wanted = heldBytes === 0 ? LARGE_FIRST_BYTES : heldBytes * GROWTH;
  return Math.min(frameBytes, wanted) - heldBytes;
}
