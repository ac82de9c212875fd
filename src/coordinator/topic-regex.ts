/** Subscriptions by regular expression: RE2's, whose work is bounded by the text, never JavaScript's. */
import { RE2JS, RE2JSException } from 're2js';
import { REGEX_LENGTH_MAX } from './group-config.ts';
import type { TopicsView } from './topics-view.ts';

/** The expression, or why it is none. */
export function compileRegex(regex: string): RE2JS | string {
  if (regex.length > REGEX_LENGTH_MAX) return `it is longer than ${REGEX_LENGTH_MAX} characters`;
  try {
    return RE2JS.compile(regex);
  } catch (error) {
    if (!(error instanceof RE2JSException)) throw error;
    return error.message;
  }
}

/** Resolves the regexes of one group against the topics as they were when it began, in slices. */
export class RegexResolution {
  /** Of the metadata image. */
  readonly version: number;
  readonly #names: readonly string[];
  readonly #pending: { readonly regex: string; program: RE2JS | string | undefined; readonly topics: Set<string> }[];
  #regexIndex = 0;
  #nameIndex = 0;

  constructor(regexes: Iterable<string>, topics: Pick<TopicsView, 'index' | 'topics'>) {
    this.version = topics.index;
    this.#names = [...topics.topics()].map(({ name }) => name);
    this.#pending = [...regexes].map((regex) => ({ regex, program: undefined, topics: new Set() }));
  }

  /** Matches up to so many names; returns how many it did, and at the end of all has `results`. */
  step(matchesMax: number): number {
    for (let matches = 0; ; ) {
      const current = this.#pending[this.#regexIndex];
      if (current === undefined) return matches;
      if (matches === matchesMax) return matches;
      matches += 1;
      current.program ??= compileRegex(current.regex);
      const name = this.#names[this.#nameIndex];
      if (name === undefined || typeof current.program === 'string') {
        this.#regexIndex += 1;
        this.#nameIndex = 0;
        continue;
      }
      if (current.program.matches(name)) current.topics.add(name);
      this.#nameIndex += 1;
    }
  }

  get isDone(): boolean {
    return this.#regexIndex >= this.#pending.length;
  }

  /** By regex. */
  get results(): ReadonlyMap<string, ReadonlySet<string>> {
    return new Map(this.#pending.map(({ regex, topics }) => [regex, topics]));
  }
}
