import { assert } from '#base/assert';

/** What one partition returns by default (1 MiB), and room for what lies before the wanted batch. */
const SLAB_BYTES = (1 << 20) + 64 * 1024;
/** Slabs that lie ready: 17 MiB at most. */
const FREE_MAX = 16;

/** A buffer from the pool. Who has sent its bytes releases it, once; one that is never released is collected like any other. */
export interface Lease {
  readonly bytes: Uint8Array;
  release(): void;
}

/**
 * Buffers for reads of cold data, used again: memory outside the heap that is made and dropped at the rate of a consumer makes the
 * garbage collector run all the time (measured: 50 collections and 1.5 CPU s per GB read).
 */
export class ReadBuffers {
  readonly #free: Buffer[] = [];

  take(sizeBytes: number): Lease {
    if (sizeBytes > SLAB_BYTES || sizeBytes * 4 < SLAB_BYTES)
      return { bytes: Buffer.allocUnsafeSlow(sizeBytes), release() {} };
    const slab = this.#free.pop() ?? Buffer.allocUnsafeSlow(SLAB_BYTES);
    let released = false;
    return {
      bytes: slab.subarray(0, sizeBytes),
      release: () => {
        assert(!released, 'a read buffer is released once');
        released = true;
        if (this.#free.length < FREE_MAX) this.#free.push(slab);
      },
    };
  }
}
