export type ProtocolErrorCode =
  /** The bytes end before the message does, or a length or count claims more than they hold. */
  | 'truncated'
  /** Bytes are left after the end of the message. */
  | 'trailing'
  /** A length, count, tag or varint that no writer produces; null where the field can not be null. */
  | 'malformed'
  /** The version is not one of the message's. */
  | 'unsupported-version'
  /** A field that the version lacks has a value that must not get lost (KIP-482: not ignorable). */
  | 'unsupported-field'
  /** No message of this name. */
  | 'unknown-message'
  /** A value that the field's type can not hold. */
  | 'out-of-range';

/** The only error of reading and writing messages: the bytes or the values are at fault, never the process. */
export class ProtocolError extends Error {
  override readonly name = 'ProtocolError';
  readonly code: ProtocolErrorCode;

  constructor(code: ProtocolErrorCode, message: string) {
    super(message);
    this.code = code;
  }
}

export function unsupportedVersion(message: string, version: number): ProtocolError {
  return new ProtocolError('unsupported-version', `${message} has no version ${version}`);
}

export function unsupportedField(field: string, version: number): ProtocolError {
  return new ProtocolError('unsupported-field', `version ${version} can not carry ${field}`);
}

/** A value that only some versions allow to be null, in one that does not. */
export function notNull<T>(value: T | null, field: string): T {
  if (value === null) throw new ProtocolError('out-of-range', `${field} is null`);
  return value;
}
