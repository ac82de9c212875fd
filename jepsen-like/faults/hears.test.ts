/** Packets between real hosts, as network namespaces are: what a fault says is lost is lost, and nothing else. */
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { CLIENTS_HOST, rackOf } from '../../test/support/cluster/sites.ts';
import { runOrThrow } from '../../test/support/process.ts';

interface Heard {
  readonly fault: string;
  readonly target: number;
  readonly during: Readonly<Record<string, readonly string[]>>;
  readonly afterwards: Readonly<Record<string, readonly string[]>>;
}

const nodes = [1, 2, 3, 4, 5, 6];
const hostOf = (id: number): string => `10.7.1.${id}`;
const everybody = [CLIENTS_HOST, ...nodes.map(hostOf)];

/** Whether what `from` sends arrives at `to`; 0 are clients. */
function arrives(fault: string, target: number, from: number, to: number): boolean {
  const [isFrom, isTo] = [from === target, to === target];
  const place = (id: number): number => (id - target + 6) % 6;
  const isOfNodes = from > 0 && to > 0;
  switch (fault) {
    case 'cut':
      return !isFrom && !isTo;
    case 'pair':
      return !isOfNodes || !((isFrom && place(to) === 1) || (isTo && place(from) === 1));
    case 'one-way-out':
      return !(isFrom && isOfNodes);
    case 'one-way-in':
      return !(isTo && isOfNodes);
    case 'halves':
      return !isOfNodes || place(from) < 3 === place(to) < 3;
    case 'bridge':
      return !isOfNodes || isFrom || isTo || place(from) < 4 === place(to) < 4;
    case 'ring':
      return !isOfNodes || ![2, 4].includes((from - to + 6) % 6);
    case 'clients-only':
      return isOfNodes || !(isFrom || isTo);
    case 'nodes-only':
      return !isOfNodes || !(isFrom || isTo);
    case 'rack-cut': {
      const isIn = (id: number): boolean => id > 0 && rackOf(id - 1) === rackOf(target - 1);
      return isIn(from) === isIn(to);
    }
    default:
      throw new Error(`who hears whom in ${fault}?`);
  }
}

test('each fault of the network loses what it says, both ways or one, and all is heard again behind it', async ({
  skip,
}) => {
  const main = join(import.meta.dirname, 'hears-main.ts');
  const said = await runOrThrow(process.execPath, [main], { timeoutMs: 120_000 });
  skip(said.includes('no network of its own'), 'no network of its own');
  const trials = said
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Heard);
  expect(trials.map(({ fault }) => fault)).toContain('rack-cut');
  for (const { fault, target, during, afterwards } of trials) {
    for (const [to, host] of everybody.entries()) {
      const others = everybody.filter((other) => other !== host);
      const expected = others.filter((other) => arrives(fault, target, everybody.indexOf(other), to));
      expect([fault, target, host, during[host]]).toEqual([fault, target, host, expected]);
      expect([fault, target, host, afterwards[host]]).toEqual([fault, target, host, others]);
    }
  }
});
