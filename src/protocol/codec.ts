/**
 * Messages by name, as plain json: for tests, tools and whoever does not know the message when he compiles.
 * The shape is that of Kafka's own JsonConverter classes: names in camel case, fields that the version has, tagged ones only
 * if they differ from their default; bytes and records in base64, uuids as 22 characters, 64-bit integers as numbers, beyond
 * ±2^53 as decimal strings, doubles that are no json number as text. Unknown tagged fields are kept in `unknownTaggedFields`.
 */
import { isUuid } from '#model/ids';
import { codecs } from './generated/codecs.ts';
import { ProtocolError, unsupportedVersion } from './protocol-error.ts';
import { Reader } from './reader.ts';
import type { Codec, FieldShape } from './shape.ts';
import { Writer } from './writer.ts';

type Json = Record<string, unknown>;

const INTEGERS: ReadonlyMap<string, readonly [min: number, max: number]> = new Map([
  ['int8', [-0x80, 0x7f]],
  ['int16', [-0x8000, 0x7fff]],
  ['uint16', [0, 0xffff]],
  ['int32', [-0x8000_0000, 0x7fff_ffff]],
  ['uint32', [0, 0xffff_ffff]],
]);
const INT64_MIN = -(2n ** 63n);
const INT64_MAX = 2n ** 63n - 1n;
const EXACT_MAX = 2n ** 53n;

/** Reads the whole of `bytes`; anything left over is an error. Throws ProtocolError. */
export function decodeMessage(name: string, version: number, bytes: Uint8Array): unknown {
  const codec = codecOf(name, version);
  const reader = new Reader(bytes, 0, true);
  const value = codec.read(reader, version);
  reader.expectEnd();
  return toJson(codec.shape, value as Json, version);
}

/** Takes what decodeMessage gives, also after JSON.stringify and JSON.parse. Throws ProtocolError. */
export function encodeMessage(name: string, version: number, value: unknown): Uint8Array {
  const codec = codecOf(name, version);
  const writer = new Writer(undefined, true);
  codec.write(writer, fromJson(codec.shape, value, version, name), version);
  return Buffer.concat(writer.chunks());
}

function codecOf(name: string, version: number): Codec {
  const codec = codecs.get(name);
  if (codec === undefined) throw new ProtocolError('unknown-message', `no message is called ${name}`);
  if (!(version >= codec.minVersion && version <= codec.maxVersion)) throw unsupportedVersion(name, version);
  return codec;
}

function toJson(shape: readonly FieldShape[], value: Json, version: number): Json {
  const json: Json = {};
  for (const field of shape) {
    if (!inVersion(field, version)) continue;
    const converted = valueToJson(field, value[field.name], version);
    const isDefault = 'taggedDefault' in field && JSON.stringify(converted) === JSON.stringify(field.taggedDefault);
    if (!isDefault) json[field.name] = converted;
  }
  const unknown = value.unknownTaggedFields as readonly { tag: number; data: Uint8Array }[] | undefined;
  if (unknown !== undefined) {
    json.unknownTaggedFields = unknown.map(({ tag, data }) => ({ tag, data: base64(data) }));
  }
  return json;
}

function valueToJson(field: FieldShape, value: unknown, version: number): unknown {
  if (value === null) return null;
  if (field.list === true) return (value as readonly unknown[]).map((item) => oneToJson(field.type, item, version));
  return oneToJson(field.type, value, version);
}

function oneToJson(type: FieldShape['type'], value: unknown, version: number): unknown {
  if (typeof type !== 'string') return toJson(type, value as Json, version);
  switch (type) {
    case 'bytes':
      return base64(value as Uint8Array);
    case 'records':
      return base64(Buffer.concat(value as readonly Uint8Array[]));
    case 'float64':
      return Number.isFinite(value) ? value : String(value);
    case 'int64':
      // The only double beyond ±2^53 is the default that stands for the greatest int64.
      return value === 2 ** 63 ? String(INT64_MAX) : value;
    default:
      return value;
  }
}

function fromJson(shape: readonly FieldShape[], json: unknown, version: number, path: string): Json {
  if (typeof json !== 'object' || json === null || Array.isArray(json)) throw misfit(path, 'an object');
  const given = json as Json;
  const value: Json = {};
  for (const field of shape) {
    const item = Object.hasOwn(given, field.name) ? given[field.name] : undefined;
    if (item !== undefined) value[field.name] = valueFromJson(field, item, version, `${path}.${field.name}`);
    else if (field.required === true) throw misfit(`${path}.${field.name}`, 'given');
  }
  for (const name of Object.keys(given)) {
    if (name === 'unknownTaggedFields') value[name] = tagsFromJson(given[name], `${path}.${name}`);
    else if (!shape.some((field) => field.name === name)) throw misfit(`${path}.${name}`, 'a field of the message');
  }
  return value;
}

function valueFromJson(field: FieldShape, json: unknown, version: number, path: string): unknown {
  if (json === null) {
    if (field.nullable !== true) throw misfit(path, 'other than null');
    return null;
  }
  if (field.list !== true) return oneFromJson(field.type, json, version, path);
  if (!Array.isArray(json)) throw misfit(path, 'an array');
  return json.map((item, index) => oneFromJson(field.type, item, version, `${path}[${index}]`));
}

function oneFromJson(type: FieldShape['type'], json: unknown, version: number, path: string): unknown {
  if (typeof type !== 'string') return fromJson(type, json, version, path);
  switch (type) {
    case 'bool':
      if (typeof json !== 'boolean') throw misfit(path, 'a boolean');
      return json;
    case 'string':
      if (typeof json !== 'string') throw misfit(path, 'a string');
      return json;
    case 'uuid':
      if (typeof json !== 'string' || !isUuid(json)) throw misfit(path, 'a uuid');
      return json;
    case 'bytes':
      return bytesFromJson(json, path);
    case 'records':
      return [bytesFromJson(json, path)];
    case 'float64':
      return float64FromJson(json, path);
    case 'int64':
      return int64FromJson(json, path);
    default: {
      const [min, max] = INTEGERS.get(type) ?? [0, 0];
      if (!Number.isInteger(json) || (json as number) < min || (json as number) > max) throw misfit(path, `an ${type}`);
      return json;
    }
  }
}

/** A number if that is exact, else the decimal string that a Writer of exact integers takes. */
function int64FromJson(json: unknown, path: string): number | string {
  if (Number.isSafeInteger(json)) return json as number;
  const integral = Number.isInteger(json) || (typeof json === 'string' && /^-?\d{1,19}$/.test(json));
  if (!integral) throw misfit(path, 'an int64');
  const wide = BigInt(json as number | string);
  // 2^63 − 1 is no double: JSON.parse makes 2^63 of it.
  if (wide === INT64_MAX || json === 2 ** 63) return 2 ** 63;
  if (wide < INT64_MIN || wide > INT64_MAX) throw misfit(path, 'an int64');
  return wide >= -EXACT_MAX && wide <= EXACT_MAX ? Number(wide) : String(wide);
}

function float64FromJson(json: unknown, path: string): number {
  if (typeof json === 'number') return json;
  if (json === 'NaN' || json === 'Infinity' || json === '-Infinity') return Number(json);
  throw misfit(path, 'a float64');
}

function bytesFromJson(json: unknown, path: string): Uint8Array {
  if (typeof json !== 'string') throw misfit(path, 'base64');
  return Buffer.from(json, 'base64');
}

function tagsFromJson(json: unknown, path: string): unknown {
  if (!Array.isArray(json)) throw misfit(path, 'an array');
  return json.map((item: Json | null, index) => {
    const tag = item?.tag;
    if (!Number.isInteger(tag)) throw misfit(`${path}[${index}].tag`, 'an integer');
    return { tag, data: bytesFromJson(item?.data, `${path}[${index}].data`) };
  });
}

function inVersion(field: FieldShape, version: number): boolean {
  return version >= (field.min ?? 0) && version <= (field.max ?? Number.POSITIVE_INFINITY);
}

function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('base64');
}

function misfit(path: string, expected: string): ProtocolError {
  return new ProtocolError('out-of-range', `${path} is not ${expected}`);
}
