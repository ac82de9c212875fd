import { describe, expect, test } from 'vitest';
import { alterConfigsApi, incrementalAlterConfigsApi } from '#api/alter-configs';
import { describeConfigsApi } from '#api/describe-configs';
import { listConfigResourcesApi } from '#api/list-config-resources';
import { AlterOperation } from '#metadata/configs';
import { ResourceType } from '#metadata/records';
import { ErrorCode } from '#model/errors';
import { writeAlterConfigsRequest } from '#protocol/generated/alter-configs-request';
import { readAlterConfigsResponse } from '#protocol/generated/alter-configs-response';
import { writeDescribeConfigsRequest } from '#protocol/generated/describe-configs-request';
import { readDescribeConfigsResponse } from '#protocol/generated/describe-configs-response';
import { writeIncrementalAlterConfigsRequest } from '#protocol/generated/incremental-alter-configs-request';
import { readIncrementalAlterConfigsResponse } from '#protocol/generated/incremental-alter-configs-response';
import { writeListConfigResourcesRequest } from '#protocol/generated/list-config-resources-request';
import { readListConfigResourcesResponse } from '#protocol/generated/list-config-resources-response';
import { ApiStage, versionsOf } from './api-stage.ts';

const alter = { write: writeAlterConfigsRequest, read: readAlterConfigsResponse };
const incremental = { write: writeIncrementalAlterConfigsRequest, read: readIncrementalAlterConfigsResponse };
const listing = { write: writeListConfigResourcesRequest, read: readListConfigResourcesResponse };
const describing = { write: writeDescribeConfigsRequest, read: readDescribeConfigsResponse };

async function describeOne(stage: ApiStage, resourceType: number, resourceName: string, keys: string[] | null = null) {
  const request = {
    resources: [{ resourceType, resourceName, configurationKeys: keys }],
    includeSynonyms: true,
    includeDocumentation: true,
  };
  const { results } = await stage.call(describeConfigsApi, describing, 4, request);
  const [result] = results;
  if (result === undefined || results.length !== 1) throw new Error('one resource has one result');
  return result;
}

async function setConfig(stage: ApiStage, resourceType: number, resourceName: string, name: string, value: string) {
  const configs = [{ name, configOperation: AlterOperation.Set, value }];
  const resources = [{ resourceType, resourceName, configs }];
  const answer = await stage.call(incrementalAlterConfigsApi, incremental, 1, { resources, validateOnly: false });
  expect(answer.responses).toMatchObject([{ errorCode: ErrorCode.None }]);
}

describe('DescribeConfigs', () => {
  test.each(versionsOf(describeConfigsApi))(
    "version %i tells a topic's configs with their sources",
    async (version) => {
      const stage = new ApiStage();
      stage.topic('orders', 1, { 'retention.ms': '1000' });
      const resources = [
        { resourceType: ResourceType.Topic, resourceName: 'orders', configurationKeys: ['retention.ms', 'segment.ms'] },
      ];
      const answer = await stage.call(describeConfigsApi, describing, version, { resources });
      expect(answer.results).toMatchObject([
        {
          errorCode: ErrorCode.None,
          resourceName: 'orders',
          configs: [
            { name: 'retention.ms', value: '1000', configSource: 1, isSensitive: false, synonyms: [] },
            { name: 'segment.ms', value: '604800000', configSource: 5 },
          ],
        },
      ]);
      if (version >= 3) expect(answer.results[0]?.configs[0]).toMatchObject({ configType: 5, documentation: null });
    },
  );

  test('synonyms and documentation are told when asked for', async () => {
    const stage = new ApiStage({ 'log.retention.ms': '5000' });
    stage.topic('orders', 1, { 'retention.ms': '1000' });
    const { configs } = await describeOne(stage, ResourceType.Topic, 'orders', ['retention.ms']);
    expect(configs).toMatchObject([
      {
        synonyms: [
          { name: 'retention.ms', value: '1000', source: 1 },
          { name: 'log.retention.ms', value: '5000', source: 4 },
          { name: 'log.retention.hours', value: '168', source: 5 },
        ],
        documentation: expect.stringContaining('age'),
      },
    ]);
  });

  test('an empty list of keys asks for all configs, as null does', async () => {
    const stage = new ApiStage();
    stage.topic('orders');
    const all = await describeOne(stage, ResourceType.Topic, 'orders');
    expect(all.configs.length).toBeGreaterThan(30);
    expect((await describeOne(stage, ResourceType.Topic, 'orders', [])).configs).toEqual(all.configs);
  });

  test.each([
    [ResourceType.Topic, 'nothing', ErrorCode.UnknownTopicOrPartition],
    [ResourceType.Topic, 'a b', ErrorCode.InvalidTopicException],
    [ResourceType.Broker, '2', ErrorCode.InvalidRequest],
    [ResourceType.Broker, 'one', ErrorCode.InvalidRequest],
    [ResourceType.BrokerLogger, '', ErrorCode.InvalidRequest],
    [ResourceType.BrokerLogger, '1', ErrorCode.None],
    [ResourceType.Group, '', ErrorCode.InvalidRequest],
    [77, 'x', ErrorCode.InvalidRequest],
  ])('of resource type %i, "%s" is error %i without configs', async (type, name, errorCode) => {
    const result = await describeOne(new ApiStage(), type, name);
    expect(result).toMatchObject({ errorCode, configs: [] });
    expect(result.errorMessage === null).toBe(errorCode === ErrorCode.None);
  });

  test('a group tells its configs: its own, else the brokers’', async () => {
    const stage = new ApiStage({ 'group.consumer.heartbeat.interval.ms': '7000' });
    const { configs } = await describeOne(stage, ResourceType.Group, 'g');
    expect(configs.map(({ name, value, configSource }) => [name, value, configSource])).toEqual([
      ['consumer.assignment.interval.ms', '1000', 5],
      ['consumer.heartbeat.interval.ms', '7000', 4],
      ['consumer.session.timeout.ms', '45000', 5],
    ]);
  });

  test('a broker tells its own configs; without a name only what is set for all brokers at run time', async () => {
    const stage = new ApiStage({ 'num.partitions': '4' });
    expect((await describeOne(stage, ResourceType.Broker, '')).configs).toEqual([]);
    await setConfig(stage, ResourceType.Broker, '', 'log.retention.ms', '7000');
    await setConfig(stage, ResourceType.Broker, '1', 'log.retention.ms', '8000');
    const { configs: clusterWide } = await describeOne(stage, ResourceType.Broker, '');
    expect(clusterWide).toMatchObject([
      { name: 'log.retention.ms', value: '7000', configSource: 3, synonyms: [{ value: '7000', source: 3 }] },
    ]);
    const { configs } = await describeOne(stage, ResourceType.Broker, '1', ['log.retention.ms', 'num.partitions']);
    expect(configs).toMatchObject([
      { name: 'log.retention.ms', value: '8000', configSource: 2, readOnly: false },
      { name: 'num.partitions', value: '4', configSource: 4, readOnly: true },
    ]);
  });
});

describe('AlterConfigs', () => {
  test.each(versionsOf(alterConfigsApi))('version %i takes away what is not named', async (version) => {
    const stage = new ApiStage();
    stage.topic('orders', 1, { 'retention.ms': '1000' });
    const configs = [{ name: 'segment.ms', value: '60000' }];
    const resources = [{ resourceType: ResourceType.Topic, resourceName: 'orders', configs }];
    const answer = await stage.call(alterConfigsApi, alter, version, { resources, validateOnly: false });
    expect(answer.responses).toMatchObject([{ errorCode: ErrorCode.None, resourceType: 2, resourceName: 'orders' }]);
    expect([...stage.cluster.image.configs(ResourceType.Topic, 'orders')]).toEqual([['segment.ms', '60000']]);
  });

  test('validateOnly changes nothing', async () => {
    const stage = new ApiStage();
    stage.topic('orders');
    const resources = [
      { resourceType: ResourceType.Topic, resourceName: 'orders', configs: [{ name: 'segment.ms', value: '60000' }] },
    ];
    await stage.call(alterConfigsApi, alter, 2, { resources, validateOnly: true });
    expect(stage.cluster.image.configs(ResourceType.Topic, 'orders').size).toBe(0);
  });
});

describe('IncrementalAlterConfigs', () => {
  test.each(versionsOf(incrementalAlterConfigsApi))(
    'version %i changes what is named, resource by resource',
    async (version) => {
      const stage = new ApiStage();
      stage.topic('orders', 1, { 'retention.ms': '1000' });
      const { Set: set, Delete: remove, Append: append } = AlterOperation;
      const resource = (
        resourceName: string,
        configs: { name: string; configOperation: number; value: string | null }[],
      ) => ({
        resourceType: ResourceType.Topic,
        resourceName,
        configs,
      });
      const resources = [
        resource('orders', [
          { name: 'retention.ms', configOperation: remove, value: null },
          { name: 'cleanup.policy', configOperation: append, value: 'compact' },
        ]),
        resource('nothing', [{ name: 'segment.ms', configOperation: set, value: '60000' }]),
      ];
      const answer = await stage.call(incrementalAlterConfigsApi, incremental, version, {
        resources,
        validateOnly: false,
      });
      expect(answer.responses).toMatchObject([
        { errorCode: ErrorCode.None, errorMessage: null, resourceName: 'orders' },
        { errorCode: ErrorCode.UnknownTopicOrPartition, resourceName: 'nothing' },
      ]);
      expect([...stage.cluster.image.configs(ResourceType.Topic, 'orders')]).toEqual([
        ['cleanup.policy', 'delete,compact'],
      ]);
    },
  );

  test('a controller that cannot be had is an error of every resource', async () => {
    const stage = new ApiStage();
    stage.topic('orders');
    stage.refusal = 'never';
    const configs = [{ name: 'segment.ms', configOperation: AlterOperation.Set, value: '60000' }];
    const resources = [{ resourceType: ResourceType.Topic, resourceName: 'orders', configs }];
    const answer = stage.call(incrementalAlterConfigsApi, incremental, 1, { resources, validateOnly: false });
    stage.clock.advance(30_000);
    expect((await answer).responses).toMatchObject([{ errorCode: ErrorCode.RequestTimedOut, resourceName: 'orders' }]);
  });
});

describe('ListConfigResources (KIP-1142)', () => {
  async function listed(resourceTypes: number[], version = 1): Promise<readonly string[]> {
    const stage = new ApiStage();
    stage.topic('orders');
    stage.topic('bills', 1, { 'retention.ms': '1000' });
    await setConfig(stage, ResourceType.Broker, '', 'log.retention.ms', '7000');
    await setConfig(stage, ResourceType.Group, 'readers', 'consumer.session.timeout.ms', '50000');
    const answer = await stage.call(listConfigResourcesApi, listing, version, { resourceTypes });
    expect(answer.errorCode).toBe(ErrorCode.None);
    return answer.configResources.map(({ resourceType, resourceName }) => `${resourceType} ${resourceName}`);
  }

  test('names topics and live brokers with or without configs, of groups those that have some', async () => {
    expect(await listed([])).toEqual(['2 orders', '2 bills', '4 1', '8 1', '32 readers']);
    expect(await listed([ResourceType.Group, ResourceType.Broker, ResourceType.Group])).toEqual(['4 1', '32 readers']);
  });

  test('version 0 asks for client metrics, which nobody has', async () => {
    expect(await listed([], 0)).toEqual([]);
  });

  test('a type that is unknown refuses the whole request', async () => {
    const answer = await new ApiStage().call(listConfigResourcesApi, listing, 1, { resourceTypes: [2, 3] });
    expect(answer).toMatchObject({ errorCode: ErrorCode.UnsupportedVersion, configResources: [] });
  });
});
