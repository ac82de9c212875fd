import type { OffsetFetchPartition, OffsetFetchResponse, OffsetFetchTopic } from '#coordinator/group-commands';
import type { MetadataImage } from '#metadata/image';
import { ErrorCode } from '#model/errors';
import { type Uuid, ZERO_UUID } from '#model/ids';
import { ApiKey } from '#protocol/generated/apis';
import { type OffsetFetchRequest, readOffsetFetchRequest } from '#protocol/generated/offset-fetch-request';
import { type OffsetFetchResponseInput, writeOffsetFetchResponse } from '#protocol/generated/offset-fetch-response';
import type { Broker } from '#runtime/broker';
import { api } from './api.ts';

const FIRST_WITH_GROUP_ERROR = 2;
const FIRST_WITH_GROUPS = 8;
const FIRST_WITH_TOPIC_IDS = 10;

interface AskedTopic {
  readonly name: string;
  readonly topicId?: Uuid;
  readonly partitionIndexes: readonly number[];
}

interface AskedGroup {
  readonly groupId: string;
  readonly memberId: string | null;
  readonly memberEpoch: number;
  /** Null: all that the group has committed. */
  readonly topics: readonly AskedTopic[] | null;
}

/** The committed offsets of one group, or of several from version 8 on (KIP-709). */
export const offsetFetchApi = api(
  ApiKey.OffsetFetch,
  readOffsetFetchRequest,
  writeOffsetFetchResponse,
  async (request, { broker, header }) => {
    const byId = header.apiVersion >= FIRST_WITH_TOPIC_IDS;
    const { requireStable } = request;
    const groups = await Promise.all(
      askedGroups(request, header.apiVersion).map((group) => fetchGroup(group, requireStable, byId, broker)),
    );
    return fetchResponse(request, groups, header.apiVersion);
  },
);

function askedGroups(request: OffsetFetchRequest, version: number): readonly AskedGroup[] {
  return version >= FIRST_WITH_GROUPS ? request.groups : [{ ...request, memberId: null, memberEpoch: -1 }];
}

async function fetchGroup(
  { groupId, memberId, memberEpoch, topics: asked }: AskedGroup,
  requireStable: boolean,
  byId: boolean,
  broker: Pick<Broker, 'groups' | 'image'>,
): Promise<OffsetFetchResponse> {
  const { image, groups } = broker;
  if (asked === null) {
    const all = await groups.offsetFetch({ groupId, memberId, memberEpoch, topics: null, requireStable });
    return byId ? { ...all, topics: all.topics.flatMap((topic) => identified(topic, image)) } : all;
  }
  const named = asked.map(({ name, topicId = ZERO_UUID, partitionIndexes }) => {
    const topic = byId ? image.topicById(topicId) : image.topic(name);
    return {
      name: topic?.name ?? name,
      topicId: topic?.id ?? topicId,
      partitionIndexes,
      unknown: byId && topic === undefined,
    };
  });
  const topics = named.filter(({ unknown }) => !unknown);
  const fetched = await groups.offsetFetch({ groupId, memberId, memberEpoch, topics, requireStable });
  if (fetched.errorCode !== ErrorCode.None) return fetched;
  const strangers = named.filter(({ unknown }) => unknown).map((topic) => nothingOf(topic, ErrorCode.UnknownTopicId));
  return { ...fetched, topics: [...fetched.topics, ...strangers] };
}

/** Offsets of topics that are gone cannot be told by id. */
function identified(topic: OffsetFetchTopic, image: MetadataImage): OffsetFetchTopic[] {
  const known = image.topic(topic.name);
  return known === undefined ? [] : [{ ...topic, topicId: known.id }];
}

/** One group stands in the response itself below version 8; its error in every partition below version 2. */
export function fetchResponse(
  request: OffsetFetchRequest,
  groups: readonly OffsetFetchResponse[],
  version: number,
): OffsetFetchResponseInput {
  if (version >= FIRST_WITH_GROUPS) return { throttleTimeMs: 0, groups };
  const [group] = groups;
  const errorCode = group?.errorCode ?? ErrorCode.None;
  if (errorCode !== ErrorCode.None && version < FIRST_WITH_GROUP_ERROR) {
    const topics = (request.topics ?? []).map((topic) => nothingOf({ ...topic, topicId: ZERO_UUID }, errorCode));
    return { throttleTimeMs: 0, topics };
  }
  return { throttleTimeMs: 0, errorCode, topics: group?.topics ?? [] };
}

function nothingOf(
  { name, topicId = ZERO_UUID, partitionIndexes }: AskedTopic,
  errorCode: ErrorCode,
): OffsetFetchTopic {
  const partitions = partitionIndexes.map(
    (partitionIndex): OffsetFetchPartition => ({
      partitionIndex,
      committedOffset: -1,
      committedLeaderEpoch: -1,
      metadata: '',
      errorCode,
    }),
  );
  return { name, topicId, partitions };
}
