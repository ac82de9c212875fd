/** Whether a node has told so since then, by the wall clock; `said` is what it wrote, an object in JSON on each line. */
export function hasLogged(said: string, what: string, sinceMs: number): boolean {
  return said.split('\n').some((line) => {
    const [, time] = /"time":(\d+)/.exec(line) ?? [];
    return line.includes(what) && Number(time) >= sinceMs;
  });
}
