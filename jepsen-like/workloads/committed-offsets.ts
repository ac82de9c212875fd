import { at } from '#base/assert';
import type { Endpoint } from '#base/ports';
import type { Committed } from '#history/format';
import type { Recorder } from '#history/recorder';
import { ErrorCode, errorName } from '#model/errors';
import type { Call } from '#protocol/calls';
import { ApiKey } from '#protocol/generated/apis';
import {
  type FindCoordinatorRequestInput,
  writeFindCoordinatorRequest,
} from '#protocol/generated/find-coordinator-request';
import {
  type FindCoordinatorResponse,
  readFindCoordinatorResponse,
} from '#protocol/generated/find-coordinator-response';
import { type OffsetFetchRequestInput, writeOffsetFetchRequest } from '#protocol/generated/offset-fetch-request';
import { type OffsetFetchResponse, readOffsetFetchResponse } from '#protocol/generated/offset-fetch-response';
import { sleep } from '../../test/support/process.ts';
import { Session } from './session.ts';

const RETRY_MS = 100;

const FIND_COORDINATOR: Call<FindCoordinatorRequestInput, FindCoordinatorResponse> = {
  apiKey: ApiKey.FindCoordinator,
  version: 4,
  write: writeFindCoordinatorRequest,
  read: readFindCoordinatorResponse,
};

const OFFSET_FETCH: Call<OffsetFetchRequestInput, OffsetFetchResponse> = {
  apiKey: ApiKey.OffsetFetch,
  version: 8,
  write: writeOffsetFetchRequest,
  read: readOffsetFetchResponse,
};

/** A group that has committed offsets of a topic. */
export interface Commits {
  readonly group: string;
  readonly topic: string;
  readonly partitions: number;
}

/** A fresh client asks, as process `p`, what a group has committed; gives a complaint if that is nothing, or nobody tells before the time is up. */
export async function askCommitted(
  recorder: Recorder,
  p: number,
  bootstrap: readonly Endpoint[],
  { group, topic, partitions }: Commits,
  timeoutMs: number,
): Promise<readonly string[]> {
  const session = new Session(bootstrap, p);
  const deadline = performance.now() + timeoutMs;
  const asked = Array.from({ length: partitions }, (_, partition): Committed => ['committed', `${topic}-${partition}`]);
  recorder.client({ p, isolation: 'read_committed', group });
  let last = 'it was not asked';
  while (performance.now() < deadline) {
    recorder.invoke({ p, f: 'committed', ops: asked });
    const found = await committed(session, group, topic, partitions).catch(String);
    if (typeof found !== 'string') {
      recorder.complete('ok', { p, ops: found });
      session.close();
      const isAny = found.some(([, , offset]) => typeof offset === 'number');
      return isAny ? [] : [`group ${group} has committed nothing`];
    }
    last = found;
    recorder.complete('fail', { p, error: found });
    await sleep(RETRY_MS);
  }
  session.close();
  return [`nobody tells what group ${group} has committed: ${last}`];
}

/** A text says why nothing was told. */
async function committed(
  session: Session,
  group: string,
  topic: string,
  partitions: number,
): Promise<readonly Committed[] | string> {
  const { coordinators } = await session.ask(session.any(), FIND_COORDINATOR, { coordinatorKeys: [group] });
  const coordinator = at(coordinators, 0);
  if (coordinator.errorCode !== ErrorCode.None) return errorName(coordinator.errorCode as ErrorCode);
  const partitionIndexes = Array.from({ length: partitions }, (_, partition) => partition);
  const request = { groups: [{ groupId: group, topics: [{ name: topic, partitionIndexes }] }], requireStable: true };
  const { groups } = await session.ask(coordinator, OFFSET_FETCH, request);
  const ofGroup = at(groups, 0);
  const told = ofGroup.topics[0]?.partitions ?? [];
  const failed = [ofGroup, ...told].find(({ errorCode }) => errorCode !== ErrorCode.None);
  if (failed !== undefined) return errorName(failed.errorCode as ErrorCode);
  return told.map(({ partitionIndex, committedOffset }): Committed => {
    return ['committed', `${topic}-${partitionIndex}`, committedOffset < 0 ? null : committedOffset];
  });
}
