/**
 * Configs are data: a definition says the type, the default, which text is valid and what it means. Text is what is stored and
 * shown, exactly as it was given; the typed value is what code works with (Long.MAX is Infinity there).
 */
export type ConfigType = 'BOOLEAN' | 'STRING' | 'INT' | 'LONG' | 'DOUBLE' | 'LIST';
export type Importance = 'HIGH' | 'MEDIUM' | 'LOW';
export type ConfigValue = boolean | string | number | readonly string[];

/** A text's typed value, or why the text is refused (Kafka's words, without the config's name). */
export type Read<V> = { readonly value: V } | { readonly problem: string };

/** `Default` is null for a config that may be absent: its typed value is then undefined. */
export interface ConfigDef<V = ConfigValue, Default extends string | null = string | null> {
  readonly type: ConfigType;
  readonly default: Default;
  readonly importance: Importance;
  readonly doc: string;
  read(text: string): Read<V>;
}

/** The typed value of a definition. */
export type ValueOf<D> = D extends ConfigDef<infer V, infer Default>
  ? null extends Default
    ? V | undefined
    : V
  : never;

/** `retention.ms` → `retentionMs`: the field of a config in a typed object. */
export type FieldOf<Name extends string> = Name extends `${infer Head}.${infer Tail}`
  ? `${Head}${Capitalize<FieldOf<Tail>>}`
  : Name;

/** The typed object of a table of definitions. */
export type Typed<Table extends Readonly<Record<string, ConfigDef>>> = {
  readonly [Name in keyof Table & string as FieldOf<Name>]: ValueOf<Table[Name]>;
};

export function fieldOf(name: string): string {
  return name.replace(/\.(.)/g, (_, first: string) => first.toUpperCase());
}

/** `Invalid value … for configuration …`, as ConfigException of Kafka words it. */
export function invalidValue(name: string, text: string | null, problem: string): string {
  return `Invalid value ${text} for configuration ${name}: ${problem}`;
}

/** The parts of a LIST, as Kafka splits it: blanks around commas do not count, an empty text is an empty list. */
export function splitList(text: string): readonly string[] {
  const trimmed = text.trim();
  return trimmed === '' ? [] : trimmed.split(/\s*,\s*/);
}

interface About<Default extends string | null> {
  readonly default: Default;
  readonly importance?: Importance;
  readonly doc: string;
}

interface Range {
  readonly min?: number;
  readonly max?: number;
}

type Check<V> = (value: V) => string | undefined;

function define<V, Default extends string | null>(
  type: ConfigType,
  about: About<Default>,
  read: (text: string) => Read<V>,
): ConfigDef<V, Default> {
  return { type, default: about.default, importance: about.importance ?? 'MEDIUM', doc: about.doc, read };
}

export function boolean<Default extends string | null>(about: About<Default>): ConfigDef<boolean, Default> {
  return define('BOOLEAN', about, (text) => {
    const word = text.trim().toLowerCase();
    if (word !== 'true' && word !== 'false') return { problem: 'Expected value to be either true or false' };
    return { value: word === 'true' };
  });
}

export function string<V extends string, Default extends string | null>(
  about: About<Default> & { readonly oneOf?: readonly V[]; readonly check?: Check<string> },
): ConfigDef<V, Default> {
  return define('STRING', about, (text) => {
    const value = text.trim();
    const { oneOf } = about;
    if (oneOf !== undefined && !oneOf.some((allowed) => allowed === value)) {
      return { problem: `String must be one of: ${oneOf.join(', ')}` };
    }
    const problem = about.check?.(value);
    return problem === undefined ? { value: value as V } : { problem };
  });
}

/** `refused` names a value inside the range that is not allowed (gzip's level 0). */
export function int<Default extends string | null>(
  about: About<Default> & Range & { readonly refused?: number },
): ConfigDef<number, Default> {
  return define('INT', about, (text) => {
    const value = wholeNumber(text);
    if (value === undefined || value < -(2 ** 31) || value >= 2 ** 31) return { problem: 'Not a number of type INT' };
    if (Number(value) === about.refused) return { problem: `Value must not be ${about.refused}` };
    return inRange(Number(value), about);
  });
}

/** Values beyond ±2^53 saturate to ±Infinity in typed form: as a duration or a size they mean "never" and "no limit". */
export function long<Default extends string | null>(about: About<Default> & Range): ConfigDef<number, Default> {
  return define('LONG', about, (text) => {
    const value = wholeNumber(text);
    if (value === undefined || value < -(2n ** 63n) || value >= 2n ** 63n) {
      return { problem: 'Not a number of type LONG' };
    }
    const near = Number(value);
    return inRange(Number.isSafeInteger(near) ? near : near * Infinity, about);
  });
}

export function double<Default extends string | null>(about: About<Default> & Range): ConfigDef<number, Default> {
  return define('DOUBLE', about, (text) => {
    const value = text.trim() === '' ? Number.NaN : Number(text);
    return Number.isNaN(value) ? { problem: 'Not a number of type DOUBLE' } : inRange(value, about);
  });
}

export function list<Default extends string | null>(
  about: About<Default> & { readonly oneOf?: readonly string[]; readonly check?: Check<readonly string[]> },
): ConfigDef<readonly string[], Default> {
  return define('LIST', about, (text) => {
    const value = splitList(text);
    const { oneOf } = about;
    if (value.includes('')) return { problem: 'Configuration values must not be empty.' };
    if (new Set(value).size < value.length) return { problem: 'Configuration values must not be duplicated.' };
    if (oneOf !== undefined && !value.every((part) => oneOf.includes(part))) {
      return { problem: `String must be one of: ${oneOf.join(', ')}` };
    }
    const problem = about.check?.(value);
    return problem === undefined ? { value } : { problem };
  });
}

function wholeNumber(text: string): bigint | undefined {
  const trimmed = text.trim();
  return /^[+-]?\d{1,20}$/.test(trimmed) ? BigInt(trimmed.replace('+', '')) : undefined;
}

function inRange(value: number, { min, max }: Range): Read<number> {
  if (min !== undefined && value < min) return { problem: `Value must be at least ${min}` };
  if (max !== undefined && value > max) return { problem: `Value must be no more than ${max}` };
  return { value };
}
