import fc from 'fast-check';
import type { FieldShape } from '#protocol/shape';

const INT64_EDGES = ['9223372036854775807', '-9223372036854775808', '9007199254740993', '-9007199254740993'];

/** The json of any message of this shape and version, fields that may be left out left out at times. */
export function messageArbitrary(shape: readonly FieldShape[], version: number): fc.Arbitrary<Record<string, unknown>> {
  const fields = shape.filter((f) => version >= (f.min ?? 0) && version <= (f.max ?? Number.POSITIVE_INFINITY));
  return fc.record(Object.fromEntries(fields.map((field) => [field.name, fieldArbitrary(field, version)])));
}

/** The json as decoding gives it: without tagged fields that have their default. */
export function canonicalJson(shape: readonly FieldShape[], json: Record<string, unknown>): Record<string, unknown> {
  const canonical: Record<string, unknown> = {};
  for (const field of shape) {
    if (!(field.name in json)) continue;
    const { type } = field;
    const one = (item: unknown) => (typeof type === 'string' ? item : canonicalJson(type, item as typeof json));
    const value = json[field.name];
    const converted = field.list === true ? (value as unknown[] | null)?.map(one) : value === null ? null : one(value);
    const isDefault =
      'taggedDefault' in field && JSON.stringify(converted ?? null) === JSON.stringify(field.taggedDefault);
    if (!isDefault) canonical[field.name] = converted ?? null;
  }
  return canonical;
}

function fieldArbitrary(field: FieldShape, version: number): fc.Arbitrary<unknown> {
  const one = typeof field.type === 'string' ? primitiveArbitrary(field.type) : messageArbitrary(field.type, version);
  // Nullability varies with the version: null is for the vectors and the tests of notNull.
  const value = field.list === true ? fc.array(one, { maxLength: 3 }) : one;
  return 'taggedDefault' in field ? fc.oneof(fc.constant(field.taggedDefault), value) : value;
}

function primitiveArbitrary(type: string): fc.Arbitrary<unknown> {
  switch (type) {
    case 'bool':
      return fc.boolean();
    case 'int8':
      return fc.integer({ min: -0x80, max: 0x7f });
    case 'int16':
      return fc.integer({ min: -0x8000, max: 0x7fff });
    case 'uint16':
      return fc.integer({ min: 0, max: 0xffff });
    case 'int32':
      return fc.integer({ min: -0x8000_0000, max: 0x7fff_ffff });
    case 'uint32':
      return fc.integer({ min: 0, max: 0xffff_ffff });
    case 'int64':
      return fc.oneof(fc.maxSafeInteger(), fc.constantFrom(...INT64_EDGES));
    case 'float64':
      // JSON has no negative zero.
      return fc.double({ noNaN: true, noDefaultInfinity: true }).map((value) => value + 0);
    case 'uuid':
      return fc.uint8Array({ minLength: 16, maxLength: 16 }).map((bytes) => Buffer.from(bytes).toString('base64url'));
    case 'string':
      return fc.oneof(fc.string({ maxLength: 200 }), fc.string({ unit: 'grapheme', maxLength: 40 }));
    case 'bytes':
    case 'records':
      // Around the size from which bytes go out by reference, too.
      return fc
        .oneof(fc.uint8Array({ maxLength: 20 }), fc.uint8Array({ minLength: 1020, maxLength: 1030 }))
        .map((bytes) => Buffer.from(bytes).toString('base64'));
    default:
      throw new Error(`no arbitrary for ${type}`);
  }
}
