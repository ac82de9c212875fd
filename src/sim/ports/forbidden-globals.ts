/** What completes by itself, or differs from run to run: while a world runs, its use is an error in the node that uses it. */
const FORBIDDEN: readonly (readonly [owner: object, name: string])[] = [
  [globalThis, 'Date'],
  [globalThis, 'setTimeout'],
  [globalThis, 'setInterval'],
  [globalThis, 'setImmediate'],
  [globalThis, 'queueMicrotask'],
  [globalThis, 'fetch'],
  [globalThis, 'FinalizationRegistry'],
  [globalThis, 'WeakRef'],
  [globalThis.performance, 'now'],
  [globalThis.crypto, 'getRandomValues'],
  [globalThis.crypto, 'randomUUID'],
  [globalThis.crypto, 'subtle'],
  [AbortSignal, 'timeout'],
  [Math, 'random'],
  [process, 'nextTick'],
  [process, 'hrtime'],
];

/** Runs `work`, which is synchronous, without them. */
export function withoutForbiddenGlobals<T>(work: () => T): T {
  const former = FORBIDDEN.map(([owner, name]) => Object.getOwnPropertyDescriptor(owner, name));
  for (const [owner, name] of FORBIDDEN) {
    Object.defineProperty(owner, name, {
      configurable: true,
      get: () => {
        throw new Error(`${name} is used while a world runs`);
      },
    });
  }
  try {
    return work();
  } finally {
    for (const [index, [owner, name]] of FORBIDDEN.entries()) {
      const descriptor = former[index];
      if (descriptor !== undefined) Object.defineProperty(owner, name, descriptor);
      // It stood on the prototype.
      else delete (owner as Record<string, unknown>)[name];
    }
  }
}
