import { expect, test } from 'vitest';
import { brokenInvariants } from './broken-invariants.ts';

const found = (...said: readonly string[]): readonly string[] =>
  brokenInvariants({ ids: said.map((_, index) => index), said: (id) => said[id] ?? '' });

test('an assertion that a node has told of is a complaint, and so is a decision that was given up', () => {
  const assertion = '{"level":50,"err":{"type":"AssertionError"},"msg":"the node cannot go on"}';
  const decision = '{"level":50,"msg":"a decision about groups failed"}';
  expect(found(`node started\n${assertion}\n`, 'node started\n', `${decision}\n`)).toEqual([
    `node 0 has broken an invariant: ${assertion}`,
    `node 2 has broken an invariant: ${decision}`,
  ]);
});

test('what a node says of a disk or a network that fails is none', () => {
  const said = ['{"level":50,"msg":"the node cannot go on","err":{"message":"EIO"}}', '{"msg":"node stopped"}'];
  expect(found(said.join('\n'))).toEqual([]);
});
