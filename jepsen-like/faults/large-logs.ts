/**
 * Two logs that are so large that a node which was stopped believes what lies beside them: of smaller ones it reads every batch as it starts.
 * Who leads them is said; the value of each record is its offset.
 */
import type { Random } from '#base/ports';
import { ErrorCode } from '#model/errors';
import { CREATE_TOPICS } from '#protocol/calls';
import type { Cluster } from '../../test/support/cluster/cluster.ts';
import { until } from '../../test/support/process.ts';
import { Session } from '../workloads/session.ts';
import { fetchCommitted } from '../workloads/wire-consumer.ts';
import { WireProducer } from '../workloads/wire-producer.ts';

const CREATES_MS = 60_000;
const READS_MS = 60_000;
const BATCH_VALUES = 8_000;
/** Of several segments, of which the sealed ones keep their indexes in their files; and of one, whose producers are in a snapshot. */
const BATCHES = [50, 4] as const;
const READS_PER_BATCH = 2;
const REPLICAS = 3;

export const INDEXED = 0;
export const IN_SNAPSHOT = 1;

export async function makeLargeLogs(cluster: Cluster, leader: number, topic: string): Promise<void> {
  const session = new Session(cluster.members, 0);
  const brokerIds = [leader, ...cluster.ids.filter((id) => id !== leader)].slice(0, REPLICAS);
  const assignments = BATCHES.map((_, partitionIndex) => ({ partitionIndex, brokerIds }));
  const configs = [{ name: 'min.insync.replicas', value: '2' }];
  const request = {
    topics: [{ name: topic, numPartitions: -1, replicationFactor: -1, assignments, configs }],
    timeoutMs: 1_500,
  };
  await until(`topic ${topic}`, CREATES_MS, async () => {
    const answer = await session.ask(session.any(), CREATE_TOPICS, request).catch(() => undefined);
    const errorCode = answer?.topics[0]?.errorCode;
    return errorCode === ErrorCode.None || errorCode === ErrorCode.TopicAlreadyExists ? true : undefined;
  });
  const producer = await WireProducer.create(session, () => false);
  await Promise.all(
    BATCHES.map(async (batches, partition) => {
      for (let batch = 0; batch < batches; batch += 1) {
        const values = Array.from({ length: BATCH_VALUES }, (_, index) => batch * BATCH_VALUES + index);
        const sent = await producer?.send(topic, partition, values, performance.now() + CREATES_MS);
        const place = sent !== undefined && 'baseOffset' in sent ? sent.baseOffset : undefined;
        if (place !== values[0]) throw new Error(`${topic}-${partition} has at ${place} what belongs at ${values[0]}`);
      }
    }),
  );
  session.close();
}

/** From places that are drawn, in every batch; rejects if what its leader gives there is not what is there. */
export async function readLargeLogs(cluster: Cluster, leader: number, topic: string, random: Random): Promise<void> {
  const session = new Session(cluster.members, 0);
  const { port } = cluster.member(leader);
  try {
    for (const [partition, batches] of BATCHES.entries()) {
      for (let read = 0; read < READS_PER_BATCH * batches; read += 1) {
        const from = (read % batches) * BATCH_VALUES + (random.uint32() % BATCH_VALUES);
        const { records } = await until(
          `node ${leader} gives ${topic}-${partition} from ${from} on`,
          READS_MS,
          async () => {
            const known = await session.leader(topic, partition);
            const fetched = known?.at.port === port ? await fetchCommitted(session, topic, partition, from) : undefined;
            if (typeof fetched === 'object') return fetched;
            session.forget(topic, partition);
            return undefined;
          },
        );
        const isWhole = records.length > 0 && records.every((number, place) => number === from + Math.floor(place / 2));
        if (!isWhole)
          throw new Error(`node ${leader} gives ${records.slice(0, 2)} for ${topic}-${partition} from ${from} on`);
      }
    }
  } finally {
    session.close();
  }
}
