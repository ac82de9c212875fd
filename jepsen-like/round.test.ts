/** `make jepsen`, short: one fault with one workload each, by its own command, as it may make itself a network of its own. */
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { run } from '../test/support/process.ts';
import { findPython, toolChain } from '../test/support/tool-chains.ts';
import { findVerifiableClients } from './workloads/verifiable-client.ts';

const python = await toolChain('jepsen-like with librdkafka', findPython);
const java = await toolChain("jepsen-like with Java's clients", findVerifiableClients);
const TIMEOUT_MS = 5 * 60_000;
const main = join(import.meta.dirname, 'main.ts');

/** Cells of a fault's row in the table: trials, operations, acknowledged, lost, duplicated, anomalies. */
function rowOf(table: string, fault: string): readonly string[] | undefined {
  const line = table.split('\n').find((each) => each.startsWith(`| ${fault} `));
  return line
    ?.split('|')
    .slice(2, 8)
    .map((cell) => cell.trim());
}

describe('nothing acknowledged is lost, doubled or torn', () => {
  test.for([
    ['a node is killed', 'kill', 'transactions'],
    ['a node reaches its clients and no other node', 'nodes-only', 'queue'],
    ['the power of a node is cut, with torn and lost unsynced writes', 'power-cut', 'append'],
    ['a node is killed under the clients of Apache Kafka', 'kill', 'java'],
    ['packets to and from a node are late, lost, doubled and out of order', 'lossy-link', 'append'],
    ['the file system of a node is full', 'file-system-full', 'queue'],
    ['faults come and go in a random mix', 'mix', 'groups'],
  ] as const)('while %s', async ([, fault, workload], { skip }) => {
    skip(python === undefined && ['transactions', 'groups'].includes(workload), 'no librdkafka');
    skip(java === undefined && workload === 'java', 'no Java');
    const env = { ...process.env, FAULT: fault, WORKLOAD: workload, FAULT_S: '6', CALM_S: '2' };
    const { status, stdout, output } = await run(process.execPath, [main], { timeoutMs: TIMEOUT_MS, env });
    skip(output.includes(`${fault} is left out`), 'no network of its own');
    expect(status, output).toBe(0);
    const [trials, operations, acknowledged, ...broken] = rowOf(stdout, fault) ?? [];
    expect(trials).toBe('1');
    expect(Number(operations)).toBeGreaterThan(100);
    expect(Number(acknowledged)).toBeGreaterThan(100);
    expect(broken).toEqual(['0', '0', '0']);
  });
});
