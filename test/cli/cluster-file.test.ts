import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import {
  clusterFilePath,
  hold,
  isHeld,
  readClusterFile,
  release,
  removeClusterFile,
  writeClusterFile,
} from '#cli/cluster-file';
import { planCluster } from '#cli/cluster-plan';
import { temporaryFolder } from '../support/temporary-folder.ts';

describe('the file of a cluster', () => {
  let folder: ReturnType<typeof temporaryFolder>;
  let path: string;

  beforeEach(() => {
    folder = temporaryFolder('cluster-file');
    path = clusterFilePath(folder.path);
  });
  afterEach(() => folder[Symbol.dispose]());

  const nodes = (chaos: boolean) =>
    planCluster({ brokers: 3, racks: ['a'], port: 9092, chaos, dataDir: folder.path }).map((node) => ({ ...node }));

  test('is read as it was written, and by its owner only', () => {
    writeClusterFile(folder.path, { nodes: nodes(true), token: 'secret' });
    expect(readClusterFile(path)).toEqual({ nodes: nodes(true), token: 'secret' });
    expect(statSync(path).mode & 0o777).toBe(0o600);
  });

  test('has no token for a cluster without --chaos, and replaces that of one with it', () => {
    writeClusterFile(folder.path, { nodes: nodes(true), token: 'secret' });
    writeClusterFile(folder.path, { nodes: nodes(false), token: undefined });
    expect(readClusterFile(path)?.token).toBeUndefined();
    expect(readFileSync(path, 'utf8')).not.toContain('secret');
  });

  test.each(['', '{', '[]', '{"nodes":3}', 'null'])('is none if it holds %j', (text) => {
    writeFileSync(path, text);
    expect(readClusterFile(path)).toBeUndefined();
  });

  test('is none where there is no file, also after its removal', () => {
    writeClusterFile(folder.path, { nodes: nodes(true), token: undefined });
    removeClusterFile(folder.path);
    expect(readClusterFile(path)).toBeUndefined();
    removeClusterFile(folder.path);
    expect(readClusterFile(join(folder.path, 'nowhere'))).toBeUndefined();
  });

  test('forgets with a new cluster which nodes were held', () => {
    hold(folder.path, 2);
    expect([1, 2].map((id) => isHeld(folder.path, id))).toEqual([false, true]);
    release(folder.path, 2);
    release(folder.path, 2);
    expect(isHeld(folder.path, 2)).toBe(false);
    hold(folder.path, 3);
    writeClusterFile(folder.path, { nodes: nodes(true), token: undefined });
    expect(readdirSync(folder.path)).toEqual(['cluster.json']);
  });
});
