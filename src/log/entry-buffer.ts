import { assert } from '#base/assert';

const INITIAL_ENTRIES = 16;

/**
 * Fixed-size entries, one after the other, as an index file holds them. Grows by doubling; whoever appends keeps the bound.
 */
export class EntryBuffer {
  readonly entryBytes: number;
  #bytes: Uint8Array;
  #view: DataView;
  #count = 0;

  /** `content` is owned from here on; it holds whole entries. */
  constructor(entryBytes: number, content: Uint8Array = new Uint8Array(0)) {
    assert(content.length % entryBytes === 0, 'an index holds whole entries');
    this.entryBytes = entryBytes;
    this.#bytes = content;
    this.#view = viewOf(content);
    this.#count = content.length / entryBytes;
  }

  get count(): number {
    return this.#count;
  }

  /** Valid until the next append. */
  get view(): DataView {
    return this.#view;
  }

  /** Makes room for one entry and returns where in `view` it is to be written. */
  append(): number {
    const at = this.#count * this.entryBytes;
    if (at === this.#bytes.length) {
      const grown = new Uint8Array(Math.max(INITIAL_ENTRIES * this.entryBytes, at * 2));
      grown.set(this.#bytes);
      this.#bytes = grown;
      this.#view = viewOf(grown);
    }
    this.#count += 1;
    return at;
  }

  truncate(count: number): void {
    assert(count >= 0 && count <= this.#count, `cannot keep ${count} of ${this.#count} entries`);
    this.#count = count;
  }

  /** The file's content from entry `first` on: a view, lent until the next change. */
  bytes(first = 0): Uint8Array {
    return this.#bytes.subarray(first * this.entryBytes, this.#count * this.entryBytes);
  }
}

/** The last entry whose big-endian int32 at `fieldAt` is at most `key`, or -1; entries ascend in that field. */
export function lastInt32AtMost(entries: EntryBuffer, fieldAt: number, key: number): number {
  const { view, entryBytes } = entries;
  let low = -1;
  let high = entries.count - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (view.getInt32(middle * entryBytes + fieldAt) <= key) low = middle;
    else high = middle - 1;
  }
  return low;
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
