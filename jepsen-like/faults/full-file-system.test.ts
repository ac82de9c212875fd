import { expect, test } from 'vitest';
import { mountPoints } from './full-file-system.ts';

test('what is mounted below a folder is found, the last first, and nothing beside it', () => {
  const mountinfo = [
    '22 1 254:0 / / rw,relatime - ext4 /dev/vda rw',
    '60 22 0:40 / /tmp/odradek-jepsen-a/node-1 rw,relatime - tmpfs odradek rw,size=2097152k',
    '61 60 0:41 / /tmp/odradek-jepsen-a/node-1/below rw,relatime - tmpfs odradek rw',
    '62 22 0:42 / /tmp/odradek-jepsen-ab/node-1 rw,relatime - tmpfs odradek rw',
    '',
  ].join('\n');
  expect(mountPoints(mountinfo, '/tmp/odradek-jepsen-a')).toEqual([
    '/tmp/odradek-jepsen-a/node-1/below',
    '/tmp/odradek-jepsen-a/node-1',
  ]);
});
