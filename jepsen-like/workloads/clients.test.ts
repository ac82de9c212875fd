import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { hasCommand } from '../../test/support/process.ts';
import { temporaryFolder } from '../../test/support/temporary-folder.ts';
import { readLines } from '../history/read-lines.ts';
import { ClientProcess } from './client-process.ts';

/** Of a copier whose first producer stands still in a transaction: the lines of its transactions, by process, and its complaints. */
async function copied(...environment: readonly string[]) {
  using folder = temporaryFolder('copier');
  const history = join(folder.path, 'history');
  const at = (file: string): string => join(import.meta.dirname, file);
  const env = ['env', '-u', 'STUB_ENDLESS', 'PYTHONDONTWRITEBYTECODE=1', `PYTHONPATH=${at('stub')}`, ...environment];
  const command = [...env, 'python3', at('clients.py'), 'copy', 'nowhere', 'source', 'sink', '1', 'group', '100', '2'];
  const copier = new ClientProcess('copier', command, history, { begins: /"type":"ok","p":101,"ops"/ });
  const complaints = [...(await copier.begun()), ...(await copier.stop())];
  const lines = [...readLines(history)].map(({ text }) => JSON.parse(text) as Record<string, unknown>);
  const transactions = lines.filter(({ type, f, ops }) => f === 'txn' || (type !== 'invoke' && ops !== undefined));
  return { transactions: transactions.map(({ type, p }) => `${p} ${type}`), complaints };
}

describe.runIf(hasCommand('python3'))('a copier whose producer stands still in a transaction', () => {
  const GIVEN_UP = ['100 invoke', '100 info', '101 invoke', '101 ok'];

  test('gives it up, tells that its outcome is not known, and goes on with the next', async () => {
    expect(await copied('STUB_ENDLESS=1')).toEqual({ transactions: GIVEN_UP, complaints: [] });
  });

  test('complains of the cluster, unless the client says that it waits for a thread of its own', async () => {
    expect(await copied()).toEqual({
      transactions: GIVEN_UP,
      complaints: ['copier: process 100 stands still in a transaction'],
    });
  });
});
