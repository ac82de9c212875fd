import { topicOf } from '#history/format';
import type { Verdict } from './history/verdict.ts';

/** A trial proves nothing of a topic in which nothing was acknowledged, all the while: a sentence for each. */
export function silentTopics(
  topics: readonly { readonly name: string }[],
  { acknowledgedKeys }: Pick<Verdict, 'acknowledgedKeys'>,
): readonly string[] {
  const heard = new Set([...acknowledgedKeys].map(topicOf));
  return topics.filter(({ name }) => !heard.has(name)).map(({ name }) => `nothing was acknowledged in ${name}`);
}
