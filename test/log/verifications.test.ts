import { describe, expect, test } from 'vitest';
import { ProducerStates } from '#log/producer-state';
import { type Verification, Verifications } from '#log/verifications';
import { ErrorCode, errorName } from '#model/errors';
import { at, type BatchIdea, codecs, headerOf } from './support.ts';

/** A partition's log, as far as producers and their transactions go. */
class Log {
  readonly states = new ProducerStates(codecs.crc32c, { maxProducers: 100 });
  readonly verifications = new Verifications();
  #end = 0;

  begin(idea: BatchIdea = {}, adds = false): Verification {
    return this.verifications.begin(headerOf({ transactional: true, ...idea }), adds);
  }

  /** What an append of the batch comes to: 'appended', 'duplicate' or an error. */
  append(verification: Verification | 'waived' | undefined, idea: BatchIdea = {}): string {
    const header = headerOf({ transactional: true, ...idea });
    const check = this.verifications.check(header, this.states.check(header, 1), this.states, verification);
    if (check.kind === 'error') return errorName(check.code);
    if (check.kind === 'duplicate') return check.kind;
    this.states.append(header, at(this.#end), at(this.#end + header.recordCount - 1), 0);
    this.#end += header.recordCount;
    if (idea.transactional !== false) this.verifications.end(header.producerId);
    return 'appended';
  }

  marker(idea: BatchIdea = {}): void {
    const header = headerOf({ sequence: -1, transactional: true, control: true, ...idea });
    this.states.append(header, at(this.#end), at(this.#end), 0, { aborted: true, coordinatorEpoch: 0 });
    this.#end += 1;
    this.verifications.end(header.producerId);
  }
}

describe('KIP-890: the first append of a transaction', () => {
  test('needs a verification that was begun for it; those that follow need none', () => {
    const log = new Log();
    expect(log.append(undefined)).toBe('INVALID_TXN_STATE');
    const verification = log.begin();
    expect(log.append(undefined)).toBe('INVALID_TXN_STATE');
    expect(log.append(verification)).toBe('appended');
    expect(log.append(undefined, { sequence: 1 })).toBe('appended');
  });

  test('is refused if a marker came since its verification was begun, also if another one was begun after it', () => {
    const log = new Log();
    const stale = log.begin();
    log.marker();
    expect(log.append(stale)).toBe('INVALID_TXN_STATE');
    const fresh = log.begin();
    expect(log.append(stale)).toBe('INVALID_TXN_STATE');
    expect(log.append(fresh)).toBe('appended');
  });

  test('of the next transaction is verified anew', () => {
    const log = new Log();
    const first = log.begin();
    log.append(first);
    log.marker({ epoch: 1 });
    expect(log.append(first, { epoch: 1 })).toBe('INVALID_TXN_STATE');
    expect(log.append(log.begin({ epoch: 1 }), { epoch: 1 })).toBe('appended');
  });

  test('of a newer epoch is verified though the transaction of the older one is open', () => {
    const log = new Log();
    log.append(log.begin());
    expect(log.append(undefined, { epoch: 1 })).toBe('INVALID_TXN_STATE');
    expect(log.append(log.begin({ epoch: 1 }), { epoch: 1 })).toBe('appended');
  });

  test('of an older epoch is told that first: the client can begin anew', () => {
    const log = new Log();
    log.marker({ epoch: 3 });
    expect(log.append(undefined, { epoch: 2 })).toBe('INVALID_PRODUCER_EPOCH');
  });

  test('is not asked for where the broker does not verify', () => {
    expect(new Log().append('waived')).toBe('appended');
  });

  test('that was taken already is a duplicate, in whatever transaction', () => {
    const log = new Log();
    log.append(log.begin());
    log.marker();
    expect(log.append(undefined)).toBe('duplicate');
  });
});

describe('batches that overtake the first one, whose verification has failed', () => {
  test('wait until it has come again', () => {
    const log = new Log();
    log.begin({ sequence: 5 });
    expect(log.append(log.begin({ sequence: 6 }), { sequence: 6 })).toBe('OUT_OF_ORDER_SEQUENCE_NUMBER');
    expect(log.append(log.begin({ sequence: 5 }), { sequence: 5 })).toBe('appended');
    expect(log.append(undefined, { sequence: 6 })).toBe('appended');
  });

  test('in any order: the lowest sequence of the newest epoch counts', () => {
    const log = new Log();
    log.begin({ sequence: 6 });
    log.begin({ sequence: 5 });
    expect(log.append(log.begin({ sequence: 6 }), { sequence: 6 })).toBe('OUT_OF_ORDER_SEQUENCE_NUMBER');
    const newer = log.begin({ epoch: 1, sequence: 8 });
    expect(log.begin({ epoch: 0, sequence: 2 }).lowestSequence).toBe(8);
    expect(log.append(newer, { epoch: 1, sequence: 8 })).toBe('appended');
  });

  test('of a producer that is not known must begin at 0 where the coordinator adds partitions', () => {
    const log = new Log();
    const adding = log.begin({ sequence: 3 }, true);
    expect(log.append(adding, { sequence: 3 })).toBe('OUT_OF_ORDER_SEQUENCE_NUMBER');
    expect(log.append(log.begin({ sequence: 0 }, true), { sequence: 0 })).toBe('appended');
  });
});

test('a coordinator’s own batches have no sequence to be out of', () => {
  const log = new Log();
  expect(log.append(log.begin({ sequence: -1 }), { sequence: -1 })).toBe('appended');
  expect(log.append(undefined, { sequence: -1 })).toBe('appended');
  expect(log.append(undefined, { epoch: -1, producerId: 1, sequence: -1 })).toBe('INVALID_PRODUCER_EPOCH');
});

test('no more than ten thousand producers are under verification: the oldest begins again', () => {
  const log = new Log();
  const oldest = log.begin({ producerId: 1 });
  for (let producerId = 2; producerId <= 10_001; producerId += 1) log.begin({ producerId });
  expect(log.append(oldest, { producerId: 1 })).toBe(errorName(ErrorCode.InvalidTxnState));
  expect(log.append(log.begin({ producerId: 10_001 }), { producerId: 10_001 })).toBe('appended');
});

test('batches outside of transactions are none of its business', () => {
  const log = new Log();
  expect(log.append(undefined, { transactional: false })).toBe('appended');
  expect(log.append(undefined, { producerId: -1, epoch: -1, sequence: -1, transactional: false })).toBe('appended');
});
