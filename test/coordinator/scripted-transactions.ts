/** A shard of transactions with its log, driven by lines of text; its answers are text as well: transaction-transcripts/README.md. */
import type { CoordinatorRecord, Instant } from '#coordinator/effects';
import { coordinatorError } from '#coordinator/failures';
import type { MarkerOrder, ProducerIdentity, TransactionEffects } from '#coordinator/transaction-commands';
import type { TransactionConfig } from '#coordinator/transaction-config';
import { idMatcher, stateFilter } from '#coordinator/transaction-queries';
import { readTransactionRecord, transactionRecord } from '#coordinator/transaction-records';
import { TransactionShard } from '#coordinator/transaction-shard';
import { stateName, stateNamed, type TopicPartitions } from '#coordinator/transaction-state';
import { ErrorCode, errorName } from '#model/errors';

const WALL_AT_START = 1_700_000_000_000;
const FIRST_PRODUCER_ID = 100;

/** Kafka's defaults. */
export function transactionTestConfig(overrides: Partial<TransactionConfig> = {}): TransactionConfig {
  return {
    timeoutMsMax: 900_000,
    expirationMs: 7 * 24 * 3_600_000,
    expirationCheckIntervalMs: 3_600_000,
    timeoutCheckIntervalMs: 10_000,
    ...overrides,
  };
}

export class ScriptedTransactions {
  readonly log: CoordinatorRecord[] = [];
  #config = transactionTestConfig();
  #version = 2;
  #nextId: number | undefined = FIRST_PRODUCER_ID;
  #now = 1_000;
  #refusal: ErrorCode | undefined;
  /** The last order of each id. */
  readonly #orders = new Map<string, MarkerOrder>();
  #shard = this.#newShard();

  /** Runs one command; gives the lines of its effects. */
  run(line: string): string[] {
    const [verb = '', ...words] = line.split(' ').filter(Boolean);
    const option = (name: string) => words.find((word) => word.startsWith(`${name}=`))?.slice(name.length + 1);
    const transactionalId = words[0] === '""' ? '' : (words[0] ?? '');
    switch (verb) {
      case 'version':
        this.#version = Number(words[0]);
        return [];
      case 'config':
        this.#config = {
          ...this.#config,
          ...Object.fromEntries(words.map((word) => [word.split('=')[0], Number(word.split('=')[1])])),
        };
        this.#shard = this.#newShard();
        return [];
      case 'ids':
        this.#nextId = words[0] === 'none' ? undefined : Number(words[0]);
        return [];
      case 'log': {
        const { producerId, producerEpoch } = identity(words[1]);
        const transaction = {
          producerId,
          previousProducerId: Number(option('previous') ?? producerId),
          nextProducerId: Number(option('next') ?? -1),
          producerEpoch,
          nextProducerEpoch: -1,
          timeoutMs: Number(option('timeout') ?? 60_000),
          state: stateNamed(words[2] ?? '') ?? 0,
          partitions: partitionsOf(words.slice(3)),
          updatedAt: this.#instant().wall,
          startedAt: this.#instant().wall - Number(option('open') ?? 0),
          clientVersion: Number(option('client') ?? 0),
        };
        this.log.push(transactionRecord(transactionalId, transaction, this.#version));
        return [];
      }
      case 'init': {
        const as = option('as');
        const command = {
          transactionalId,
          timeoutMs: Number(option('timeout') ?? 60_000),
          expected: as === undefined ? undefined : identity(as),
        };
        const outcome = this.#shard.initProducerId(command, this.#instant());
        return this.#answered(outcome, (response) => withIdentity(response));
      }
      case 'add': {
        const clientVersion = words.includes('v4') ? 2 : 0;
        const command = {
          transactionalId,
          ...identity(words[1]),
          partitions: partitionsOf(words.slice(2)),
          clientVersion,
        };
        return this.#answered(this.#shard.addPartitions(command, this.#instant()), errorName);
      }
      case 'verify': {
        const command = { transactionalId, ...identity(words[1]), partitions: partitionsOf(words.slice(2)) };
        const { errorCode, missing } = this.#shard.verifyPartitions(command);
        return [`  ${errorName(errorCode)}${missing.size > 0 ? ` missing=${partitionsText(missing)}` : ''}`];
      }
      case 'end': {
        const clientVersion = words.includes('v5') ? 2 : 0;
        const command = { transactionalId, ...identity(words[1]), isCommit: words[2] === 'commit', clientVersion };
        return this.#answered(this.#shard.endTransaction(command, this.#instant()), withIdentity);
      }
      case 'written': {
        const order = this.#orders.get(transactionalId);
        if (order === undefined) throw new Error(`no markers for ${transactionalId}`);
        return this.#carryOut(this.#shard.markersWritten(order, this.#instant()));
      }
      case 'describe':
        return words.map((id) => {
          const described = this.#shard.describe(id);
          if (described === undefined) return `  ${id} unknown`;
          const { state, timeoutMs, startedAt, partitions } = described;
          const start = startedAt === -1 ? 'never' : `${this.#instant().wall - startedAt} ms ago`;
          return `  ${id} ${identityText(described)} ${stateName(state)} timeout=${timeoutMs} started=${start} ${partitionsText(partitions)}`.trimEnd();
        });
      case 'list': {
        const names = option('states')?.split(',') ?? [];
        const { states, unknown } = stateFilter(names);
        const ids = option('producers')?.split(',').map(Number);
        const matches = idMatcher(option('pattern') ?? null);
        if (matches === undefined) return ['  not a pattern'];
        const listed = this.#shard.list(
          {
            states,
            producerIds: ids === undefined ? undefined : new Set(ids),
            longerThanMs: Number(option('longer') ?? -1),
          },
          this.#instant(),
        );
        return [
          ...unknown.map((name) => `  unknown state ${name}`),
          ...listed
            .filter((each) => matches(each.transactionalId))
            .map((each) => `  ${each.transactionalId} ${each.producerId} ${stateName(each.state)}`),
        ];
      }
      case 'wait':
        return this.#wait(Number(words[0]));
      case 'refuse':
        this.#refusal = ErrorCode[words[0] as keyof typeof ErrorCode];
        return [];
      case 'reload': {
        this.#orders.clear();
        this.#shard = this.#newShard();
        for (const record of this.log) this.#shard.replay(record);
        return this.#carryOut(this.#shard.loaded(this.#instant()));
      }
      default:
        throw new Error(`no such command: ${verb}`);
    }
  }

  #wait(ms: number): string[] {
    const until = this.#now + ms;
    const answers: string[] = [];
    for (let ticks = 0; ; ticks += 1) {
      if (ticks > 10_000) throw new Error('ticks without end');
      const due = this.#shard.nextDeadline();
      if (due > until) break;
      this.#now = Math.max(this.#now, due);
      answers.push(
        ...this.#carryOut(this.#shard.tick(this.#instant())).map(
          (each) => `  ${this.#now - until + ms} ms: ${each.trimStart()}`,
        ),
      );
    }
    this.#now = until;
    return answers;
  }

  #answered<Response>(
    outcome: TransactionEffects & { readonly response: Response },
    textOf: (response: Response) => string,
  ): string[] {
    const refused = outcome.records.length > 0 && this.#refusal !== undefined;
    const effects = this.#carryOut(outcome);
    return refused ? effects : [`  ${textOf(outcome.response)}`, ...effects];
  }

  #carryOut(effects: TransactionEffects): string[] {
    if (effects.records.length > 0 && this.#refusal !== undefined) {
      const error = this.#refusal;
      this.#refusal = undefined;
      return [
        `  refused ${errorName(error)}, answered ${errorName(coordinatorError(error))}`,
        ...this.#carryOut(this.#shard.refused(effects, error, this.#instant())),
      ];
    }
    for (const record of effects.records) {
      this.log.push(record);
      this.#shard.replay(record);
    }
    for (const order of effects.markers) this.#orders.set(order.transactionalId, order);
    return [...effects.records.map(recordText), ...effects.markers.map(orderText)];
  }

  #newShard(): TransactionShard {
    const shard = new TransactionShard({
      config: this.#config,
      transactionVersion: () => this.#version,
      takeProducerId: () => {
        const id = this.#nextId;
        if (id !== undefined) this.#nextId = id + 1;
        return id;
      },
    });
    if (this.log.length === 0) shard.loaded(this.#instant());
    return shard;
  }

  #instant(): Instant {
    return { mono: this.#now, wall: WALL_AT_START + this.#now };
  }
}

function identity(word: string | undefined): ProducerIdentity {
  const [producerId = '-1', producerEpoch = '-1'] = (word ?? '').split('/');
  return { producerId: Number(producerId), producerEpoch: Number(producerEpoch) };
}

function identityText({ producerId, producerEpoch }: ProducerIdentity): string {
  return `${producerId}/${producerEpoch}`;
}

function withIdentity(response: ProducerIdentity & { readonly errorCode: ErrorCode }): string {
  const { errorCode, producerId } = response;
  return producerId === -1 ? errorName(errorCode) : `${errorName(errorCode)} ${identityText(response)}`;
}

function partitionsOf(words: readonly string[]): TopicPartitions {
  const partitions = new Map<string, Set<number>>();
  for (const word of words) {
    const [, topic, partition] = /^(\w+)-(\d+)$/.exec(word) ?? [];
    if (topic === undefined) continue;
    partitions.set(topic, (partitions.get(topic) ?? new Set<number>()).add(Number(partition)));
  }
  return partitions;
}

function partitionsText(partitions: TopicPartitions): string {
  return [...partitions].flatMap(([topic, of]) => [...of].map((partition) => `${topic}-${partition}`)).join(' ');
}

function recordText(record: CoordinatorRecord): string {
  const read = readTransactionRecord(record);
  if (read.kind === 'unknown') return '  log unknown';
  const { transactionalId, value } = read;
  if (value === undefined) return `  log ${transactionalId} gone`;
  const words = [`  log ${transactionalId} ${identityText(value)} ${stateName(value.state)}`];
  if (value.previousProducerId !== value.producerId) words.push(`previous=${value.previousProducerId}`);
  if (value.nextProducerId !== -1) words.push(`next=${value.nextProducerId}`);
  if (value.clientVersion !== 0) words.push(`client=${value.clientVersion}`);
  words.push(partitionsText(value.partitions));
  return words.join(' ').trimEnd();
}

function orderText(order: MarkerOrder): string {
  const outcome = order.isCommit ? 'commit' : 'abort';
  const { transactionalId, transactionVersion, partitions } = order;
  return `  ${outcome} ${transactionalId} ${identityText(order)} v${transactionVersion} ${partitionsText(partitions)}`.trimEnd();
}
