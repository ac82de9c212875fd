/** What a PromQL expression asks for: enough of the language for the rules and panels that are shipped, and nothing is let by unread. */

export interface Query {
  /** Each metric with the labels that it is selected by. */
  readonly selectors: readonly { readonly metric: string; readonly labels: readonly string[] }[];
  /** Labels that results are grouped or matched by. */
  readonly grouping: readonly string[];
}

const WORDS = new Set(['by', 'without', 'on', 'ignoring', 'group_left', 'group_right', 'and', 'or', 'unless', 'bool']);
const FUNCTIONS = new Set([
  ...['sum', 'max', 'min', 'avg', 'count', 'topk'],
  ...['rate', 'increase', 'changes', 'predict_linear', 'histogram_quantile', 'scalar'],
]);
const TOKEN =
  /\s+|(?<number>\d+(?:\.\d+)?)|(?<range>\[(?:\d+[smhd]|\$__rate_interval)(?::(?:\d+[smhd])?)?\])|(?<labels>\{[^{}]*\})|(?<name>[a-zA-Z_:][\w:]*)|(?<sign>[-+*/%(),]|[=!<>]=|[<>])/y;
const MATCHER = /\s*([a-zA-Z_]\w*)\s*(?:=~|!~|!=|=)\s*"[^"]*"\s*(?:,|$)/y;

/** Throws on what it does not understand. */
export function readQuery(text: string): Query {
  const selectors: { metric: string; labels: readonly string[] }[] = [];
  const grouping: string[] = [];
  const open: ('labels' | 'values')[] = [];
  let previous = '';
  TOKEN.lastIndex = 0;
  while (TOKEN.lastIndex < text.length) {
    const at = TOKEN.lastIndex;
    const { name, labels, sign } = TOKEN.exec(text)?.groups ?? unread(text, at);
    if (sign === '(')
      open.push(WORDS.has(previous) && /^(by|without|on|ignoring|group_)/.test(previous) ? 'labels' : 'values');
    if (sign === ')' && open.pop() === undefined) unread(text, at);
    if (labels !== undefined) {
      const selected = selectors.at(-1);
      if (selected?.metric !== previous) unread(text, at);
      else selected.labels = readMatchers(labels.slice(1, -1));
    } else if (name !== undefined && open.at(-1) === 'labels') grouping.push(name);
    else if (name !== undefined && !WORDS.has(name) && !isCalled(text, name))
      selectors.push({ metric: name, labels: [] });
    previous = name ?? sign ?? previous;
  }
  if (open.length > 0 || selectors.length === 0) unread(text, text.length);
  return { selectors, grouping };
}

function isCalled(text: string, name: string): boolean {
  const rest = text.slice(TOKEN.lastIndex);
  if (!FUNCTIONS.has(name)) return false;
  if (!/^\s*(\(|by\b|without\b)/.test(rest)) unread(text, TOKEN.lastIndex);
  return true;
}

function readMatchers(text: string): string[] {
  const labels: string[] = [];
  MATCHER.lastIndex = 0;
  while (MATCHER.lastIndex < text.length) {
    const at = MATCHER.lastIndex;
    labels.push(MATCHER.exec(text)?.[1] ?? unread(text, at));
  }
  return labels;
}

function unread(text: string, at: number): never {
  throw new Error(`not understood at ${at}: ${text.slice(0, at)} ⟨here⟩ ${text.slice(at)}`);
}
