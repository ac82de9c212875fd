/** What a cluster must come back to when nothing strikes it any more. */
import type { MetadataImage } from '#metadata/image';
import { ResourceType } from '#metadata/records';
import type { Cluster } from './cluster.ts';
import type { Machine } from './machine.ts';
import type { TopicModel } from './workload/topic-model.ts';

/** One active leader, whom everybody follows, and every broker serves, in everybody's eyes: a sentence if not. */
export function whatIsMissing({ machines }: Cluster): string | undefined {
  const leading = machines.filter(({ view }) => view?.role === 'leader');
  const [leader] = leading;
  if (leader === undefined) return 'nobody leads';
  if (leading.length > 1) return `${leading.map(({ name }) => name).join(' and ')} lead`;
  if (leader.view?.isActive !== true) return `${leader.name} leads, but is not active`;
  const leaderId = leader.view.self.id;
  for (const { name, view, isReady } of machines) {
    if (view?.leaderId !== leaderId) return `${name} follows ${view?.leaderId ?? 'nobody'}, and not ${leader.name}`;
    if (!isReady) return `${name} does not serve`;
    const fenced = [...view.image.brokers.values()].find((broker) => broker.fenced);
    if (fenced !== undefined) return `broker ${fenced.id} is fenced in the metadata of ${name}`;
  }
  return undefined;
}

/** For a reader of the trace. */
export function stateOf({ name, phase, view, isReady, isStalled }: Machine): string {
  if (view === undefined) return `${name} is ${phase}, without a quorum`;
  const { role, epoch, leaderId, snapshotIndex, lastIndex, durableIndex, commitIndex, appliedIndex } = view;
  const log = `snapshot ${snapshotIndex}, last ${lastIndex}, durable ${durableIndex}, committed ${commitIndex}, applied ${appliedIndex}`;
  const voters = view.voters.map(({ id, directoryId }) => `${id}/${directoryId.slice(0, 4)}`).join();
  const state = `${isReady ? 'ready' : 'not ready'}${isStalled ? ', stalled' : ''}`;
  return `${name} is ${phase}, ${state}: ${role} in epoch ${epoch} under ${leaderId}; ${log}; voters ${voters}, itself ${view.self.directoryId.slice(0, 4)}`;
}

/** What is wrong with what a node shows at the end, in the eyes of those who asked for it. */
export function faultOfFinal(image: MetadataImage, topics: readonly TopicModel[]): string | undefined {
  for (const topic of topics) {
    const found = image.topic(topic.name);
    const fault = topic.faultOf(found && { id: found.id, partitions: found.partitions.length });
    if (fault !== undefined) return fault;
    if (found === undefined) continue;
    const configs = image.configs(ResourceType.Topic, topic.name);
    for (const key of topic.configs.keys()) {
      const wrong = topic.faultOfConfig(key, configs.get(key) ?? null);
      if (wrong !== undefined) return wrong;
    }
  }
  return undefined;
}
