/** A number from the environment. */
export function setting(name: string, byDefault: number): number {
  const text = process.env[name];
  const value = text === undefined || text === '' ? byDefault : Number(text);
  if (Number.isFinite(value) && value >= 0) return value;
  console.error(`${name} is a number, not ${text}`);
  process.exit(2);
}
