import { OUTCOMES } from '#history/format';

type Fields = Readonly<Record<string, unknown>>;

/** What may stand in a field; a text says what belongs there. */
type Kind = readonly [fits: (value: unknown) => boolean, what: string];

const isObject = (value: unknown): value is Fields =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
const oneOf = (...values: readonly unknown[]): Kind => [
  (value) => values.includes(value),
  values.map((value) => JSON.stringify(value)).join(' or '),
];
const TEXT: Kind = [(value) => typeof value === 'string', 'a text'];
const TRUE = oneOf(true);
const WHOLE: Kind = [(value) => Number.isSafeInteger(value), 'a whole number'];
const PARTS: Kind = [
  (value) => Array.isArray(value) && value.every((part) => Array.isArray(part)),
  'a list of parts, each a list',
];
const OBJECT: Kind = [isObject, 'an object'];
const LIST: Kind = [(value) => Array.isArray(value), 'a list'];

/** By the type of a line: fields that it has, and those that it may have. Others are for whoever reads. */
type Shape = readonly [required: Readonly<Record<string, Kind>>, optional: Readonly<Record<string, Kind>>];

const COMPLETION: Shape = [{ p: WHOLE }, { ops: PARTS, error: TEXT }];

const SHAPES: ReadonlyMap<unknown, Shape> = new Map(
  Object.entries<Shape>({
    history: [{ name: TEXT }, {}],
    client: [
      { p: WHOLE },
      {
        acks: oneOf(0, 1, 'all'),
        idempotent: oneOf(true, false),
        isolation: oneOf('read_committed', 'read_uncommitted'),
        group: TEXT,
        protocol: oneOf('classic', 'consumer'),
        instance: TEXT,
        reset: oneOf('earliest'),
        ordered: TRUE,
        early: TRUE,
        final: TRUE,
        after: WHOLE,
      },
    ],
    invoke: [{ p: WHOLE, f: TEXT, ops: PARTS }, { generation: WHOLE }],
    ...Object.fromEntries(OUTCOMES.map((outcome) => [outcome, COMPLETION])),
    rebalance: [{ p: WHOLE }, { generation: WHOLE, assigned: OBJECT, revoked: LIST }],
    fault: [{ name: TEXT, target: TEXT, phase: oneOf('begin', 'end') }, {}],
    copy: [{ from: TEXT, to: TEXT, group: TEXT }, {}],
  }),
);

/**
 * What is wrong with a line, by its fields; undefined of one that is as it should be, and of one of another type. A promise that is
 * spelled otherwise would be no promise: what breaks it would only be told.
 */
export function faultOfShape(line: unknown): string | undefined {
  if (!isObject(line)) return 'is no object';
  const shape = SHAPES.get(line.type);
  if (shape === undefined) return undefined;
  const [required, optional] = shape;
  for (const [field, [fits, what]] of Object.entries(required)) {
    if (!fits(line[field])) return faultOf(field, line[field], what);
  }
  for (const [field, [fits, what]] of Object.entries(optional)) {
    if (line[field] !== undefined && !fits(line[field])) return faultOf(field, line[field], what);
  }
  return undefined;
}

function faultOf(field: string, value: unknown, what: string): string {
  return `says ${value === undefined ? 'no' : JSON.stringify(value)} ${field}, where ${what} belongs`;
}
