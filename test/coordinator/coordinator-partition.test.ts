import { expect, test } from 'vitest';
import { coordinatorPartition } from '#coordinator/coordinator-partition';

test('a group has the partition that Kafka 4.3.1 gives it (GroupCoordinatorService.partitionFor)', () => {
  const kafkas: [string, number][] = [
    ['', 0],
    ['g', 3],
    ['billing', 9],
    ['console-consumer-53021', 32],
    ['grüße', 23],
    ['🚀-group', 29],
    // Its hash is the least int32, which has no absolute value.
    ['polygenelubricants', 0],
  ];
  expect(kafkas.map(([groupId]) => [groupId, coordinatorPartition(groupId, 50)])).toEqual(kafkas);
});
