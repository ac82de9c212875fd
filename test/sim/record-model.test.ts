import { describe, expect, it } from 'vitest';
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
