/** A tagged field that this version of the schema does not know; kept and written back (KIP-482). */
export interface TaggedField {
  readonly tag: number;
  /** What reading gives is a view into the message. */
  readonly data: Uint8Array;
}
