/**
 * What Apache Kafka's verifiable clients have printed, as a history. They tell when something has ended, and not when it had begun: an
 * operation is taken to last from the earliest time at which it can have begun.
 */
import type { Commit, Key, MicroOperation } from '#history/format';
import { Recorder } from '#history/recorder';
import type { ConsumerEvent, ProducerEvent } from './verifiable-events.ts';

/** What is not in their lines. */
export interface About {
  /** Of the first process; a producer is a process for each value, a member another one after each commit of unknown outcome. */
  readonly firstProcess: number;
  /** How many there may be. */
  readonly processesMax: number;
  /** Adds up to the history's clock from the wall clock. */
  readonly wallToMonotonicMs: number;
  /** Takes a line. */
  readonly append: (line: string) => void;
}

export interface ProducerAbout extends About {
  /** A value of which nothing is known may be in any of them. */
  readonly keys: readonly Key[];
}

export interface MemberAbout extends About {
  readonly topic: string;
  readonly group: string;
  readonly protocol: 'classic' | 'consumer';
}

/**
 * The clocks are read one after the other, and the wall clock is told in whole milliseconds. What is told is so much later than it was, and
 * the beginning of the sends so much earlier.
 */
const MARGIN_MS = 5;

/** Errors of an idempotent producer that say that something acknowledged, or in its place, was not found. */
const BROKEN = /OutOfOrderSequence|UnknownProducerId|InvalidProducerEpoch|CorruptRecord|InvalidRecord/;

/** Writes a history whose lines are in the order of their times; gives what breaks a promise beside it. */
export function producerHistory(events: Iterable<ProducerEvent>, about: ProducerAbout): readonly string[] {
  const complaints: string[] = [];
  const outcomes = new Map<number, Extract<ProducerEvent, { name: 'producer_send_success' | 'producer_send_error' }>>();
  let startMs = 0;
  let sent: number | undefined;
  const last = new Map<Key, { readonly value: number; readonly offset: number }>();
  for (const event of events) {
    switch (event.name) {
      case 'startup_complete':
        startMs = event.wallMs + about.wallToMonotonicMs - MARGIN_MS;
        break;
      case 'tool_data':
        sent = event.sent;
        break;
      case 'producer_send_error':
        outcomes.set(event.value, event);
        if (BROKEN.test(event.error)) complaints.push(`value ${event.value} was refused: ${event.error}`);
        break;
      case 'producer_send_success': {
        outcomes.set(event.value, event);
        const before = last.get(event.key);
        if (before !== undefined && before.value < event.value !== before.offset < event.offset) {
          complaints.push(
            `${event.key} has ${before.value} at ${before.offset} and ${event.value} at ${event.offset}: not as they were sent`,
          );
        }
        last.set(event.key, event);
      }
    }
  }
  const counted = sent ?? Math.max(-1, ...outcomes.keys()) + 1;
  if (sent === undefined) complaints.push('it has not told how much it has sent');
  if (counted > about.processesMax) complaints.push(`${counted} values are more than there are processes for`);

  let atMs = startMs;
  const recorder = new Recorder({ append: about.append, nowMs: () => atMs }, 'VerifiableProducer');
  for (let value = 0; value < counted; value += 1) {
    const p = about.firstProcess + value;
    const outcome = outcomes.get(value);
    const keys = outcome?.name === 'producer_send_success' ? [outcome.key] : about.keys;
    recorder.client({ p, acks: 'all', idempotent: true, early: true });
    recorder.invoke({ p, f: 'send', ops: keys.map((key) => ['send', key, value]) });
  }
  for (const [value, outcome] of outcomes) {
    const p = about.firstProcess + value;
    atMs = Math.max(atMs, outcome.wallMs + about.wallToMonotonicMs + MARGIN_MS);
    if (outcome.name === 'producer_send_error') recorder.complete('info', { p, error: outcome.error });
    else recorder.complete('ok', { p, ops: [['send', outcome.key, value, outcome.offset]] });
  }
  return complaints;
}

/** Writes a member's history; gives what breaks a promise beside it. */
export function memberHistory(events: Iterable<ConsumerEvent>, about: MemberAbout): readonly string[] {
  const member = new Member(about);
  for (const event of events) member.take(event);
  return member.end();
}

/** One poll after the other, and a commit of what each has brought. */
class Member {
  readonly #about: MemberAbout;
  readonly #recorder: Recorder;
  readonly #complaints: string[] = [];
  #process: number;
  #doing: 'nothing' | 'poll' | 'commit' = 'nothing';
  /** Of the poll at hand. */
  #records = new Map<Key, number[]>();
  #atMs = Number.NEGATIVE_INFINITY;

  constructor(about: MemberAbout) {
    this.#about = about;
    this.#process = about.firstProcess;
    this.#recorder = new Recorder({ append: about.append, nowMs: () => this.#atMs }, 'VerifiableConsumer');
  }

  take(event: ConsumerEvent): void {
    this.#atMs = Math.max(this.#atMs, event.wallMs + this.#about.wallToMonotonicMs + MARGIN_MS);
    const p = this.#process;
    switch (event.name) {
      case 'startup_complete':
        this.#declare({});
        this.#recorder.invoke({ p, f: 'subscribe', ops: [['subscribe', this.#about.topic]] });
        this.#recorder.complete('ok', { p });
        this.#poll();
        break;
      case 'partitions_assigned':
        this.#recorder.rebalance({ p, assigned: Object.fromEntries(event.keys.map((key) => [key, null])) });
        break;
      case 'partitions_revoked':
        this.#recorder.rebalance({ p, revoked: event.keys });
        break;
      case 'record_data': {
        const ofKey = this.#records.get(event.key) ?? [];
        this.#records.set(event.key, ofKey);
        ofKey.push(event.offset, event.value);
        break;
      }
      case 'records_consumed':
        this.#consumed(event.count, event.ends);
        break;
      case 'offsets_committed':
        this.#committed(event.offsets, event.error);
        break;
      case 'shutdown_complete':
        if (this.#doing === 'poll' && this.#records.size === 0) {
          this.#recorder.complete('fail', { p, error: 'woken up, to end' });
          this.#doing = 'nothing';
        }
    }
  }

  end(): readonly string[] {
    if (this.#records.size > 0) {
      // They were given, whatever it was about to do with them.
      this.#recorder.complete('info', { p: this.#process, ops: [this.#polled()], error: 'it ended within a poll' });
    }
    return this.#complaints;
  }

  #declare(more: { readonly after?: number }): void {
    const { group, protocol } = this.#about;
    const how = { isolation: 'read_committed', reset: 'earliest', ordered: true } as const;
    this.#recorder.client({ p: this.#process, group, protocol, ...how, ...more });
  }

  #poll(): void {
    this.#recorder.invoke({ p: this.#process, f: 'poll', ops: [['poll']] });
    this.#doing = 'poll';
  }

  #polled(): MicroOperation {
    const part = ['poll', Object.fromEntries(this.#records)] as const;
    this.#records = new Map();
    return part;
  }

  #consumed(count: number, ends: readonly (readonly [Key, number])[]): void {
    const p = this.#process;
    const shown = [...this.#records.values()].reduce((sum, pairs) => sum + pairs.length / 2, 0);
    if (shown !== count) this.#complaints.push(`a poll brought ${count} records, of which it shows ${shown}`);
    this.#recorder.complete('ok', { p, ops: [this.#polled()] });
    this.#doing = 'nothing';
    if (ends.length === 0) return;
    const ops = ends.map(([key, offset]): Commit => ['commit', key, offset]);
    this.#recorder.invoke({ p, f: 'commit', ops });
    this.#doing = 'commit';
  }

  /** It commits too when a poll has brought nothing, which is nothing. */
  #committed(offsets: readonly (readonly [Key, number])[], error: string | undefined): void {
    const p = this.#process;
    if (this.#doing === 'commit') {
      const ops = offsets.map(([key, offset]): Commit => ['commit', key, offset]);
      if (error === undefined) {
        this.#recorder.complete('ok', { p, ops });
      } else {
        // It may have been carried out all the same.
        this.#recorder.complete('info', { p, ops, error });
        this.#process += 1;
        if (this.#process - this.#about.firstProcess >= this.#about.processesMax) {
          this.#complaints.push('there are no more processes for it');
        }
        this.#declare({ after: p });
      }
    }
    this.#poll();
  }
}
