import { describe, expect, it } from 'vitest';
import { SimRandom } from '#sim/ports/sim-random';
import { RecordModel } from '#sim/workload/record-model';

/** Everything was sent; 'a' stands at 0 of t-0, acknowledged by all, and 'b' at 1, read. */
function model(): RecordModel {
  const known = new RecordModel();
  for (const value of ['a', 'b', 'c']) known.sent(value);
  known.acked('p', 't-0', 0, ['a']);
  known.read('r', 't-0', 1, 'b');
  return known;
}

describe('what may be read', () => {
  it('is what was acknowledged and read before', () => {
    const known = model();
    known.read('r', 't-0', 0, 'a');
    known.checkFinal(
      't-0',
      new Map([
        [0, 'a'],
        [1, 'b'],
        [2, 'c'],
      ]),
    );
    expect([known.ackedCount, known.readCount]).toEqual([1, 2]);
  });

  it('is anything where records were lost with flush.policy=os, and no more than those', () => {
    const known = model();
    known.lost('t-0', 1, 4);
    known.checkFinal('t-0', new Map([[0, 'a']]));
    expect([known.isDisowned('t-0', 4), known.isDisowned('t-0', 5), known.lossCount('t-0')]).toEqual([true, false, 1]);
    known.read('r', 't-0', 1, 'c');
    expect(() => known.read('r', 't-0', 0, 'b')).toThrow(/one value at an offset/);
    expect(() => known.checkFinal('t-0', new Map([[0, 'a']]))).toThrow(/lost/);
  });

  it('is nothing below what was deleted, in the epoch of the deletion and in later ones', () => {
    const known = model();
    known.deletionAsked('t-0', 1);
    known.deleted('t-0', 1, 4);
    expect([known.startIn('t-0', 3), known.startIn('t-0', 4), known.startIn('t-0', 5)]).toEqual([0, 1, 1]);
    known.served('r', 't-0', 0, known.startIn('t-0', 3));
    known.served('r', 't-0', 1, known.startIn('t-0', 4));
    expect(() => known.served('r', 't-0', 0, known.startIn('t-0', 4))).toThrow(/deleted records/);
  });

  it('may lack what somebody wanted to be deleted, and nothing above', () => {
    const known = model();
    known.deletionAsked('t-0', 1);
    known.checkFinal('t-0', new Map([[1, 'b']]));
    expect(() => known.checkFinal('t-0', new Map([[0, 'a']]))).toThrow(/lost/);
    expect(() => known.read('r', 't-0', 0, 'c')).toThrow(/one value at an offset/);
    // Whoever has its place does not know that it was there.
    known.read('r', 't-0', 2, 'a');
    expect(() => known.read('r', 't-0', 3, 'b')).toThrow(/written once/);
  });

  it('is deleted below what is known to be committed, each time further up', () => {
    const known = model();
    const random = new SimRandom('deletions');
    const first = known.deletable('t-0', random) ?? 0;
    expect([1, 2]).toContain(first);
    known.deletionAsked('t-0', 1);
    expect(known.deletable('t-0', random)).toBe(2);
    known.deletionAsked('t-0', 2);
    expect([known.deletable('t-0', random), known.mayBeGoneBelow('t-0')]).toEqual([undefined, 2]);
  });

  it.each<readonly [string, (known: RecordModel) => void]>([
    ['was never sent', (known) => known.read('r', 't-0', 2, 'x')],
    ['another value was acknowledged there', (known) => known.read('r', 't-0', 0, 'c')],
    ['another value was read there', (known) => known.acked('p', 't-0', 1, ['c'])],
    ['it stands elsewhere too', (known) => known.read('r', 't-0', 2, 'a')],
    ['what was acknowledged is not there in the end', (known) => known.checkFinal('t-0', new Map([[1, 'b']]))],
    ['what was read is not there in the end', (known) => known.checkFinal('t-0', new Map([[0, 'a']]))],
  ])('is not what has come if %s', (_why, come) => {
    expect(() => come(model())).toThrow(/t-0/);
  });
});
