import { describe, expect, test } from 'vitest';
import { metadataApi } from '#api/metadata';
import { nodeId } from '#model/ids';
import { writeMetadataRequest } from '#protocol/generated/metadata-request';
import { readMetadataResponse } from '#protocol/generated/metadata-response';
import { ApiStage } from './api-stage.ts';

const metadata = { write: writeMetadataRequest, read: readMetadataResponse };

describe('Metadata', () => {
  const listed = async (stage: ApiStage) => {
    const { brokers } = await stage.call(metadataApi, metadata, 12, {
      topics: [],
      allowAutoTopicCreation: false,
      includeClusterAuthorizedOperations: false,
      includeTopicAuthorizedOperations: false,
    });
    return brokers.map(({ nodeId }) => nodeId);
  };
  const happens = (stage: ApiStage, event: () => unknown) => {
    event();
    stage.departures.changed([nodeId(2)]);
  };

  test('lists a broker that went without a word for a second more, as librdkafka needs it', async () => {
    const stage = new ApiStage();
    happens(stage, () => stage.cluster.register(2));
    expect(await listed(stage)).toEqual([1]);
    happens(stage, () => stage.cluster.unfence(2));
    expect(await listed(stage)).toEqual([1, 2]);
    stage.clock.advance(15_000);
    happens(stage, () => stage.cluster.fence(2));
    stage.clock.advance(999);
    expect(await listed(stage)).toEqual([1, 2]);
    stage.clock.advance(1);
    expect(await listed(stage)).toEqual([1]);
    happens(stage, () => stage.cluster.unfence(2));
    stage.clock.advance(15_000);
    happens(stage, () => stage.cluster.run('unregisterBroker', { id: nodeId(2) }));
    expect(await listed(stage)).toEqual([1]);
  });

  test('takes a broker that lived before this one did for one that has lived long', async () => {
    const stage = new ApiStage();
    stage.cluster.register(2);
    happens(stage, () => stage.cluster.unfence(2));
    happens(stage, () => stage.cluster.fence(2));
    expect(await listed(stage)).toEqual([1, 2]);
  });

  test('lists no broker that comes and goes, to which librdkafka would connect again only after long', async () => {
    const stage = new ApiStage();
    happens(stage, () => stage.cluster.register(2));
    happens(stage, () => stage.cluster.unfence(2));
    stage.clock.advance(14_999);
    happens(stage, () => undefined);
    happens(stage, () => stage.cluster.fence(2));
    expect(await listed(stage)).toEqual([1]);
  });

  test('lists no broker that has said goodbye', async () => {
    const stage = new ApiStage();
    stage.cluster.register(2);
    happens(stage, () => stage.cluster.unfence(2));
    stage.clock.advance(15_000);
    happens(stage, () => stage.cluster.run('drainBroker', stage.cluster.brokerCommand(2)));
    happens(stage, () => stage.cluster.fence(2));
    expect(await listed(stage)).toEqual([1]);
  });
});
