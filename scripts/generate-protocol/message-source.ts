/** What the emitters of one message share: its versions, its defaults, the functions that were emitted so far. */
import type { Field, Message, Range, Struct } from './schema.ts';
import { constant } from './source-text.ts';

export class MessageSource {
  readonly message: Message;
  /** The functions for lists and nullable structs that were asked for; a name keeps them from being made twice. */
  readonly helpers = new Map<string, string>();
  /** The functions that take the version. */
  readonly #versioned = new Set<string>();

  constructor(message: Message) {
    this.message = message;
  }

  /** Whether the value of the field in an input is not its default. */
  differs(field: Field): string {
    const value = `value.${field.name}`;
    const given = field.optional ? `${value} !== undefined && ` : '';
    const fallback = this.defaultOf(field);
    const { type } = field;
    if (fallback === 'null') return field.optional ? `(${value} ?? null) !== null` : `${value} !== null`;
    const orNull = field.nullable === undefined ? '' : `${value} === null || `;
    if (type.kind === 'struct') return `${given}(${orNull}!isDefault${type.struct.name}(${value}))`;
    if (type.kind === 'list' || type.name === 'bytes' || type.name === 'records') {
      return `${given}(${orNull}${value}.length > 0)`;
    }
    if (type.name === 'bool') return `${given}${fallback === 'true' ? '!' : ''}${value}`;
    return `${given}${value} !== ${fallback}`;
  }

  defaultOf(field: Field): string {
    const { type, defaultText } = field;
    if (defaultText === 'null') return 'null';
    if (type.kind === 'list') return '[]';
    if (type.kind === 'struct') return `DEFAULT_${constant(type.struct.name)}`;
    switch (type.name) {
      case 'string':
        return JSON.stringify(defaultText ?? '').replaceAll('"', "'");
      case 'uuid':
        return 'ZERO_UUID';
      case 'bytes':
        return 'new Uint8Array(0)';
      case 'records':
        return '[]';
      case 'bool':
        return String(defaultText === 'true');
      default:
        // The greatest int64 is no double; 2^63 stands for it.
        return String(BigInt(defaultText ?? '0') >= 2n ** 53n ? '2 ** 63' : Number(defaultText ?? '0'));
    }
  }

  mayBeFlexible(): boolean {
    return this.message.flexibleFrom <= this.message.valid.max;
  }

  /** The expression that is true in flexible versions. */
  flexible(): string {
    const { flexibleFrom, valid } = this.message;
    if (flexibleFrom <= valid.min) return 'true';
    return flexibleFrom > valid.max ? 'false' : `version >= ${flexibleFrom}`;
  }

  flexibleVersions(struct: Struct): Range {
    return { min: Math.max(this.message.flexibleFrom, struct.versions.min), max: struct.versions.max };
  }

  /** The condition that holds in these of the outer versions; empty: always. */
  within(range: Range, outer: Range): string {
    const min = range.min > outer.min ? `version >= ${range.min}` : '';
    const max = range.max < outer.max ? `version <= ${range.max}` : '';
    return [min, max].filter((text) => text !== '').join(' && ');
  }

  /** The parameter `version` is left out where nothing depends on it. */
  function(name: string, parameters: string, result: string, lines: readonly string[]): string {
    const version = lines.some((line) => /(?<![.'])\bversion\b(?!:)/.test(line));
    if (version) this.#versioned.add(name);
    return `function ${name}(${parameters}${version ? ', version: number' : ''}): ${result} {\n  ${lines.join('\n  ')}\n}\n`;
  }

  /** A call of a function that was emitted before. */
  call(name: string, args: string): string {
    return `${name}(${args}${this.#versioned.has(name) ? ', version' : ''})`;
  }
}
