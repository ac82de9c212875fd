import type { Reader } from './reader.ts';
import type { Writer } from './writer.ts';

/** What codec.ts must know of a field to translate it between a value and its json shape. */
export interface FieldShape {
  readonly name: string;
  /** A primitive type of the schemas, or the fields of a struct. */
  readonly type: string | readonly FieldShape[];
  readonly list?: true;
  /** The versions that have it; undefined: from the message's first, to its last. */
  readonly min?: number;
  readonly max?: number;
  /** Must be in an input. */
  readonly required?: true;
  readonly nullable?: true;
  /** Of a tagged field, in json: json has it only if it differs. */
  readonly taggedDefault?: unknown;
}

export interface Codec {
  read(reader: Reader, version: number): object;
  write(writer: Writer, value: unknown, version: number): void;
  readonly minVersion: number;
  readonly maxVersion: number;
  readonly shape: readonly FieldShape[];
}
