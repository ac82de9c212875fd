/**
 * What Apache Kafka's verifiable clients print (`VerifiableProducer`, `VerifiableConsumer --verbose`; 4.3.1): an event in JSON on each
 * line. Values are whole numbers: those that a producer without a prefix counts.
 */
import type { Key } from '#history/format';

interface At {
  /** Milliseconds of the wall clock, rounded down, after what it tells of. */
  readonly wallMs: number;
}

export type ProducerEvent = At &
  (
    | { readonly name: 'startup_complete' }
    | { readonly name: 'producer_send_success'; readonly key: Key; readonly value: number; readonly offset: number }
    | { readonly name: 'producer_send_error'; readonly value: number; readonly error: string }
    /** At the end: how many values it has counted. */
    | { readonly name: 'tool_data'; readonly sent: number }
  );

export type ConsumerEvent = At &
  (
    | { readonly name: 'startup_complete' | 'shutdown_complete' }
    | { readonly name: 'partitions_assigned' | 'partitions_revoked'; readonly keys: readonly Key[] }
    /** Those of a poll come before its `records_consumed`. */
    | { readonly name: 'record_data'; readonly key: Key; readonly value: number; readonly offset: number }
    /** `ends` are the offsets behind the last record of each partition. */
    | { readonly name: 'records_consumed'; readonly count: number; readonly ends: readonly (readonly [Key, number])[] }
    /** `error` if it was refused or never answered. */
    | {
        readonly name: 'offsets_committed';
        readonly offsets: readonly (readonly [Key, number])[];
        readonly error: string | undefined;
      }
  );

type Fields = Readonly<Record<string, unknown>>;

/** Undefined of a line that is none of these events. @throws Error of one that says anything else than it should. */
export function producerEvent(line: string): ProducerEvent | undefined {
  const event = fieldsOf(line);
  if (event === undefined) return undefined;
  const wallMs = whole(event, 'timestamp');
  switch (event.name) {
    case 'startup_complete':
      return { wallMs, name: event.name };
    case 'producer_send_success':
      return { wallMs, name: event.name, key: keyOf(event), value: sentValue(event), offset: whole(event, 'offset') };
    case 'producer_send_error':
      return { wallMs, name: event.name, value: sentValue(event), error: `${event.exception}: ${event.message}` };
    case 'tool_data':
      return { wallMs, name: event.name, sent: whole(event, 'sent') };
    default:
      return undefined;
  }
}

/** Undefined of a line that is none of these events. @throws Error of one that says anything else than it should. */
export function consumerEvent(line: string): ConsumerEvent | undefined {
  const event = fieldsOf(line);
  if (event === undefined) return undefined;
  const wallMs = whole(event, 'timestamp');
  switch (event.name) {
    case 'startup_complete':
    case 'shutdown_complete':
      return { wallMs, name: event.name };
    case 'partitions_assigned':
    case 'partitions_revoked':
      return { wallMs, name: event.name, keys: list(event, 'partitions').map(keyOf) };
    case 'record_data':
      return { wallMs, name: event.name, key: keyOf(event), value: sentValue(event), offset: whole(event, 'offset') };
    case 'records_consumed': {
      const ends = list(event, 'partitions').map((each) => [keyOf(each), whole(each, 'maxOffset') + 1] as const);
      return { wallMs, name: event.name, count: whole(event, 'count'), ends };
    }
    case 'offsets_committed': {
      const offsets = list(event, 'offsets').map((each) => [keyOf(each), whole(each, 'offset')] as const);
      // An exception need not have a message.
      const error = event.success === true ? undefined : String(event.error ?? 'no reason is told');
      return { wallMs, name: event.name, offsets, error };
    }
    default:
      return undefined;
  }
}

/** Whatever else is printed does not begin as an object does. */
function fieldsOf(line: string): Fields | undefined {
  return line.startsWith('{') ? (JSON.parse(line) as Fields) : undefined;
}

function keyOf(fields: Fields): Key {
  if (typeof fields.topic !== 'string') throw new Error(`no topic in ${JSON.stringify(fields)}`);
  return `${fields.topic}-${whole(fields, 'partition')}`;
}

function whole(fields: Fields, name: string): number {
  const value = fields[name];
  if (typeof value !== 'number' || !Number.isSafeInteger(value)) {
    throw new Error(`${name} is no whole number in ${JSON.stringify(fields)}`);
  }
  return value;
}

/** It is sent as text. */
function sentValue(fields: Fields): number {
  if (typeof fields.value !== 'string' || !/^\d+$/.test(fields.value)) {
    throw new Error(`the value is none that was sent: ${JSON.stringify(fields)}`);
  }
  return Number(fields.value);
}

function list(fields: Fields, name: string): readonly Fields[] {
  const value = fields[name];
  if (!Array.isArray(value)) throw new Error(`${name} is no list in ${JSON.stringify(fields)}`);
  return value as readonly Fields[];
}
