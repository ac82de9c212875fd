import { describe, expect, test } from 'vitest';
import { type ClusterShape, planCluster, startFlags, votersText } from '#cli/cluster-plan';

const three: ClusterShape = { brokers: 3, racks: ['a', 'b', 'c'], port: 9092, chaos: false, dataDir: 'data' };

describe('the plan of a local cluster', () => {
  test('gives each node a folder, a rack, and ports ten above those of the one before', () => {
    const voter = { isVoter: true, internalPort: undefined };
    expect(planCluster(three)).toEqual([
      { ...voter, id: 1, rack: 'a', port: 9092, peerPort: 9093, httpPort: 9094, dataDir: 'data/node-1' },
      { ...voter, id: 2, rack: 'b', port: 9102, peerPort: 9103, httpPort: 9104, dataDir: 'data/node-2' },
      { ...voter, id: 3, rack: 'c', port: 9112, peerPort: 9113, httpPort: 9114, dataDir: 'data/node-3' },
    ]);
  });

  test('takes voters from racks that come late', () => {
    const nodes = planCluster({ ...three, brokers: 4, racks: ['a', 'a', 'a', 'b'] });
    expect(nodes.map(({ isVoter }) => isVoter)).toEqual([true, true, false, true]);
  });

  test('starts a voter with the list of all, and another node as a broker of theirs', () => {
    const nodes = planCluster({ ...three, brokers: 4, racks: [] });
    const voters = '1@127.0.0.1:9093,2@127.0.0.1:9103,3@127.0.0.1:9113';
    expect(votersText(nodes)).toBe(voters);
    const [, , third, fourth] = nodes.map((node) => startFlags(node, nodes).join(' '));
    expect(third).toBe(
      '--node-id 3 --data-dir data/node-3 --listen 127.0.0.1:9112 --advertise 127.0.0.1:9112 ' +
        `--peer-listen 127.0.0.1:9113 --http-listen 127.0.0.1:9114 --voters ${voters} --roles broker,controller`,
    );
    expect(fourth).toContain('--roles broker');
    expect(fourth).not.toContain('controller');
    const [first] = planCluster(three);
    expect(first && startFlags(first, [first]).slice(-2)).toEqual(['--rack', 'a']);
  });

  test('gives brokers under chaos a listener of their own, which clients are not told', () => {
    const nodes = planCluster({ ...three, chaos: true });
    expect(nodes.map(({ internalPort }) => internalPort)).toEqual([9095, 9105, 9115]);
    const flags = nodes.map((node) => startFlags(node, nodes).join(' '))[1] ?? '';
    const listeners = 'PLAINTEXT://127.0.0.1:9102,INTERNAL://127.0.0.1:9105';
    expect(flags).toContain(`--set listeners=${listeners} --set advertised.listeners=${listeners} `);
    expect(flags).toContain('--set inter.broker.listener.name=INTERNAL');
    expect(flags).not.toContain('--listen ');
  });
});
