import { describe, expect, it } from 'vitest';
import { GroupModel } from '#sim/workload/groups/group-model';

/** Partition 0 of g: m1 committed 5 and 7 in generation 3, m2 committed 9 in generation 4. */
function model(): GroupModel {
  const known = new GroupModel();
  known.committed('m1', 'g', 0, 3, 5);
  known.committed('m1', 'g', 0, 3, 7);
  known.committed('m2', 'g', 0, 4, 9);
  return known;
}

describe('offsets of groups', () => {
  it('rise with the generations, in whatever order their acknowledgements come', () => {
    const known = model();
    known.committed('m1', 'g', 0, 3, 8);
    known.committed('m3', 'g', 0, 6, 12);
    known.committed('m1', 'g', 1, 3, 1);
    known.fetched('m3', 'g', 0, 12, known.floorOf('g', 0));
    known.fetched('m3', 'g', 2, -1, known.floorOf('g', 2));
    expect([known.floorOf('g', 0), known.floorOf('g', 2), known.commitCount]).toEqual([12, -1, 6]);
  });

  it('may go back to a commit that was lost on its way, as long as its member owns the partition', () => {
    const known = model();
    known.lost('m2', 'g', 0, 4, 8);
    known.committed('m2', 'g', 0, 4, 11);
    known.fetched('m3', 'g', 0, 8, known.floorOf('g', 0));
    known.committed('m3', 'g', 0, 5, 9);
    known.committed('m2', 'g', 0, 4, 12);
    expect(() => known.committed('m3', 'g', 0, 5, 6)).toThrow(/rise/);
  });

  it('go back to no commit that was lost in an earlier generation than one that was taken since', () => {
    const known = model();
    known.lost('m1', 'g', 0, 3, 4);
    expect(known.floorOf('g', 0)).toBe(9);
    known.lost('m2', 'g', 0, 4, 8);
    expect(known.floorOf('g', 0)).toBe(8);
    known.committed('m3', 'g', 0, 5, 8);
    expect(known.floorOf('g', 0)).toBe(8);
    known.lost('m1', 'g', 0, 6, 2);
    expect(known.floorOf('g', 0)).toBe(2);
  });

  it.each<readonly [string, RegExp, (known: GroupModel) => void]>([
    ['a commit of an earlier generation goes beyond a later one', /rise/, (m) => m.committed('m1', 'g', 0, 3, 10)],
    ['a commit of a later generation goes back', /rise/, (m) => m.committed('m3', 'g', 0, 5, 8)],
    ['two members commit in one generation', /one owner/, (m) => m.committed('m3', 'g', 0, 4, 10)],
    ['two members own in one generation', /one owner/, (m) => m.owns('m1', 'g', 0, 4)],
    ['an acknowledged offset is not there any more', /committed offsets/, (m) => m.fetched('m3', 'g', 0, 7, 9)],
  ])('are wrong if %s', (_why, message, come) => {
    expect(() => come(model())).toThrow(message);
  });
});
