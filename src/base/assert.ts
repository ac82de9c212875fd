/**
 * Broken invariants. They are never caught but by the node's guard: the process (or embedded node) dies and the others
 * carry on; and where a decision that has changed nothing is given up alone (`contained`, coordinator/effects.ts).
 */
export class AssertionError extends Error {
  override readonly name = 'AssertionError';
}

export function assert(condition: unknown, message: string): asserts condition {
  if (!condition) throw new AssertionError(message);
}

/** The end of a switch over a union: the compiler proves that nothing arrives here. */
export function unreachable(value: never): never {
  throw new AssertionError(`unreachable: ${String(value)}`);
}

/** The element at `index`, which must exist. */
export function at<T>(array: readonly T[], index: number): T {
  assert(index >= 0 && index < array.length, `index ${index} outside 0..${array.length - 1}`);
  return array[index] as T;
}
