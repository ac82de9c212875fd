import { describe, expect, it } from 'vitest';
import { TransactionModel } from '#sim/workload/transactions/transaction-model';

/** Three transactions of one id, each with a value in t-0 and one in t-1: committed, aborted, and one that nobody ends. */
function model(): TransactionModel {
  const known = new TransactionModel();
  for (const [number, end] of ['committed', 'aborted', 'none'].entries()) {
    const transaction = known.begin('id');
    known.writes(transaction, 't-0', `a${number + 1}`);
    known.writes(transaction, 't-1', `b${number + 1}`);
    transaction.hasOffset = true;
    if (end === 'committed') known.commitAsked(transaction);
    if (end !== 'none') known.ended(transaction, end as 'committed' | 'aborted');
  }
  return known;
}

const logs = (t0: Record<number, string>, t1: Record<number, string>) =>
  new Map([
    ['t-0', new Map(Object.entries(t0).map(([offset, value]) => [Number(offset), value]))],
    ['t-1', new Map(Object.entries(t1).map(([offset, value]) => [Number(offset), value]))],
  ]);

describe('what may be read of transactions', () => {
  it('is all of those that were committed', () => {
    const known = model();
    known.read('r', 't-0', 0, 'a1');
    known.checkFinal(logs({ 0: 'a1' }, { 0: 'b1' }));
    expect([known.committedCount, known.offsetOf('id'), known.offsetOf('other')]).toEqual([1, 1, -1]);
  });

  it('is all or nothing of one whose commit was not answered', () => {
    for (const [t0, t1, offset] of [
      [{ 0: 'a1', 4: 'a4' }, { 0: 'b1', 4: 'b4' }, 4],
      [{ 0: 'a1' }, { 0: 'b1' }, 1],
    ] as const) {
      const known = model();
      const unanswered = known.begin('id');
      known.writes(unanswered, 't-0', 'a4');
      known.writes(unanswered, 't-1', 'b4');
      unanswered.hasOffset = true;
      known.commitAsked(unanswered);
      known.checkFinal(logs(t0, t1));
      expect(known.offsetOf('id')).toBe(offset);
    }
  });

  it('is decided once, also if its commit is asked for again; and its offset counts only if it has one', () => {
    const known = model();
    const transaction = known.begin('id');
    known.commitAsked(transaction);
    known.ended(transaction, 'committed');
    known.commitAsked(transaction);
    expect(() => known.ended(transaction, 'aborted')).toThrow(/one outcome/);
    expect(known.offsetOf('id')).toBe(1);
  });

  it.each<readonly [string, RegExp, (known: TransactionModel) => void]>([
    ['was never sent', /never sent/, (known) => known.read('r', 't-0', 0, 'x')],
    ['was aborted', /aborted/, (known) => known.read('r', 't-0', 0, 'a2')],
    ['nobody has asked for its commit', /nobody has asked/, (known) => known.read('r', 't-0', 0, 'a3')],
    [
      'another value was read there',
      /in the end/,
      (known) => {
        known.read('r', 't-0', 0, 'a1');
        known.checkFinal(logs({ 0: 'a3' }, {}));
      },
    ],
    ['a part of what is committed is missing', /b1 is not in t-1/, (known) => known.checkFinal(logs({ 0: 'a1' }, {}))],
    [
      'its transaction was aborted after it was read',
      /aborted/,
      (known) => {
        const transaction = known.begin('id');
        known.writes(transaction, 't-0', 'a4');
        known.commitAsked(transaction);
        known.read('r', 't-0', 4, 'a4');
        known.ended(transaction, 'aborted');
      },
    ],
    [
      'a part of what was not answered is there, and a part is not',
      /b4 is not in t-1/,
      (known) => {
        const transaction = known.begin('id');
        known.writes(transaction, 't-0', 'a4');
        known.writes(transaction, 't-1', 'b4');
        known.commitAsked(transaction);
        known.checkFinal(logs({ 0: 'a1', 4: 'a4' }, { 0: 'b1' }));
      },
    ],
  ])('is not what has come if %s', (_why, message, come) => {
    expect(() => come(model())).toThrow(message);
  });
});
