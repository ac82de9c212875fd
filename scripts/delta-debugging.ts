/**
 * The smallest part of `all` that still fails, in the sense that it does not without any one of its members (ddmin of Zeller and
 * Hildebrandt, by leaving out alone). `fails` is asked of up to `width` candidates at once; if a candidate's answer does not depend on
 * the others beside it, the outcome depends on `all` and `width` alone. That `all` fails is taken as given.
 */
export async function minimise<T>(
  all: readonly T[],
  width: number,
  fails: (candidates: readonly (readonly T[])[]) => Promise<readonly boolean[]>,
): Promise<readonly T[]> {
  let kept = all;
  for (let size = kept.length; size > 0; ) {
    let isSmaller = false;
    for (let from = 0; from < kept.length; ) {
      const candidates = leavingOut(kept, size, from, width);
      const found = (await fails(candidates)).indexOf(true);
      if (found < 0) {
        from += size * candidates.length;
        continue;
      }
      kept = candidates[found] ?? kept;
      from += size * found;
      isSmaller = true;
    }
    if (size > 1) size = Math.min(kept.length, Math.ceil(size / 2));
    else if (!isSmaller) break;
  }
  return kept;
}

/** Without the `size` members at `from`, without the next ones, and so on. */
function leavingOut<T>(kept: readonly T[], size: number, from: number, width: number): readonly (readonly T[])[] {
  const candidates: (readonly T[])[] = [];
  for (let start = from; start < kept.length && candidates.length < width; start += size)
    candidates.push([...kept.slice(0, start), ...kept.slice(start + size)]);
  return candidates;
}
