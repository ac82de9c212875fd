/** What one producer was promised, against what a fresh consumer finds. */

/** Parallel columns: record i is number `numbers[i]` of partition `partitions[i]`, at `offsets[i]`. */
export interface RecordColumns {
  readonly partitions: Uint32Array;
  readonly numbers: Uint32Array;
  readonly offsets: Float64Array;
}

export interface Verdict {
  readonly acknowledged: number;
  readonly read: number;
  /** Acknowledged, and nowhere in the log. */
  readonly lost: number;
  /** Acknowledged at one offset and found at another. */
  readonly moved: number;
  /** Found more than once; each further time counts. */
  readonly duplicated: number;
  /** Found behind a record that the producer sent later. */
  readonly disordered: number;
  /** A sentence about the first fault, for whoever has to find its cause. */
  readonly first: string | undefined;
}

const entryBytes = 16;

/** The format that producer.py and reader.py write; a torn last entry is an error. */
export function parseColumns(bytes: Buffer): RecordColumns {
  const count = bytes.length / entryBytes;
  if (!Number.isInteger(count)) throw new Error(`${bytes.length} bytes are not whole entries`);
  const partitions = new Uint32Array(count);
  const numbers = new Uint32Array(count);
  const offsets = new Float64Array(count);
  for (let i = 0; i < count; i += 1) {
    const at = i * entryBytes;
    partitions[i] = bytes.readUInt32BE(at);
    numbers[i] = bytes.readUInt32BE(at + 4);
    offsets[i] = Number(bytes.readBigUInt64BE(at + 8));
  }
  return { partitions, numbers, offsets };
}

/** Reads must come in the order of each partition's log. */
export function judge(acknowledged: RecordColumns, read: RecordColumns): Verdict {
  let first: string | undefined;
  const fault = (what: string, partition: number, number: number, offset: number): void => {
    first ??= `${what}: number ${number} of partition ${partition}, offset ${offset}`;
  };

  const foundAt = new Map<number, Map<number, number>>();
  const lastNumber = new Map<number, number>();
  let duplicated = 0;
  let disordered = 0;
  for (const [partition, number, offset] of rows(read)) {
    let found = foundAt.get(partition);
    if (found === undefined) {
      found = new Map();
      foundAt.set(partition, found);
    }
    if (found.has(number)) {
      duplicated += 1;
      fault('found twice', partition, number, offset);
      continue;
    }
    found.set(number, offset);
    if (number < (lastNumber.get(partition) ?? -1)) {
      disordered += 1;
      fault('out of order', partition, number, offset);
    }
    lastNumber.set(partition, number);
  }

  let lost = 0;
  let moved = 0;
  for (const [partition, number, offset] of rows(acknowledged)) {
    const found = foundAt.get(partition)?.get(number);
    if (found === undefined) {
      lost += 1;
      fault('acknowledged and lost', partition, number, offset);
    } else if (found !== offset) {
      moved += 1;
      fault(`found at ${found} instead`, partition, number, offset);
    }
  }
  const counts = { acknowledged: acknowledged.numbers.length, read: read.numbers.length };
  return { ...counts, lost, moved, duplicated, disordered, first };
}

function* rows({ partitions, numbers, offsets }: RecordColumns): Iterable<readonly [number, number, number]> {
  for (const [i, number] of numbers.entries()) yield [partitions[i] ?? 0, number, offsets[i] ?? 0];
}
