/** What tools look for among transactions (KIP-664, KIP-994, KIP-1152). */
import { compileRegex } from './topic-regex.ts';
import { stateNamed, type TransactionState } from './transaction-state.ts';

/**
 * Matches whole ids by a RE2 pattern, in time linear in their length; undefined: it is none, or larger than a subscription's may be, which
 * would hold up the node while it is compiled. Without a text every id matches.
 */
export function idMatcher(pattern: string | null): ((transactionalId: string) => boolean) | undefined {
  if (pattern === null || pattern === '') return () => true;
  const compiled = compileRegex(pattern);
  return typeof compiled === 'string' ? undefined : (transactionalId) => compiled.matches(transactionalId);
}

/** States by the names that tools print. Without names any state will do; with unknown ones alone, none. */
export function stateFilter(names: readonly string[]): {
  readonly states: ReadonlySet<TransactionState> | undefined;
  readonly unknown: readonly string[];
} {
  const states = new Set<TransactionState>();
  const unknown: string[] = [];
  for (const name of names) {
    const state = stateNamed(name);
    if (state === undefined) unknown.push(name);
    else states.add(state);
  }
  return { states: names.length === 0 ? undefined : states, unknown };
}
