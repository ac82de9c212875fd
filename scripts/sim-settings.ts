import { PLANTED_BUGS, type PlantedBug } from '#model/planted-bugs';

/** A number from the environment. */
export function setting(name: string, byDefault: number): number {
  const text = process.env[name];
  const value = text === undefined || text === '' ? byDefault : Number(text);
  if (Number.isFinite(value) && value >= 0) return value;
  console.error(`${name} is a number, not ${text}`);
  process.exit(2);
}

/** A list of numbers from the environment; undefined if it is not there. */
export function settings(name: string): readonly number[] | undefined {
  const text = process.env[name];
  if (text === undefined) return undefined;
  const values = text.split(',').flatMap((part) => (part.trim() === '' ? [] : Number(part)));
  if (values.every((value) => Number.isInteger(value) && value >= 0)) return values;
  console.error(`${name} is a list of numbers, not ${text}`);
  process.exit(2);
}

/** The planted bugs that PLANTED names. */
export function plantedBugs(): readonly PlantedBug[] {
  const names = (process.env.PLANTED ?? '').split(',').filter((name) => name !== '');
  const known = PLANTED_BUGS.filter((bug) => names.includes(bug));
  if (known.length === names.length) return known;
  console.error(`PLANTED is a list of these, not ${names.join()}: ${PLANTED_BUGS.join(', ')}`);
  process.exit(2);
}
