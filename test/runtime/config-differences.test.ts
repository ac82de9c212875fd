import { describe, expect, test } from 'vitest';
import type { MetadataImage } from '#metadata/image';
import { nodeId } from '#model/ids';
import { ConfigDifferences, clusterConfigsOf } from '#runtime/config-differences';

const OTHER = nodeId(2);

/** The controller of a cluster of three, and what it warns of. */
function controller(given: Record<string, string>, clusterWide: Record<string, string> = {}) {
  const warned: object[] = [];
  const nothing = (): void => {};
  const logger = { debug: nothing, info: nothing, warn: (fields: object) => warned.push(fields), error: nothing };
  const configs = new Map(Object.entries(clusterWide));
  const image = { configs: () => configs, cluster: { targetSize: 3 } } as unknown as MetadataImage;
  return { differences: new ConfigDifferences(logger, image, new Map(Object.entries(given))), configs, warned };
}

describe('a broker whose file says otherwise than that of the active controller', () => {
  test('is told once', () => {
    const { differences, warned } = controller({ 'min.insync.replicas': '2' });
    for (let beat = 0; beat < 3; beat += 1) differences.heard(OTHER, { 'min.insync.replicas': '1' });
    expect(warned).toEqual([{ broker: 2, config: 'min.insync.replicas' }]);
  });

  test('is told again when it has said the same meanwhile', () => {
    const { differences, warned } = controller({});
    for (const policy of ['os', 'fsync', 'os']) differences.heard(OTHER, { 'flush.policy': policy });
    expect(warned).toHaveLength(2);
  });

  test('is of no matter where it says what the cluster’s size does, or where the cluster has a value', () => {
    const { differences, configs, warned } = controller({});
    differences.heard(OTHER, { 'min.insync.replicas': '2' });
    configs.set('min.insync.replicas', '2');
    differences.heard(OTHER, { 'min.insync.replicas': '1' });
    expect(warned).toEqual([]);
  });
});

test('a heartbeat tells only of configs that must be the same everywhere', () => {
  expect(clusterConfigsOf(new Map([['node.id', '1']]))).toBeUndefined();
  const given = new Map(Object.entries({ 'node.id': '1', 'flush.policy': 'os' }));
  expect(clusterConfigsOf(given)).toEqual({ 'flush.policy': 'os' });
});
