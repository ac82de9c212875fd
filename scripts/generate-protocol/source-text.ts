/** How types and names of the schemas are written in TypeScript. */
import type { ElementType, Field, Primitive, Range } from './schema.ts';

export const TYPE_NAMES: Record<Primitive, string> = {
  bool: 'boolean',
  int8: 'number',
  int16: 'number',
  uint16: 'number',
  int32: 'number',
  uint32: 'number',
  int64: 'number',
  float64: 'number',
  uuid: 'Uuid',
  string: 'string',
  bytes: 'Uint8Array',
  records: 'readonly Uint8Array[]',
};
/** What a value takes on the wire; undefined: it has a length of its own. */
export const FIXED_BYTES: Partial<Record<Primitive, number>> = {
  bool: 1,
  int8: 1,
  int16: 2,
  uint16: 2,
  int32: 4,
  uint32: 4,
  int64: 8,
  float64: 8,
  uuid: 16,
};

export function typeText(field: Field, suffix: '' | 'Input'): string {
  const { type } = field;
  const nullable = field.nullable !== undefined || field.defaultText === 'null' ? ' | null' : '';
  const element = type.kind === 'list' ? type.of : type;
  const name = element.kind === 'struct' ? `${element.struct.name}${suffix}` : TYPE_NAMES[element.name];
  return `${type.kind === 'list' ? `readonly ${name}[]` : name}${nullable}`;
}

/** Names of the functions' own parameters are taken. */
export function local(field: Field): string {
  return ['reader', 'version', 'tag', 'end', 'left'].includes(field.name) ? `${field.name}Field` : field.name;
}

export function listName(of: ElementType): string {
  return `${capital(of.kind === 'struct' ? of.struct.name : of.name)}List`;
}

export function capital(name: string): string {
  return name.charAt(0).toUpperCase() + name.slice(1);
}

export function constant(name: string): string {
  return name.replace(/(?<=[a-z0-9])(?=[A-Z])/g, '_').toUpperCase();
}

export function versionsOf(range: Range): number[] {
  return Array.from({ length: range.max - range.min + 1 }, (_, i) => range.min + i);
}
