import fc from 'fast-check';

/** One damage to a request frame; `at` is taken modulo the frame's size, so that one mutation fits any frame. */
export type Mutation =
  | { readonly kind: 'flip'; readonly at: number; readonly bit: number }
  | { readonly kind: 'set'; readonly at: number; readonly value: number }
  | { readonly kind: 'insert'; readonly at: number; readonly bytes: Uint8Array }
  | { readonly kind: 'delete'; readonly at: number; readonly count: number }
  | { readonly kind: 'truncate'; readonly at: number }
  | { readonly kind: 'key'; readonly key: number }
  | { readonly kind: 'version'; readonly version: number }
  | { readonly kind: 'length'; readonly by: number };

/** A field of the request's json, counted among all of them modulo their number, and what takes its place. */
export interface OddValue {
  readonly at: number;
  readonly choice: number;
}

export interface FuzzedRequest {
  /** Of the base requests, modulo their number. */
  readonly base: number;
  readonly oddValues: readonly OddValue[];
  readonly mutations: readonly Mutation[];
}

const LENGTH_BYTES = 4;
const HEADER_BYTES = 8;

/** Evenly spread: with fast-check's bias to small numbers hardly a request would get past its header. */
const place = fc.noBias(fc.nat({ max: 0xff_ffff }));
/** What lengths, counts and tags are made of. */
const edge = fc.constantFrom(0, 1, 2, 0x7f, 0x80, 0xfe, 0xff);

const mutation: fc.Arbitrary<Mutation> = fc.oneof(
  { weight: 8, arbitrary: fc.record({ kind: fc.constant('flip' as const), at: place, bit: fc.nat({ max: 7 }) }) },
  { weight: 8, arbitrary: fc.record({ kind: fc.constant('set' as const), at: place, value: edge }) },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('insert' as const),
      at: place,
      bytes: fc.uint8Array({ minLength: 1, maxLength: 9 }),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constant('delete' as const), at: place, count: fc.integer({ min: 1, max: 9 }) }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('truncate' as const), at: place }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('key' as const), key: fc.integer({ min: -1, max: 95 }) }) },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant('version' as const), version: fc.integer({ min: -1, max: 20 }) }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('length' as const),
      by: fc.oneof(fc.integer({ min: -20, max: 20 }), fc.constantFrom(-0x8000_0000, 0x7fff_ff00)),
    }),
  },
);

const oddValue: fc.Arbitrary<OddValue> = fc.record({ at: place, choice: place });

/** Bytes that are damaged, values that can be read and make no sense, or both. */
export const fuzzedRequest: fc.Arbitrary<FuzzedRequest> = fc.record({
  base: place,
  oddValues: fc.array(oddValue, { maxLength: 3 }),
  mutations: fc.oneof(fc.constant([]), fc.array(mutation, { minLength: 1, maxLength: 3 })),
});

const ODD_NUMBERS = [-1, 0, 1, 2, -2, 127, 32_767, -32_768, 2 ** 31 - 1, -(2 ** 31), 2 ** 53 - 1, -(2 ** 53) + 1];
const ODD_INT64 = ['9223372036854775807', '-9223372036854775808'];
const ODD_STRINGS = [
  '',
  '.',
  '..',
  'fuzz',
  'no such',
  '\0',
  'ä'.repeat(200),
  'x'.repeat(300),
  '__consumer_offsets',
  '-1',
];

/** The json with some of its fields set to values at the edges of their types, its arrays to none, one too many or null. */
export function withOddValues(json: unknown, oddValues: readonly OddValue[]): unknown {
  const odd = structuredClone({ root: json });
  for (const { at, choice } of oddValues) {
    const fields = fieldsOf(odd.root);
    const field = fields[at % Math.max(1, fields.length)];
    if (field !== undefined) field.holder[field.name] = oddOf(field.holder[field.name], choice);
  }
  return odd.root;
}

interface Field {
  readonly holder: Record<string, unknown>;
  readonly name: string;
}

function fieldsOf(value: unknown): Field[] {
  if (typeof value !== 'object' || value === null) return [];
  const holder = value as Record<string, unknown>;
  // Or some topic of 10,000 partitions would be made in earnest, which keeps the disk busy for longer than a test may take.
  const names = Object.keys(holder).filter((name) => name !== 'validateOnly');
  return names.flatMap((name) => [{ holder, name }, ...fieldsOf(holder[name])]);
}

function oddOf(value: unknown, choice: number): unknown {
  const pick = <T>(choices: readonly T[]): T | undefined => choices[choice % choices.length];
  if (typeof value === 'number') return pick<unknown>([...ODD_NUMBERS, ...ODD_INT64]);
  if (typeof value === 'boolean') return !value;
  if (Array.isArray(value)) return pick([[], [...value, ...value], null]);
  return typeof value === 'string' ? pick([...ODD_STRINGS, null]) : value;
}

/** The damaged frame, with the correlation id that it had before. Its length prefix is right unless that was what was damaged. */
export function mutated(base: Uint8Array, correlationId: number, mutations: readonly Mutation[]): Buffer {
  let request = Buffer.from(base.subarray(LENGTH_BYTES));
  request.writeInt32BE(correlationId, 4);
  let lengthOff = 0;
  for (const each of mutations) {
    const at = 'at' in each ? placeIn(request.length, each.at) : 0;
    switch (each.kind) {
      case 'flip':
        if (at < request.length) request[at] = (request[at] as number) ^ (1 << each.bit);
        break;
      case 'set':
        if (at < request.length) request[at] = each.value;
        break;
      case 'insert':
        request = Buffer.concat([request.subarray(0, at), each.bytes, request.subarray(at)]);
        break;
      case 'delete':
        request = Buffer.concat([request.subarray(0, at), request.subarray(at + each.count)]);
        break;
      case 'truncate':
        request = request.subarray(0, at);
        break;
      case 'key':
        if (request.length >= HEADER_BYTES) request.writeInt16BE(each.key, 0);
        break;
      case 'version':
        if (request.length >= HEADER_BYTES) request.writeInt16BE(each.version, 2);
        break;
      case 'length':
        lengthOff = each.by;
        break;
    }
  }
  const prefix = Buffer.alloc(LENGTH_BYTES);
  prefix.writeInt32BE((request.length + lengthOff) | 0);
  return Buffer.concat([prefix, request]);
}

/** One in eight lies in the header's fixed part, where damage mostly ends a request at once. */
function placeIn(sizeBytes: number, at: number): number {
  if (at % 8 === 0 || sizeBytes <= HEADER_BYTES) return at % Math.max(1, sizeBytes);
  return HEADER_BYTES + (at % (sizeBytes - HEADER_BYTES));
}
