import { describe, expect, test } from 'vitest';
import { MetadataImage } from '#metadata/image';
import { bootstrapIn, votersIn } from '#metadata/voters';
import { ErrorCode } from '#model/errors';
import { nodeId } from '#model/ids';
import type { ReplicaKey, Voter } from '#model/voter';
import { TestCluster, testUuid } from './support.ts';

/** The voter of that id, on the disk of that number: 0 is its first. */
function voter(id: number, disk = 0): Voter {
  return { id: nodeId(id), directoryId: testUuid(100 + 10 * disk + id), host: 'localhost', port: 9093 };
}

function key({ id, directoryId }: Voter): ReplicaKey {
  return { id, directoryId };
}

function ofVoters(...ids: readonly number[]): TestCluster {
  const cluster = new TestCluster();
  for (const id of ids.slice(1)) cluster.run('addVoter', { clusterId: null, voter: voter(id) });
  return cluster;
}

const disksOf = ({ image }: TestCluster) =>
  image.cluster?.voters.map(({ id, directoryId }) => `${id}/${directoryId === voter(id).directoryId ? 'old' : 'new'}`);

describe('the voters in records', () => {
  const bootstrap = { kind: 'bootstrap', clusterId: testUuid(1), voters: [voter(1)], targetSize: 1 } as const;
  const voters = { kind: 'voters', voters: [voter(1), voter(2)], joining: null } as const;

  test('are those of the last record that names some', () => {
    expect(votersIn([bootstrap, { kind: 'noOp' }])).toEqual([voter(1)]);
    expect(votersIn([bootstrap, voters, { kind: 'noOp' }])).toEqual([voter(1), voter(2)]);
    expect(votersIn([{ kind: 'noOp' }])).toBeUndefined();
    expect(votersIn([])).toBeUndefined();
  });

  test('of the first entry are those that a new cluster begins with', () => {
    expect(bootstrapIn([bootstrap, { kind: 'noOp' }])).toEqual({ clusterId: testUuid(1), voters: [voter(1)] });
    expect(bootstrapIn([voters])).toBeUndefined();
  });

  test('are in a snapshot beside the founders', () => {
    const cluster = ofVoters(1, 2);
    const copy = new MetadataImage();
    for (const record of cluster.image.snapshot()) copy.replay(record, cluster.image.index);
    expect(copy.cluster).toEqual(cluster.image.cluster);
    expect(copy.cluster).toMatchObject({ founders: [voter(1)], voters: [voter(1), voter(2)], joining: null });
    const kinds = [...new TestCluster().image.snapshot()].map(({ kind }) => kind);
    expect(kinds).not.toContain('voters');
  });
});

describe('addVoter and removeVoter (KIP-853)', () => {
  test('change one voter each', () => {
    const cluster = ofVoters(1, 2, 3);
    expect(disksOf(cluster)).toEqual(['1/old', '2/old', '3/old']);
    expect(cluster.run('removeVoter', { clusterId: null, voter: key(voter(2)) }).errorCode).toBe(ErrorCode.None);
    expect(disksOf(cluster)).toEqual(['1/old', '3/old']);
  });

  test.each([
    ['an id that votes already', voter(1, 1), null, ErrorCode.DuplicateVoter],
    ['another cluster', voter(2), testUuid(9), ErrorCode.InconsistentClusterId],
    ['no port', { ...voter(2), port: 0 }, null, ErrorCode.InvalidRequest],
    ['no host', { ...voter(2), host: '' }, null, ErrorCode.InvalidRequest],
  ])('adding with %s is refused', (_, added, clusterId, errorCode) => {
    const cluster = ofVoters(1);
    expect(cluster.run('addVoter', { clusterId, voter: added }).errorCode).toBe(errorCode);
    expect(cluster.lastRecords).toEqual([]);
  });

  test.each([
    ['another disk of a voter', voter(1, 1), null, ErrorCode.VoterNotFound],
    ['no voter', voter(7), null, ErrorCode.VoterNotFound],
    ['another cluster', voter(2), testUuid(9), ErrorCode.InconsistentClusterId],
  ])('removing %s is refused', (_, removed, clusterId, errorCode) => {
    const cluster = ofVoters(1, 2);
    expect(cluster.run('removeVoter', { clusterId, voter: key(removed) }).errorCode).toBe(errorCode);
    expect(cluster.lastRecords).toEqual([]);
  });

  test('never leave a cluster without voters', () => {
    const cluster = ofVoters(1);
    expect(cluster.run('removeVoter', { clusterId: null, voter: key(voter(1)) }).errorCode).toBe(
      ErrorCode.InvalidRequest,
    );
  });
});

describe('updateVoter (KIP-853)', () => {
  test('moves a voter to another address, once', () => {
    const cluster = ofVoters(1, 2);
    const moved = { ...voter(2), host: 'elsewhere', port: 7 };
    for (const count of [1, 0]) {
      expect(cluster.run('updateVoter', { clusterId: null, voter: moved }).errorCode).toBe(ErrorCode.None);
      expect(cluster.lastRecords).toHaveLength(count);
    }
    expect(cluster.image.cluster?.voters).toEqual([voter(1), moved]);
    expect(cluster.run('updateVoter', { clusterId: null, voter: voter(2, 1) }).errorCode).toBe(ErrorCode.VoterNotFound);
    expect(cluster.run('updateVoter', { clusterId: null, voter: { ...moved, port: -1 } }).errorCode).toBe(
      ErrorCode.InvalidRequest,
    );
  });
});

describe('a voter that comes back with another disk', () => {
  const replace = (cluster: TestCluster, ...observers: readonly Voter[]) => cluster.run('replaceVoter', { observers });

  test('is taken out first, and added next, one replica at a time', () => {
    const cluster = ofVoters(1, 2, 3);
    replace(cluster, voter(2, 1));
    expect(disksOf(cluster)).toEqual(['1/old', '3/old']);
    expect(cluster.image.cluster?.joining).toEqual(key(voter(2, 1)));
    replace(cluster, voter(2, 1));
    expect(disksOf(cluster)).toEqual(['1/old', '3/old', '2/new']);
    expect(cluster.image.cluster?.joining).toBeNull();
    replace(cluster, voter(2, 1));
    expect(cluster.lastRecords).toEqual([]);
  });

  test('is awaited while it has not caught up, and nobody else is replaced meanwhile', () => {
    const cluster = ofVoters(1, 2, 3, 4, 5);
    replace(cluster, voter(2, 1));
    replace(cluster, voter(3, 1));
    expect(cluster.lastRecords).toEqual([]);
    replace(cluster, voter(3, 1), voter(2, 1));
    expect(disksOf(cluster)).toEqual(['1/old', '3/old', '4/old', '5/old', '2/new']);
  });

  test('and loses that one too is added with the third', () => {
    const cluster = ofVoters(1, 2, 3);
    replace(cluster, voter(2, 1));
    replace(cluster, voter(2, 2));
    expect(cluster.image.cluster).toMatchObject({ voters: [voter(1), voter(3), voter(2, 2)], joining: null });
  });

  test('is awaited no more once it is removed or added by hand', () => {
    for (const byHand of ['removeVoter', 'addVoter'] as const) {
      const cluster = ofVoters(1, 2, 3);
      replace(cluster, voter(2, 1));
      cluster.run(byHand, { clusterId: null, voter: voter(2, 1) });
      expect(cluster.image.cluster?.joining).toBeNull();
    }
  });

  test('stays awaited when another voter comes or goes', () => {
    const cluster = ofVoters(1, 2, 3, 4);
    replace(cluster, voter(2, 1));
    cluster.run('removeVoter', { clusterId: null, voter: key(voter(3)) });
    cluster.run('addVoter', { clusterId: null, voter: voter(5) });
    expect(cluster.image.cluster?.joining).toEqual(key(voter(2, 1)));
  });

  test('is no reason to leave the cluster without voters, nor is an observer that never was one', () => {
    const cluster = ofVoters(1);
    replace(cluster, voter(1, 1), voter(7));
    expect(cluster.lastRecords).toEqual([]);
  });
});
