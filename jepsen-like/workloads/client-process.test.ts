import { join } from 'node:path';
import { expect, test } from 'vitest';
import { sleep } from '../../test/support/process.ts';
import { temporaryFolder } from '../../test/support/temporary-folder.ts';
import { ClientProcess, type ClientWays } from './client-process.ts';

const ASSIGNED = '{"t":1,"type":"ok","p":1}';
const WRITTEN = '{"t":2,"type":"ok","p":1,"ops":[["send","q-0",1,0]]}';

/** Of a client that says these lines, each when its standard error is given a signal: whether it has begun behind each of them. */
async function begun(lines: readonly string[], ways?: ClientWays): Promise<readonly boolean[]> {
  using folder = temporaryFolder('client');
  const script = [...lines.map((line) => `echo '${line}'; read -r _ < ${folder.path}/next`), 'cat'].join('\n');
  const command = ['sh', '-c', `mkfifo ${folder.path}/next; ${script}`];
  const client = new ClientProcess('client', command, join(folder.path, 'history'), ways);
  let hasBegun = false;
  const beginning = client.begun().then(() => {
    hasBegun = true;
  });
  const after: boolean[] = [];
  for (const _ of lines) {
    await sleep(300);
    after.push(hasBegun);
    const next = new ClientProcess('next', ['sh', '-c', `echo > ${folder.path}/next`], join(folder.path, 'nothing'));
    await next.stop();
  }
  client.kill();
  await beginning;
  return after;
}

test('a client has begun when a write is acknowledged, not when it is there', async () => {
  expect(await begun([ASSIGNED, WRITTEN])).toEqual([false, true]);
});
