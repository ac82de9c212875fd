/** The message definitions as the emitter wants them: names in camel case, version ranges clipped to the valid ones. */

export interface Range {
  readonly min: number;
  readonly max: number;
}

export type ElementType =
  | { readonly kind: 'primitive'; readonly name: Primitive }
  | { readonly kind: 'struct'; readonly struct: Struct };
export type Type = ElementType | { readonly kind: 'list'; readonly of: ElementType };

const PRIMITIVES = [
  'bool',
  'int8',
  'int16',
  'uint16',
  'int32',
  'uint32',
  'int64',
  'float64',
  'uuid',
  'string',
  'bytes',
  'records',
] as const;
export type Primitive = (typeof PRIMITIVES)[number];

export interface Field {
  readonly name: string;
  readonly type: Type;
  readonly versions: Range;
  /** Where it may be null; undefined: nowhere. */
  readonly nullable: Range | undefined;
  readonly tag: number | undefined;
  /** As the schema has it, as text; undefined: the type's zero. */
  readonly defaultText: string | undefined;
  readonly ignorable: boolean;
  /** May be left out of an input. */
  readonly optional: boolean;
  /** The one exception to the message's flexible versions: the client id of request header 2. */
  readonly neverFlexible: boolean;
}

export interface Struct {
  readonly name: string;
  /** Where it occurs: the versions of the field that defines it, or all of the message's. */
  readonly versions: Range;
  /** In wire order; tagged ones last, by tag. */
  readonly fields: readonly Field[];
}

export interface Message {
  readonly name: string;
  readonly root: Struct;
  /** Children before parents, the root last. */
  readonly structs: readonly Struct[];
  readonly valid: Range;
  /** The first flexible version; Infinity: none. */
  readonly flexibleFrom: number;
  readonly apiKey: number | undefined;
  readonly kind: string;
  readonly latestVersionUnstable: boolean;
  /** Whether a broker serves it. */
  readonly onBroker: boolean;
}

interface RawField {
  readonly name: string;
  readonly type: string;
  readonly versions?: string;
  readonly nullableVersions?: string;
  readonly taggedVersions?: string;
  readonly flexibleVersions?: string;
  readonly tag?: number;
  readonly default?: string | number | boolean;
  readonly ignorable?: boolean;
  readonly fields?: readonly RawField[];
}

export interface RawMessage {
  readonly name: string;
  readonly type: string;
  readonly apiKey?: number;
  readonly validVersions: string;
  readonly flexibleVersions: string;
  readonly latestVersionUnstable?: boolean;
  readonly listeners?: readonly string[];
  readonly fields: readonly RawField[];
  readonly commonStructs?: readonly { readonly name: string; readonly fields: readonly RawField[] }[];
}

export function parseMessage(raw: RawMessage): Message {
  const valid = parseRange(raw.validVersions);
  if (valid === undefined || valid.max === Infinity) throw new Error(`${raw.name}: versions ${raw.validVersions}`);
  const flexibleFrom = parseRange(raw.flexibleVersions)?.min ?? Infinity;
  const structs: Struct[] = [];
  const byName = new Map<string, Struct>();
  const common = new Map((raw.commonStructs ?? []).map((struct) => [struct.name, struct.fields]));

  const structOf = (name: string, fields: readonly RawField[] | undefined, outer: Range): Struct => {
    const known = byName.get(name);
    if (known !== undefined) return known;
    const definition = fields ?? common.get(name);
    if (definition === undefined) throw new Error(`${raw.name}: no struct ${name}`);
    // A common struct may occur anywhere.
    const versions = fields === undefined ? valid : outer;
    const parsed = definition.map((field) => fieldOf(field, versions)).filter((field) => field !== undefined);
    const struct = { name, versions, fields: [...parsed.filter((f) => f.tag === undefined), ...byTag(parsed)] };
    byName.set(name, struct);
    structs.push(struct);
    return struct;
  };

  const typeOf = (text: string, fields: readonly RawField[] | undefined, versions: Range): Type => {
    if (text.startsWith('[]')) {
      const of = typeOf(text.slice(2), fields, versions);
      if (of.kind === 'list') throw new Error(`${raw.name}: a list of lists`);
      return { kind: 'list', of };
    }
    const primitive = PRIMITIVES.find((name) => name === text);
    return primitive === undefined
      ? { kind: 'struct', struct: structOf(text, fields, versions) }
      : { kind: 'primitive', name: primitive };
  };

  const fieldOf = (field: RawField, outer: Range): Field | undefined => {
    const versions = intersect(parseRange(field.versions ?? field.taggedVersions ?? ''), outer);
    if (versions === undefined) return undefined;
    const everywhere = versions.min === outer.min && versions.max === outer.max;
    if (field.tag !== undefined && (parseRange(field.taggedVersions ?? '')?.min ?? Infinity) > versions.min) {
      throw new Error(`${raw.name}.${field.name}: tagged in some of its versions only`);
    }
    return {
      name: field.name.charAt(0).toLowerCase() + field.name.slice(1),
      type: typeOf(field.type, field.fields, versions),
      versions,
      nullable: intersect(parseRange(field.nullableVersions ?? ''), versions),
      tag: field.tag,
      defaultText: field.default === undefined ? undefined : String(field.default),
      ignorable: field.ignorable ?? false,
      optional: field.default !== undefined || field.tag !== undefined || !everywhere,
      neverFlexible: field.flexibleVersions === 'none',
    };
  };

  const root = structOf(raw.name, raw.fields, valid);
  return {
    name: raw.name,
    root,
    structs,
    valid,
    flexibleFrom,
    apiKey: raw.apiKey,
    kind: raw.type,
    latestVersionUnstable: raw.latestVersionUnstable ?? false,
    onBroker: raw.listeners?.includes('broker') ?? false,
  };
}

function byTag(fields: readonly Field[]): Field[] {
  return fields.filter((f) => f.tag !== undefined).sort((a, b) => (a.tag ?? 0) - (b.tag ?? 0));
}

/** `3`, `3-5`, `3+`, `none`. */
function parseRange(text: string): Range | undefined {
  const match = /^(\d+)(?:(\+)|-(\d+))?$/.exec(text);
  if (match === null) return undefined;
  const min = Number(match[1]);
  return { min, max: match[2] === '+' ? Infinity : Number(match[3] ?? min) };
}

function intersect(a: Range | undefined, b: Range): Range | undefined {
  if (a === undefined) return undefined;
  const min = Math.max(a.min, b.min);
  const max = Math.min(a.max, b.max);
  return min <= max ? { min, max } : undefined;
}
