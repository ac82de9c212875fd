import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { sleep, until } from '../../test/support/process.ts';
import { temporaryFolder } from '../../test/support/temporary-folder.ts';
import { ClientProcess, type ClientWays } from './client-process.ts';

/** Waits for what comes: only what does not come takes as long. */
const SAYS_MS = 30_000;
const SEES_MS = 1_000;
const ASSIGNED = '{"t":1,"type":"ok","p":1}';
const WRITTEN = '{"t":2,"type":"ok","p":1,"ops":[["send","q-0",1,0]]}';

/** Of a client that says these lines, each when it is told to: what of its beginning has been seen a while behind each of them. */
async function begun(lines: readonly string[], ways?: ClientWays): Promise<readonly boolean[]> {
  using folder = temporaryFolder('client');
  const history = join(folder.path, 'history');
  const said = (line: string): string => `${folder.path}/${lines.indexOf(line)}`;
  const script = lines.map((line) => `until [ -e ${said(line)} ]; do sleep 0.01; done; echo '${line}'`).join('\n');
  const client = new ClientProcess('client', ['sh', '-c', `${script}\ncat`], history, ways);
  const beginning = client.begun().then(() => true);
  const seen: boolean[] = [];
  for (const line of lines) {
    writeFileSync(said(line), '');
    await until(line, SAYS_MS, () => readFileSync(history, 'utf8').includes(line) || undefined);
    seen.push(await Promise.race([beginning, sleep(SEES_MS).then(() => false)]));
  }
  client.kill();
  await beginning;
  return seen;
}

test('a client has begun when a write is acknowledged, not when it is there', async () => {
  expect(await begun([ASSIGNED, WRITTEN])).toEqual([false, true]);
});
