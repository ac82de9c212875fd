/** The clients of Apache Kafka, as its own system tests run them. */
import { join } from 'node:path';
import { at } from '#base/assert';
import { SimRandom } from '#sim/ports/sim-random';
import type { Client } from './client-process.ts';
import { type Translate, VerifiableClient } from './verifiable-client.ts';
import { consumerEvent, producerEvent } from './verifiable-events.ts';
import { memberHistory, producerHistory } from './verifiable-history.ts';
import type { Surroundings, Topic, Workload } from './workload.ts';

const PARTITIONS = 4;
const VALUES_PER_S = 50;
/** Enough for each partition to have some; without keys one partition has all for seconds, and the others look as if they were not there. */
const KEYS = 16;
const PROTOCOLS = ['classic', 'consumer'] as const;
const MEMBERS = 2;
/** Of the processes of this workload those of a member, and, behind those of all members, of the producer. */
const MEMBER_PROCESSES_MAX = 1_000;
const PRODUCER_PROCESSES_MAX = 90_000;

/** VerifiableProducer never tries again unless it is told to, and then it is not idempotent either. */
const IDEMPOTENT = join(import.meta.dirname, '../clients/idempotent.properties');
const OF_MEMBERS = join(import.meta.dirname, 'java-member.properties');

/** The name of what a member prints of a commit. */
const COMMITTED = '"offsets_committed"';

const topicOf = (trial: string): Topic => ({ name: `java-${trial}`, partitions: PARTITIONS });
const groupOf = (trial: string): string => `java-${trial}`;

/** A JVM takes a second to begin, and five at once take longer than the calm before a fault: one group is in a trial, of a protocol that is drawn. */
const protocolOf = (trial: string): (typeof PROTOCOLS)[number] =>
  at(PROTOCOLS, new SimRandom(trial).uint32() % PROTOCOLS.length);

function toTopic({ bootstrap, trial }: Surroundings): readonly string[] {
  const brokers = bootstrap.map(({ host, port }) => `${host}:${port}`).join();
  return ['--bootstrap-server', brokers, '--topic', topicOf(trial).name];
}

function producer(surroundings: Surroundings): Client {
  const { folder, toolChains, trial, firstProcess } = surroundings;
  const how = ['--acks', '-1', '--throughput', `${VALUES_PER_S}`, '--repeating-keys', `${KEYS}`];
  const args = [...toTopic(surroundings), ...how, '--command-config', IDEMPOTENT];
  const about = {
    firstProcess: firstProcess + MEMBERS * MEMBER_PROCESSES_MAX,
    processesMax: PRODUCER_PROCESSES_MAX,
    keys: Array.from({ length: PARTITIONS }, (_, partition) => `${topicOf(trial).name}-${partition}`),
  };
  const translate: Translate = (lines, wallToMonotonicMs, append) =>
    producerHistory(eventsOf(lines, producerEvent), { ...about, wallToMonotonicMs, append });
  const tool = {
    name: 'java-producer',
    main: 'VerifiableProducer',
    args,
    translate,
  } as const;
  return new VerifiableClient(folder, toolChains.java ?? '', tool);
}

/** A JVM may have come to work only at the end of a trial: none of them ends before `mayEnd`. */
function member(surroundings: Surroundings, place: number, mayEnd: () => boolean): VerifiableClient {
  const { folder, toolChains, trial, firstProcess } = surroundings;
  const [group, protocol] = [groupOf(trial), protocolOf(trial)];
  // By KIP-848 it is the broker's, and refused here.
  const timeout = protocol === 'classic' ? ['--session-timeout', '10000'] : [];
  const how = ['--group-id', group, '--group-protocol', protocol, ...timeout, '--verbose'];
  const args = [...toTopic(surroundings), ...how, '--command-config', OF_MEMBERS];
  const about = {
    firstProcess: firstProcess + place * MEMBER_PROCESSES_MAX,
    processesMax: MEMBER_PROCESSES_MAX,
    topic: topicOf(trial).name,
    group,
    protocol,
  };
  const translate: Translate = (lines, wallToMonotonicMs, append) =>
    memberHistory(eventsOf(lines, consumerEvent), { ...about, wallToMonotonicMs, append });
  const tool = { name: `java-${protocol}-${place}`, main: 'VerifiableConsumer', args, translate, mayEnd } as const;
  return new VerifiableClient(folder, toolChains.java ?? '', tool);
}

function* eventsOf<Event>(lines: Iterable<string>, parse: (line: string) => Event | undefined): Iterable<Event> {
  for (const line of lines) {
    const event = parse(line);
    if (event !== undefined) yield event;
  }
}

export const java: Workload = {
  name: 'java',
  what: "Apache Kafka's VerifiableProducer, and two VerifiableConsumers, of a classic group or of one by KIP-848",
  needs: 'java',
  topics: (trial) => [topicOf(trial)],
  commits: (trial) => {
    const { name, partitions } = topicOf(trial);
    return [{ group: groupOf(trial), topic: name, partitions }];
  },
  start: (surroundings) => {
    const mayEnd = (): boolean => members.some((one) => one.hasSaid(COMMITTED));
    const members = Array.from({ length: MEMBERS }, (_, place) => member(surroundings, place, mayEnd));
    return [producer(surroundings), ...members];
  },
};
