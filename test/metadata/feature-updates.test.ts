import { describe, expect, test } from 'vitest';
import { type FeatureUpdate, UpgradeType } from '#metadata/feature-updates';
import { ErrorCode } from '#model/errors';
import { nodeId } from '#model/ids';
import { TestCluster, testUuid } from './support.ts';

const { Upgrade, SafeDowngrade, UnsafeDowngrade } = UpgradeType;

function at(level: number): TestCluster {
  const cluster = TestCluster.withBrokers(1);
  cluster.replay([{ kind: 'featureLevel', name: 'metadata.version', level, epoch: 0 }]);
  return cluster;
}

function update(cluster: TestCluster, updates: readonly FeatureUpdate[], validateOnly = false) {
  return cluster.run('updateFeatures', { updates, validateOnly });
}

const levels = ({ image }: TestCluster) =>
  ['kraft.version', 'metadata.version'].map((name) => image.features.get(name)?.level);

describe('UpdateFeatures (KIP-584)', () => {
  test('raises a level, and with it the epoch of all features', () => {
    const cluster = at(27);
    const { featuresEpoch } = cluster.image;
    const raise = { feature: 'metadata.version', level: 29, upgradeType: Upgrade };
    expect(update(cluster, [raise], true).errorCode).toBe(ErrorCode.None);
    expect(levels(cluster)).toEqual([1, 27]);
    expect(update(cluster, [raise]).errorCode).toBe(ErrorCode.None);
    expect(levels(cluster)).toEqual([1, 29]);
    expect(cluster.image.featuresEpoch).toBeGreaterThan(featuresEpoch);
  });

  test('to the present level is no change', () => {
    const cluster = at(27);
    expect(update(cluster, [{ feature: 'metadata.version', level: 27, upgradeType: Upgrade }]).errorCode).toBe(0);
    expect(cluster.lastRecords).toEqual([]);
  });

  test.each([SafeDowngrade, UnsafeDowngrade])(
    'lowers a level by which nothing else came to be recorded',
    (upgradeType) => {
      const cluster = at(29);
      expect(update(cluster, [{ feature: 'metadata.version', level: 24, upgradeType }]).errorCode).toBe(ErrorCode.None);
      expect(levels(cluster)).toEqual([1, 24]);
    },
  );

  test.each([
    ['metadata.version', 22, SafeDowngrade, 'might delete metadata information'],
    ['metadata.version', 22, UnsafeDowngrade, 'Unsafe metadata downgrade is not supported'],
    ['metadata.version', 24, Upgrade, 'without setting the upgrade type'],
    ['metadata.version', 30, SafeDowngrade, ''],
    ['metadata.version', 31, Upgrade, 'supports versions 7-30'],
    ['metadata.version', 6, SafeDowngrade, 'supports versions 7-30'],
    ['metadata.version', -1, SafeDowngrade, 'supports versions 7-30'],
    ['kraft.version', 0, SafeDowngrade, 'might delete metadata information'],
    ['share.version', 1, Upgrade, 'does not know the feature'],
  ])('of %s from 29 to %i by %i is refused', (feature, level, upgradeType, message) => {
    const cluster = at(29);
    const outcome = update(cluster, [{ feature, level, upgradeType }]);
    expect(outcome.errorCode).toBe(ErrorCode.InvalidUpdateVersion);
    expect(outcome.message).toContain(message);
    expect(cluster.lastRecords).toEqual([]);
  });

  test('makes all of a request or nothing (KIP-1022)', () => {
    const cluster = at(27);
    const good = { feature: 'metadata.version', level: 29, upgradeType: Upgrade };
    expect(update(cluster, [good, { ...good, feature: 'x' }]).message).toContain('The update failed for all features');
    expect(update(cluster, [good, good]).errorCode).toBe(ErrorCode.InvalidRequest);
    expect(update(cluster, [{ ...good, upgradeType: 9 }]).errorCode).toBe(ErrorCode.InvalidRequest);
    expect(levels(cluster)).toEqual([1, 27]);
  });

  test('turns the epochs of transactions off and on again (transaction.version)', () => {
    const cluster = at(27);
    const level = () => cluster.image.features.get('transaction.version')?.level ?? 0;
    const to = (wanted: number, upgradeType: number) =>
      update(cluster, [{ feature: 'transaction.version', level: wanted, upgradeType }]).errorCode;
    expect([to(2, Upgrade), level()]).toEqual([ErrorCode.None, 2]);
    expect([to(1, Upgrade), level()]).toEqual([ErrorCode.InvalidUpdateVersion, 2]);
    expect([to(0, SafeDowngrade), level()]).toEqual([ErrorCode.None, 0]);
    expect([to(3, Upgrade), level()]).toEqual([ErrorCode.InvalidUpdateVersion, 0]);
  });

  test('waits for every registered broker, fenced ones too', () => {
    const cluster = at(27);
    const old = [
      { name: 'metadata.version', min: 7, max: 27 },
      { name: 'kraft.version', min: 0, max: 1 },
      { name: 'group.version', min: 0, max: 1 },
      { name: 'transaction.version', min: 0, max: 2 },
    ];
    const broker = { id: nodeId(2), incarnation: testUuid(2), rack: null, listeners: [], directories: [testUuid(2)] };
    const clusterId = cluster.image.cluster?.id ?? testUuid(0);
    cluster.run('registerBroker', { clusterId, broker: { ...broker, features: old } });
    const raise = { feature: 'metadata.version', level: 29, upgradeType: Upgrade };
    expect(update(cluster, [raise]).message).toContain('Broker 2 supports versions 7-27.');
    cluster.run('unregisterBroker', { id: nodeId(2) });
    expect(update(cluster, [raise]).errorCode).toBe(ErrorCode.None);
  });
});
