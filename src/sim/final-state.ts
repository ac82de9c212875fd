/** What a cluster must come back to when nothing strikes it any more. */
import { at } from '#base/assert';
import type { MetadataImage } from '#metadata/image';
import { type Partition, ResourceType } from '#metadata/records';
import type { NodeId } from '#model/ids';
import type { Cluster } from './cluster.ts';
import type { HealedCore } from './healed-core.ts';
import type { Machine } from './machine.ts';
import { hasRecords, isWeak } from './workload/data-topics.ts';
import type { TopicModel } from './workload/topic-model.ts';

/** One active leader, whom everybody follows, and every broker serves, in everybody's eyes: a sentence if not. */
export function whatIsMissing({ machines }: Cluster): string | undefined {
  const disagreement = disagreementOf(machines);
  if (disagreement !== undefined) return disagreement;
  for (const { name, view } of machines) {
    if (view === undefined) continue;
    const fenced = [...view.image.brokers.values()].find((broker) => broker.fenced);
    if (fenced !== undefined) return `broker ${fenced.id} is fenced in the metadata of ${name}`;
    const lacking = lackingReplicas(view.image);
    if (lacking !== undefined) return `${lacking} in the metadata of ${name}`;
  }
  return undefined;
}

/**
 * The same of a core that can do without the others, which are dead or out of reach: they are fenced, and whatever one of the core may lead
 * is led by one of it.
 */
export function whatCoreLacks({ inside }: Pick<HealedCore, 'inside'>): string | undefined {
  const disagreement = disagreementOf(inside);
  if (disagreement !== undefined) return disagreement;
  const ids = new Set(inside.map(({ view }) => view?.self.id));
  for (const { name, view } of inside) {
    if (view === undefined) continue;
    const wrong = [...view.image.brokers.values()].find((broker) => broker.fenced === ids.has(broker.id));
    if (wrong !== undefined)
      return `broker ${wrong.id} is ${wrong.fenced ? '' : 'not '}fenced in the metadata of ${name}`;
    const unled = unledOf(view.image, inside);
    if (unled !== undefined) return `${unled} in the metadata of ${name}`;
  }
  return undefined;
}

/** One of them is the active leader, whom they all follow, and each serves: a sentence if not. */
function disagreementOf(machines: readonly Machine[]): string | undefined {
  const leading = machines.filter(({ view }) => view?.role === 'leader');
  const [leader] = leading;
  if (leader === undefined) return 'nobody leads';
  if (leading.length > 1) return `${leading.map(({ name }) => name).join(' and ')} lead`;
  if (leader.view?.isActive !== true) return `${leader.name} leads, but is not active`;
  const leaderId = leader.view.self.id;
  for (const { name, view, isReady } of machines) {
    if (view?.leaderId !== leaderId) return `${name} follows ${view?.leaderId ?? 'nobody'}, and not ${leader.name}`;
    if (!isReady) return `${name} does not serve`;
  }
  return undefined;
}

/**
 * With min.insync.replicas=1 one disk may be the only one that has a record, in the metadata's eyes even when it was wiped and nobody
 * has noticed before all others were gone: then nobody may lead.
 */
export function isLost(
  topic: string,
  { leader, isr, elr, replicas, directories }: Pick<Partition, 'leader' | 'isr' | 'elr' | 'replicas' | 'directories'>,
  image: MetadataImage,
): boolean {
  const isThere = (id: NodeId): boolean => hasDirectory({ replicas, directories }, id, image);
  return isWeak(topic) && leader === null && ![...isr, ...elr].some(isThere);
}

/** Whether the broker still has the directory in which its replica was. */
function hasDirectory(
  { replicas, directories }: Pick<Partition, 'replicas' | 'directories'>,
  id: NodeId,
  image: MetadataImage,
): boolean {
  return image.brokers.get(id)?.directories.includes(at(directories, replicas.indexOf(id))) === true;
}

/** What is led by nobody of a core, though one of it has all that is committed, and its log at hand. */
function unledOf(image: MetadataImage, inside: readonly Machine[]): string | undefined {
  const machineOf = (id: NodeId): Machine | undefined => inside.find(({ view }) => view?.self.id === id);
  for (const { name, partitions } of image.topics()) {
    if (!hasRecords(name)) continue;
    for (const state of partitions) {
      const { partition, leader, leaderEpoch, isr, elr } = state;
      if (leader !== null && machineOf(leader) !== undefined) continue;
      const hasLog = (id: NodeId): boolean =>
        [...(machineOf(id)?.replicas() ?? [])].some(
          ({ topic, index, log }) => topic === name && index === partition && log !== undefined,
        );
      const able = [...isr, ...elr].find((id) => hasLog(id) && hasDirectory(state, id, image));
      if (able !== undefined)
        return `${name}-${partition} is led by ${leader ?? 'nobody'} in epoch ${leaderEpoch}, and not by ${able}, in sync ${isr.join()}, eligible ${elr.join()}`;
    }
  }
  return undefined;
}

/** Topics that records are in never lose their last copy, and so come back whole. */
function lackingReplicas(image: MetadataImage): string | undefined {
  for (const { name, partitions } of image.topics()) {
    if (!hasRecords(name)) continue;
    for (const { partition, leader, leaderEpoch, isr, elr, replicas, directories, adding, removing } of partitions) {
      const isMoving = adding.length > 0 || removing.length > 0;
      if (leader !== null && isr.length === replicas.length && !isMoving) continue;
      if (isLost(name, { leader, isr, elr, replicas, directories }, image)) continue;
      const members = `in sync ${isr.join()}, eligible ${elr.join()}, replicas ${replicas.join()}, of them new ${adding.join()}, going ${removing.join()}`;
      return `${name}-${partition} is led by ${leader ?? 'nobody'} in epoch ${leaderEpoch}, ${members}`;
    }
  }
  return undefined;
}

/** Whether one of these nodes leads the partition, with as many in sync as it takes: it must take what is written. */
export function takesRecords(
  image: MetadataImage,
  topic: string,
  partition: number,
  nodes: ReadonlySet<number>,
): boolean {
  const state = image.partition(topic, partition);
  if (state === undefined || state.leader === null || !nodes.has(state.leader)) return false;
  const minIsr = Number(image.configs(ResourceType.Topic, topic).get('min.insync.replicas') ?? 1);
  return state.isr.length >= Math.min(minIsr, state.replicas.length) && state.isr.every((id) => nodes.has(id));
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
