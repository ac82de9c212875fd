/** The candidate at the smallest edit distance from `name`, if that is at most a third of its length. */
export function nearestName(name: string, candidates: Iterable<string>): string | undefined {
  let nearest: string | undefined;
  let distance = Math.floor(name.length / 3) + 1;
  for (const candidate of candidates) {
    const found = editDistance(name, candidate, distance);
    if (found < distance) {
      nearest = candidate;
      distance = found;
    }
  }
  return nearest;
}

/** Levenshtein's distance, or `limit` as soon as it cannot be less. */
export function editDistance(from: string, to: string, limit: number): number {
  if (Math.abs(from.length - to.length) >= limit) return limit;
  let above = Array.from({ length: to.length + 1 }, (_, column) => column);
  for (let row = 1; row <= from.length; row += 1) {
    const current = [row];
    let least = row;
    for (let column = 1; column <= to.length; column += 1) {
      const replaced = (above[column - 1] ?? 0) + (from[row - 1] === to[column - 1] ? 0 : 1);
      const cost = Math.min(replaced, (above[column] ?? 0) + 1, (current[column - 1] ?? 0) + 1);
      current.push(cost);
      least = Math.min(least, cost);
    }
    if (least >= limit) return limit;
    above = current;
  }
  return Math.min(limit, above[to.length] ?? limit);
}
